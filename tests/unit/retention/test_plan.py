"""The plan: a table of sessions with what must happen to each, and its rules."""

from __future__ import annotations

import dataclasses
import tracemalloc
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from convstore.errors import RetentionHaltedError
from convstore.policy import RetentionOverride, RetentionPolicy
from convstore.retention.breakers import (
    check_clock,
    check_fraction,
    check_silence,
)
from convstore.retention.plan import (
    Decision,
    SessionSummary,
    archive_cutoff,
    cap_quota,
    decide,
    oldest_cutoff,
)

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)
DAY = timedelta(days=1)
TICK = timedelta(microseconds=1)
FOR_EVER = float("inf")

POLICY = RetentionPolicy(
    stale_after_s=86_400,
    keep_archive_for_s=30 * 86_400,
    max_sessions=1_000,
    tenants={
        "quick": RetentionOverride(stale_after_s=3_600),
        "slow": RetentionOverride(stale_after_s=7 * 86_400),
        "museum": RetentionOverride(never=True),
        "clinic": RetentionOverride(keep_archive_for_s=10 * 365 * 86_400),
    },
    tags={
        "pinned": RetentionOverride(never=True),
        "case": RetentionOverride(stale_after_s=30 * 86_400),
        "draft": RetentionOverride(stale_after_s=60, keep_archive_for_s=86_400),
        "audit": RetentionOverride(keep_archive_for_s=365 * 86_400),
        "empty": RetentionOverride(),
    },
)


def plan(
    policy: RetentionPolicy,
    now: datetime,
    summaries: Iterable[SessionSummary],
    *,
    live_counts: Mapping[str, int] | None = None,
    older_than_s: float | None = None,
) -> Iterator[Decision]:
    """A decision for each summary, in order, with the cap of each tenant: what the
    planner makes of pages of the database."""
    counts = live_counts or {}
    quotas = {tenant: cap_quota(policy, count) for tenant, count in counts.items()}
    for summary in summaries:
        left = quotas.get(summary.tenant_id, 0)
        decision = decide(
            policy, now, summary, older_than_s=older_than_s, over_cap=left > 0
        )
        if decision.action == "archive" and left:
            # A session that goes for its age makes room as well as any other.
            quotas[summary.tenant_id] = left - 1
        yield decision


def live(idle: timedelta = HOUR, **fields: Any) -> SessionSummary:
    """A live session that was last active `idle` ago."""
    summary = SessionSummary(
        tenant_id="default",
        session_id="s-1",
        version=3,
        last_activity_at=NOW - idle,
        expires_at=None,
        tags=(),
        hold_count=0,
        state="active",
        archived_at=None,
        turn_count=2,
    )
    return dataclasses.replace(summary, **fields)


def archived(age: timedelta, **fields: Any) -> SessionSummary:
    """A session that was archived `age` ago."""
    given = {"state": "archived", "archived_at": NOW - age, **fields}
    return live(age + DAY, **given)


GOLDEN = [
    # An idle session goes; the limit itself is idle enough.
    (live(), "keep", "fresh", "active 1 h ago, goes when idle for 1 d"),
    (
        live(DAY - TICK),
        "keep",
        "fresh",
        "active 23 h 59 min ago, goes when idle for 1 d",
    ),
    (live(DAY), "archive", "idle", "idle for 1 d, at least 1 d"),
    (live(DAY + HOUR), "archive", "idle", "idle for 1 d 1 h, at least 1 d"),
    # A clock that lags behind the last append makes nothing stale.
    (live(-HOUR), "keep", "fresh", "active 0 s ago, goes when idle for 1 d"),
    # Its own expiry sends a session away however active it was.
    (live(expires_at=NOW), "archive", "own_expiry", "its own expiry was 0 s ago"),
    (
        live(expires_at=NOW - HOUR),
        "archive",
        "own_expiry",
        "its own expiry was 1 h ago",
    ),
    (
        live(expires_at=NOW + TICK),
        "keep",
        "fresh",
        "active 1 h ago, goes when idle for 1 d",
    ),
    (live(DAY, expires_at=NOW + DAY), "archive", "idle", "idle for 1 d, at least 1 d"),
    # A tenant has its own times.
    (
        live(HOUR, tenant_id="quick"),
        "archive",
        "idle",
        "idle for 1 h, at least 1 h",
    ),
    (
        live(2 * DAY, tenant_id="slow"),
        "keep",
        "fresh",
        "active 2 d ago, goes when idle for 7 d",
    ),
    (live(99 * DAY, tenant_id="museum"), "keep", "never", "kept by tenant 'museum'"),
    # A tag goes before the tenant, the longest time wins, an empty override is none.
    (
        live(HOUR, tenant_id="quick", tags=("case",)),
        "keep",
        "fresh",
        "active 1 h ago, goes when idle for 30 d",
    ),
    (
        live(2 * DAY, tags=("draft", "case")),
        "keep",
        "fresh",
        "active 2 d ago, goes when idle for 30 d",
    ),
    (live(HOUR, tags=("draft",)), "archive", "idle", "idle for 1 h, at least 1 min"),
    (live(DAY, tags=("empty", "x")), "archive", "idle", "idle for 1 d, at least 1 d"),
    # Never means never, and comes before every reason to go.
    (
        live(99 * DAY, tags=("draft", "pinned")),
        "keep",
        "kept_by_tag",
        "kept by tag 'pinned'",
    ),
    (
        live(99 * DAY, tags=("pinned",), expires_at=NOW - DAY),
        "keep",
        "kept_by_tag",
        "kept by tag 'pinned'",
    ),
    (
        live(99 * DAY, tags=("draft",), tenant_id="museum"),
        "keep",
        "never",
        "kept by tenant 'museum'",
    ),
    # A legal hold blocks every path.
    (
        live(99 * DAY, hold_count=2, expires_at=NOW - DAY),
        "keep",
        "held",
        "under legal hold (2), blocked until released",
    ),
    (
        archived(999 * DAY, hold_count=1),
        "keep",
        "held",
        "under legal hold (1), blocked until released",
    ),
    # An archive is kept for its own time.
    (
        archived(29 * DAY),
        "keep",
        "archive_kept",
        "archived 29 d ago, its archive is kept for 30 d",
    ),
    (
        archived(30 * DAY),
        "expire_archive",
        "archive_expired",
        "archived 30 d ago, kept for 30 d",
    ),
    (
        archived(30 * DAY, state="deleted"),
        "expire_archive",
        "archive_expired",
        "archived 30 d ago, kept for 30 d",
    ),
    (
        archived(2 * DAY, tags=("draft",)),
        "expire_archive",
        "archive_expired",
        "archived 2 d ago, kept for 1 d",
    ),
    (
        archived(31 * DAY, tags=("draft", "audit")),
        "keep",
        "archive_kept",
        "archived 31 d ago, its archive is kept for 365 d",
    ),
    (
        archived(31 * DAY, tenant_id="clinic"),
        "keep",
        "archive_kept",
        "archived 31 d ago, its archive is kept for 3650 d",
    ),
    (
        archived(999 * DAY, tenant_id="museum"),
        "keep",
        "never",
        "kept by tenant 'museum'",
    ),
    # Nothing is left of these.
    (
        live(99 * DAY, state="erased"),
        "keep",
        "gone",
        "nothing is left to keep or destroy",
    ),
    (
        live(99 * DAY, state="deleted"),
        "keep",
        "gone",
        "nothing is left to keep or destroy",
    ),
]


@pytest.mark.parametrize(("summary", "action", "reason", "text"), GOLDEN)
def test_each_session_of_the_table_gets_its_decision(
    summary: SessionSummary, action: str, reason: str, text: str
) -> None:
    decision = decide(POLICY, NOW, summary)

    assert (decision.action, decision.reason, decision.text) == (action, reason, text)
    assert decision.session is summary


def test_the_time_of_a_manual_run_replaces_every_idle_time() -> None:
    sessions = [
        live(timedelta(0)),
        live(HOUR, tags=("case",)),
        live(HOUR, tenant_id="slow"),
        live(-HOUR),
        live(HOUR, tags=("pinned",)),
        live(HOUR, hold_count=1),
        archived(HOUR),
    ]

    reasons = [decide(POLICY, NOW, s, older_than_s=0).reason for s in sessions]

    # What a clock that ran ahead wrote counts as active now.
    gone, kept = ["idle"] * 4, ["kept_by_tag", "held", "archive_kept"]
    assert reasons == gone + kept


def test_a_policy_for_ever_archives_nothing_and_says_so() -> None:
    policy = RetentionPolicy(stale_after_s=FOR_EVER)

    decision = decide(policy, NOW, live(9_999 * DAY))

    assert decision.reason == "fresh"
    assert decision.text == "active 9999 d ago, goes when idle for ever"
    assert archive_cutoff(policy, NOW) is None
    assert decide(policy, NOW, archived(9_999 * DAY)).reason == "archive_kept"


@pytest.mark.parametrize(
    ("max_sessions", "live_count", "quota"),
    [
        (None, 10**9, 0),
        (1_000, 1_000, 0),
        (1_000, 1_001, 101),
        (100, 1_000, 100),
        (3, 4, 1),
        (0, 0, 0),
        (0, 1, 1),
    ],
)
def test_over_the_cap_a_tenth_goes_rounded_up(
    max_sessions: int | None, live_count: int, quota: int
) -> None:
    assert cap_quota(RetentionPolicy(max_sessions=max_sessions), live_count) == quota


def test_over_the_cap_the_oldest_go_but_none_that_is_kept() -> None:
    policy = dataclasses.replace(POLICY, max_sessions=29)
    sessions = [
        live((40 - n) * timedelta(minutes=1), session_id=f"s-{n}") for n in range(30)
    ]
    sessions[0] = dataclasses.replace(sessions[0], hold_count=1)
    sessions[2] = dataclasses.replace(sessions[2], tags=("pinned",))

    decisions = list(plan(policy, NOW, sessions, live_counts={"default": 30}))

    gone = [d.session.session_id for d in decisions if d.action == "archive"]
    assert gone == ["s-1", "s-3", "s-4"]
    assert {d.reason for d in decisions if d.action == "archive"} == {"over_cap"}
    assert decisions[1].text == "among the oldest while over 29 live sessions"


def test_sessions_that_go_for_their_age_make_room_under_the_cap() -> None:
    policy = dataclasses.replace(POLICY, max_sessions=29)
    sessions = [live((30 - n) * HOUR, session_id=f"s-{n}") for n in range(30)]

    decisions = list(plan(policy, NOW, sessions, live_counts={"default": 30}))

    assert Counter(d.reason for d in decisions) == {"idle": 7, "fresh": 23}


def test_each_tenant_has_its_own_cap() -> None:
    policy = dataclasses.replace(POLICY, max_sessions=10)
    sessions = [
        live(tenant_id=tenant, session_id=str(n)) for tenant in "ab" for n in range(11)
    ]

    decisions = list(plan(policy, NOW, sessions, live_counts={"a": 11, "b": 10}))

    gone = [d.session.tenant_id for d in decisions if d.action == "archive"]
    assert gone == ["a", "a"]


TIMES = st.one_of(st.none(), st.sampled_from([0.0, 60.0, 3_600.0, 86_400.0, FOR_EVER]))
OVERRIDES = st.builds(RetentionOverride, TIMES, TIMES, st.booleans())
POLICIES = st.builds(
    RetentionPolicy,
    stale_after_s=TIMES.filter(lambda t: t is not None),
    keep_archive_for_s=TIMES,
    tenants=st.dictionaries(st.sampled_from("ab"), OVERRIDES),
    tags=st.dictionaries(st.sampled_from("xyz"), OVERRIDES),
)
SPANS = st.sampled_from(
    [timedelta(s) for s in (0, 1, 2)] + [timedelta(seconds=s) for s in (-1, 59, 60, 61)]
)
SUMMARIES = st.builds(
    live,
    SPANS,
    tenant_id=st.sampled_from("abc"),
    tags=st.lists(st.sampled_from("xyzw"), unique=True).map(tuple),
    hold_count=st.integers(0, 1),
    state=st.sampled_from(["active", "archived", "deleted", "erased"]),
    archived_at=st.one_of(st.none(), SPANS.map(lambda span: NOW - span)),
    expires_at=st.one_of(st.none(), SPANS.map(lambda span: NOW - span)),
)


@given(POLICIES, SUMMARIES, TIMES, st.booleans())
def test_a_held_session_is_never_destroyed(
    policy: RetentionPolicy,
    summary: SessionSummary,
    older_than_s: float | None,
    over_cap: bool,
) -> None:
    held = dataclasses.replace(summary, hold_count=1)

    decision = decide(policy, NOW, held, older_than_s=older_than_s, over_cap=over_cap)

    assert decision.action == "keep"


@given(POLICIES, SUMMARIES, TIMES)
def test_the_cutoffs_hide_no_session_that_goes(
    policy: RetentionPolicy, summary: SessionSummary, older_than_s: float | None
) -> None:
    tenant = summary.tenant_id
    stale = oldest_cutoff(policy, NOW, tenant_id=tenant, older_than_s=older_than_s)
    dead = archive_cutoff(policy, NOW, tenant_id=tenant)

    decision = decide(policy, NOW, summary, older_than_s=older_than_s)

    if decision.reason == "idle":
        assert summary.last_activity_at <= stale
    if decision.action == "expire_archive":
        assert dead is not None
        assert summary.archived_at is not None
        assert summary.archived_at <= dead
    assert stale <= oldest_cutoff(policy, NOW, older_than_s=older_than_s)


def test_the_cutoff_is_that_of_the_shortest_time_that_may_apply() -> None:
    assert oldest_cutoff(POLICY, NOW) == NOW - timedelta(seconds=60)
    assert oldest_cutoff(POLICY, NOW, older_than_s=3_600) == NOW - HOUR
    assert archive_cutoff(POLICY, NOW) == NOW - DAY
    untagged = dataclasses.replace(POLICY, tags={})
    assert oldest_cutoff(untagged, NOW, tenant_id="quick") == NOW - HOUR
    assert oldest_cutoff(untagged, NOW, tenant_id="other") == NOW - DAY
    assert archive_cutoff(untagged, NOW, tenant_id="other") == NOW - 30 * DAY


def test_a_plan_of_many_sessions_holds_one_at_a_time() -> None:
    def sessions() -> Iterator[SessionSummary]:
        for number in range(20_000):
            yield live(DAY, session_id=f"s-{number}")

    tracemalloc.start()
    reasons = Counter(
        decision.reason
        for decision in plan(POLICY, NOW, sessions(), live_counts={"default": 20_000})
    )
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert reasons == {"idle": 20_000}
    assert peak < 100_000


@pytest.mark.parametrize(
    "newest_ago", [None, timedelta(0), timedelta(-60 / 86_400), DAY]
)
def test_a_clock_that_moves_as_expected_passes(newest_ago: timedelta | None) -> None:
    check_clock(NOW, None if newest_ago is None else NOW - newest_ago)


def test_a_clock_that_jumped_back_halts_retention() -> None:
    with pytest.raises(RetentionHaltedError, match="1 d behind the newest activity"):
        check_clock(NOW, NOW + DAY)


@pytest.mark.parametrize(
    ("last_run_ago", "interval_s"),
    [(None, 300), (timedelta(minutes=5), 300), (2 * DAY, 300), (14 * DAY, 7 * 86_400)],
)
def test_a_silence_that_a_worker_may_have_passes(
    last_run_ago: timedelta | None, interval_s: float
) -> None:
    check_silence(NOW, last_run_ago and NOW - last_run_ago, interval_s)


@pytest.mark.parametrize(
    ("last_run_ago", "interval_s"), [(2 * DAY, 300), (14 * DAY, 7 * 86_400)]
)
def test_a_longer_silence_keeps_archives_from_being_destroyed(
    last_run_ago: timedelta, interval_s: float
) -> None:
    ago = last_run_ago + timedelta(seconds=1)
    with pytest.raises(RetentionHaltedError, match="may have jumped forward"):
        check_silence(NOW, NOW - ago, interval_s)


@pytest.mark.parametrize(
    ("going", "total"), [(0, 0), (100, 100), (200, 1_000), (101, 505)]
)
def test_a_run_of_few_sessions_or_a_small_share_passes(going: int, total: int) -> None:
    check_fraction(POLICY, going, total)


def test_a_run_that_takes_too_large_a_share_is_halted() -> None:
    with pytest.raises(RetentionHaltedError, match="201 of 1000 archives would go"):
        check_fraction(POLICY, 201, 1_000, what="archives")
