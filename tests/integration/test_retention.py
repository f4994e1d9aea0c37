"""Which sessions go, in what portions, and what keeps a run from doing harm."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from pathlib import Path

import pytest

from convstore import RetentionOverride, Store
from convstore.errors import ConvstoreError, InvalidInputError
from convstore.vocabulary.clock import ManualClock
from convstore.vocabulary.reports import RetentionReport
from tests.integration.archives import (
    DAY_S,
    OpenAnother,
    Steps,
    archived,
    fill,
    ids,
    policy,
    raw,
    segment_files,
    sound,
    states,
)
from tests.integration.conversations import say


async def test_a_session_goes_when_it_was_idle_for_as_long_as_the_policy_says(
    store: Store, clock: ManualClock
) -> None:
    await say(store, "old", "one")
    clock.advance(DAY_S / 2)
    await say(store, "young", "one")
    clock.advance(DAY_S / 2)

    report = await store.run_retention()

    assert await states(store) == {"old": "archived", "young": "active"}
    assert (report.archived, report.purged, report.reasons) == (1, 1, {"idle": 1})
    assert report.finished


async def test_a_session_goes_by_its_own_expiry_however_young_it_is(
    store: Store, clock: ManualClock
) -> None:
    at = clock.now() + timedelta(seconds=60)
    await store.sessions.get_or_create("s-1", expires_at=at)
    await say(store, "s-2", "one")
    clock.advance(60)

    report = await store.run_retention()

    assert report.reasons == {"own_expiry": 1}
    assert await states(store) == {"s-1": "archived", "s-2": "active"}


@pytest.mark.parametrize("batch", [1, 2, 500])
async def test_the_oldest_tenth_goes_when_a_tenant_has_too_many_whatever_the_batch(
    open_another: OpenAnother, clock: ManualClock, batch: int
) -> None:
    store = await open_another(retention=policy(max_sessions=20))
    soon = clock.now() + timedelta(seconds=1)
    await store.sessions.get_or_create("expired", expires_at=soon)
    for session_id in ids("idle", 1):
        await say(store, session_id, "one")
    clock.advance(DAY_S)
    for number in range(29):
        await say(store, f"s-{number:02}", "one")
        clock.advance(1)
    planned = await store.run_retention(dry_run=True, batch=batch)

    report = await store.run_retention(batch=batch)

    # 31 live ones: a tenth, rounded up, is four, and two of them go anyway.
    assert report.reasons["over_cap"] == 2
    assert report.purged == 4
    gone = [s for s, state in (await states(store)).items() if state == "archived"]
    assert sorted(gone) == ["expired", "idle-0", "s-00", "s-01"]
    assert planned.reasons == report.reasons


async def test_overrides_of_a_tenant_and_of_a_tag_go_before_the_rule(
    open_another: OpenAnother, clock: ManualClock
) -> None:
    store = await open_another(
        retention=policy(
            stale_after_s=100.0,
            tenants={"slow": RetentionOverride(stale_after_s=1000.0)},
            tags={
                "long": RetentionOverride(stale_after_s=5000.0),
                "keep": RetentionOverride(never=True),
            },
        )
    )
    slow = store.for_tenant("slow")
    await store.sessions.get_or_create("plain")
    await store.sessions.get_or_create("long", tags=["long"])
    await store.sessions.get_or_create("keep", tags=["keep"])
    await slow.sessions.get_or_create("slow")
    clock.advance(500)
    await store.run_retention()
    after_500 = await states(store) | await states(slow)
    clock.advance(500)

    await store.run_retention()

    assert after_500 == {
        "plain": "archived",
        "long": "active",
        "keep": "active",
        "slow": "active",
    }
    assert (await states(slow))["slow"] == "archived"
    clock.advance(1_000_000)
    await store.run_retention()
    assert (await states(store))["long"] == "archived"
    assert (await states(store))["keep"] == "active"


async def test_a_dry_run_says_what_a_run_then_does_and_changes_nothing(
    open_another: OpenAnother, clock: ManualClock, archive_dir: Path
) -> None:
    store = await open_another(
        retention=policy(
            max_sessions=3,
            keep_archive_for_s=10 * DAY_S,
            tags={"keep": RetentionOverride(never=True)},
        )
    )
    await archived(store, "archived-1")
    clock.advance(9 * DAY_S)
    await store.run_retention()
    for session_id in ids("idle", 3):
        await say(store, session_id, "one")
    await store.sessions.get_or_create("kept", tags=["keep"])
    await store.holds.place("idle-2", reason="case")
    clock.advance(2 * DAY_S)
    before, files = await states(store), segment_files(archive_dir)

    planned = await store.run_retention(dry_run=True)

    assert await states(store) == before
    assert segment_files(archive_dir) == files
    report = await store.run_retention()
    for name in ("examined", "archived", "archives_expired", "reasons"):
        assert getattr(planned, name) == getattr(report, name), name
    assert report.archives_expired == 1
    assert report.purged == 2
    assert planned.run_id == ""
    assert report.run_id != ""


async def test_the_plan_names_a_reason_for_each_candidate(
    store: Store, clock: ManualClock
) -> None:
    for session_id in ("goes", "held"):
        await say(store, session_id, "one")
    await store.holds.place("held", reason="case")
    clock.advance(DAY_S)

    plan = {d.session.session_id: d async for d in store.archive.plan()}

    assert (plan["goes"].action, plan["goes"].reason) == ("archive", "idle")
    assert (plan["held"].action, plan["held"].reason) == ("keep", "held")


async def test_a_run_ends_after_so_many_segments_and_the_next_goes_on(
    store: Store, clock: ManualClock, archive_dir: Path
) -> None:
    for session_id in ids("s", 5):
        await say(store, session_id, "one")
    clock.advance(DAY_S)
    seen: list[int] = []

    first = await store.run_retention(
        batch=2, max_batches=2, on_progress=lambda told: seen.append(told.done)
    )
    second = await store.run_retention(batch=2)

    assert (first.purged, first.finished, seen) == (4, False, [2, 4])
    assert (second.purged, second.finished) == (1, True)
    assert len(segment_files(archive_dir)) == 3


async def test_no_segment_is_begun_when_the_time_is_over(
    store: Store, clock: ManualClock
) -> None:
    await say(store, "s-1", "one")
    clock.advance(DAY_S)

    report = await store.run_retention(time_budget_s=0.0)

    assert (report.purged, report.finished) == (0, False)


async def test_only_the_tenant_asked_for_is_touched(
    store: Store, clock: ManualClock
) -> None:
    other = store.for_tenant("acme")
    await say(store, "s-1", "one")
    await say(other, "s-1", "one")
    clock.advance(DAY_S)

    report = await store.run_retention(tenant_id="acme")

    assert report.purged == 1
    assert await states(store) == {"s-1": "active"}
    assert await states(other) == {"s-1": "archived"}


# What keeps a run from doing harm


async def test_of_two_workers_one_runs_and_the_other_is_told(
    open_another: OpenAnother, clock: ManualClock
) -> None:
    told: list[RetentionReport] = []
    hook = Steps()
    first, second = await open_another(on_step=hook), await open_another()
    await say(first, "s-1", "one")
    clock.advance(DAY_S)
    loop = asyncio.get_running_loop()
    tasks: list[asyncio.Future[None]] = []

    async def run_too() -> None:
        told.append(await second.run_retention())
        told.append(await first.run_retention())

    hook.at("claim.begin", lambda: tasks.append(loop.create_task(run_too())))
    report = await first.run_retention()
    await asyncio.gather(*tasks)

    assert report.purged == 1
    # The second of the same store finds the lease given back, or still taken.
    assert told[0].skipped is not None
    assert told[0].run_id == ""


async def test_two_runs_of_one_store_do_not_run_together(
    store: Store, clock: ManualClock
) -> None:
    for session_id in ids("s", 3):
        await say(store, session_id, "one")
    clock.advance(DAY_S)

    reports = await asyncio.gather(*(store.run_retention() for _ in range(4)))

    assert sum(report.purged for report in reports) == 3
    assert sum(report.skipped is None for report in reports) >= 1
    assert sum(len(report.segments) for report in reports) == 1


async def test_a_dead_workers_lease_ends_and_another_goes_on(
    store: Store, clock: ManualClock, database_url: str
) -> None:
    await say(store, "s-1", "one")
    clock.advance(DAY_S)
    expires = int(clock.now().timestamp() + 60) * 1_000_000
    raw(
        database_url,
        "INSERT INTO leases (name, holder, epoch, expires_at) "
        f"VALUES ('retention', 'the dead', 1, {expires})",
    )

    skipped = await store.run_retention()
    clock.advance(61)
    report = await store.run_retention()

    assert skipped.skipped is not None
    assert report.purged == 1


async def test_a_lease_from_the_far_future_does_not_stop_retention_for_ever(
    store: Store, clock: ManualClock, database_url: str
) -> None:
    await say(store, "s-1", "one")
    clock.advance(DAY_S)
    raw(
        database_url,
        "INSERT INTO leases (name, holder, epoch, expires_at) "
        "VALUES ('retention', 'the dead', 1, 9000000000000000)",
    )

    report = await store.run_retention()

    assert report.purged == 1


async def test_a_clock_that_went_back_a_day_halts_retention(
    store: Store, clock: ManualClock
) -> None:
    clock.advance(10 * DAY_S)
    await say(store, "s-1", "one")
    clock.advance(-DAY_S)

    report = await store.run_retention()

    assert report.halted is not None
    assert (report.purged, await states(store)) == (0, {"s-1": "active"})
    assert (await store.stats()).last_run_problem == "retention_halted"


async def test_too_large_a_share_halts_retention_unless_a_person_says_so(
    store: Store, clock: ManualClock
) -> None:
    await asyncio.gather(*(say(store, s, "one") for s in ids("s", 110)))
    clock.advance(400 * DAY_S)

    halted = await store.run_retention()
    by_hand = await store.run_retention(older_than_s=DAY_S)

    assert "110 of 110" in str(halted.halted)
    assert halted.archived == 0
    assert (by_hand.halted, by_hand.purged) == (None, 110)


async def test_destroying_archives_has_a_check_of_its_own(
    open_another: OpenAnother, clock: ManualClock
) -> None:
    store = await open_another(retention=policy(keep_archive_for_s=30 * DAY_S))
    await asyncio.gather(*(say(store, s, "one") for s in ids("s", 105)))
    clock.advance(2 * DAY_S)
    await store.run_retention(older_than_s=0)
    clock.advance(29 * DAY_S)
    await store.run_retention()
    clock.advance(DAY_S)

    halted = await store.run_retention()

    assert "105 of 105 archives" in str(halted.halted)
    assert set((await states(store)).values()) == {"archived"}
    by_hand = await store.run_retention(older_than_s=DAY_S)
    assert by_hand.archives_expired == 105


async def test_a_clock_that_jumped_ahead_destroys_no_archive(
    open_another: OpenAnother, clock: ManualClock
) -> None:
    """Too few of them for the check of the share."""
    store = await open_another(retention=policy(keep_archive_for_s=30 * DAY_S))
    await say(store, "s-1", "one")
    await store.run_retention(older_than_s=0)
    await say(store, "s-2", "one")
    clock.advance(365 * DAY_S)

    jumped = [await store.run_retention() for _ in range(2)]
    clock.advance(-365 * DAY_S)
    corrected = await store.run_retention()

    assert [run.archived for run in jumped] == [1, 0]
    assert ["jumped forward" in str(run.halted) for run in jumped] == [True, True]
    assert corrected.halted is None
    assert await states(store) == {"s-1": "archived", "s-2": "archived"}


@pytest.mark.parametrize("end", ["unfinished", "interrupted"])
async def test_a_run_that_came_to_no_end_vouches_for_no_clock(
    open_another: OpenAnother, clock: ManualClock, end: str
) -> None:
    """It ended before it would have been halted; so the next one is."""
    hook = Steps()
    store = await open_another(
        retention=policy(keep_archive_for_s=30 * DAY_S), on_step=hook
    )
    await say(store, "s-1", "one")
    await store.run_retention(older_than_s=0)
    await say(store, "s-2", "one")
    clock.advance(365 * DAY_S)
    if end == "unfinished":
        assert not (await store.run_retention(max_batches=0)).finished
    else:
        hook.at("claim.begin", lambda: asyncio.current_task().cancel())  # type: ignore[union-attr]
        with pytest.raises(asyncio.CancelledError):
            await asyncio.create_task(store.run_retention())
    assert (await store.stats()).last_run_problem == end

    after = await store.run_retention()

    assert "jumped forward" in str(after.halted)
    assert (await states(store))["s-1"] == "archived"


async def test_runs_that_leave_some_for_the_next_are_no_silence(
    open_another: OpenAnother, clock: ManualClock
) -> None:
    store = await open_another(retention=policy(keep_archive_for_s=30 * DAY_S))
    await say(store, "s-1", "one")
    await store.run_retention(older_than_s=0)
    await say(store, "s-2", "one")
    for _ in range(31):
        clock.advance(DAY_S)
        assert (await store.run_retention(max_batches=0)).halted is None

    assert (await store.run_retention()).archives_expired == 1


async def test_archives_that_are_due_after_a_silence_wait_for_a_person(
    open_another: OpenAnother, clock: ManualClock
) -> None:
    store = await open_another(retention=policy(keep_archive_for_s=30 * DAY_S))
    await say(store, "s-1", "one")
    await store.run_retention(older_than_s=0)
    clock.advance(60 * DAY_S)
    assert (await store.run_retention()).halted is not None

    by_hand = await store.run_retention(older_than_s=DAY_S)
    await say(store, "s-2", "one")

    assert by_hand.archives_expired == 1
    assert (await store.run_retention()).halted is None


# What cannot be archived


async def test_an_unreadable_session_is_reported_kept_and_shown_and_others_go_on(
    store: Store, clock: ManualClock, database_url: str, archive_dir: Path
) -> None:
    for session_id in ("s-1", "s-2", "s-3"):
        await fill(store, session_id)
    raw(
        database_url,
        "UPDATE turns SET content = 'changed' WHERE session_id = 's-2' AND seq = 2",
    )
    clock.advance(DAY_S)

    report = await store.run_retention()

    assert [(p.session_id, p.code) for p in report.problems] == [("s-2", "row_corrupt")]
    assert report.purged == 2
    assert await states(store) == {
        "s-1": "archived",
        "s-2": "active",
        "s-3": "archived",
    }
    assert (await store.stats()).unreadable == 1
    sound(database_url, archive_dir)


@pytest.mark.parametrize(
    "harm",
    [
        "DELETE FROM turns WHERE session_id = 's-1' AND seq = 3",
        "DELETE FROM interactions WHERE session_id = 's-1' AND seq = 2",
        "DELETE FROM graph_states WHERE session_id = 's-1' AND version = 2",
        "UPDATE turns SET seq = 9 WHERE session_id = 's-1' AND seq = 3",
        "UPDATE tool_sets SET tools = '[1]' WHERE session_id = 's-1'",
        "DELETE FROM tool_sets WHERE session_id = 's-1'",
        "UPDATE interactions SET score = 7 WHERE session_id = 's-1' AND seq = 1",
        "UPDATE graph_states SET state = '{}' WHERE session_id = 's-1'",
    ],
)
async def test_a_session_that_lost_or_changed_a_row_is_not_archived(
    store: Store, clock: ManualClock, database_url: str, harm: str
) -> None:
    await fill(store, "s-1")
    raw(database_url, harm)
    clock.advance(DAY_S)

    report = await store.run_retention()

    assert [problem.code for problem in report.problems] == ["row_corrupt"]
    assert await states(store) == {"s-1": "active"}


async def test_a_session_that_was_repaired_is_no_problem_any_more(
    store: Store, clock: ManualClock, database_url: str
) -> None:
    await fill(store, "s-1")
    said = raw(database_url, "SELECT content FROM turns WHERE seq = 3")[0][0]
    raw(database_url, "UPDATE turns SET content = 'x' WHERE seq = 3")
    clock.advance(DAY_S)
    await store.run_retention()
    raw(database_url, f"UPDATE turns SET content = '{said}' WHERE seq = 3")

    report = await store.run_retention()

    assert report.problems == ()
    await store.restore("s-1")
    assert (await store.stats()).unreadable == 0


async def test_the_last_run_and_what_is_overdue_show_in_stats(
    store: Store, clock: ManualClock
) -> None:
    await say(store, "s-1", "one")
    clock.advance(DAY_S + 90)
    before = await store.stats()

    await store.run_retention()

    after = await store.stats()
    assert before.retention_lag_s == pytest.approx(90)
    assert before.last_run_at is None
    assert (after.retention_lag_s, after.oldest_stale_at) == (0.0, None)
    assert (after.last_run_at, after.last_run_problem) == (clock.now(), None)
    assert (after.archive_segments, after.sessions) == (1, {"archived": 1})
    assert after.archive_bytes > 0


async def test_a_policy_with_an_unknown_export_format_is_refused_at_once(
    open_another: OpenAnother,
) -> None:
    with pytest.raises(ConvstoreError):
        await open_another(retention=policy(exports=("no-such-format",)))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("older_than_s", -1),
        ("older_than_s", float("nan")),
        ("batch", 0),
        ("batch", 10**9),
        ("max_batches", -1),
        ("time_budget_s", float("nan")),
    ],
)
async def test_a_run_that_cannot_be_meant_is_refused(
    store: Store, name: str, value: float
) -> None:
    await fill(store, "s-1")

    with pytest.raises(InvalidInputError) as refused:
        await store.run_retention(**{name: value})  # type: ignore[arg-type]

    assert refused.value.field == name
    assert await states(store) == {"s-1": "active"}


@pytest.mark.mostly_slow("sqlite")
async def test_a_segment_is_rewritten_once_however_many_of_its_archives_are_due(
    open_another: OpenAnother, clock: ManualClock, database_url: str, archive_dir: Path
) -> None:
    """A segment holds what went stale together, and archives come due by another
    order: each page of them has some of every segment."""
    store = await open_another(retention=policy(keep_archive_for_s=DAY_S))
    for number in range(6 * 45):
        name = f"{number % 45:02}-{number // 45}"
        await store.sessions.get_or_create(name)
        if number % 45 == 7:
            await store.holds.place(name, reason="case")
        if number % 45 == 44:
            await store.run_retention(older_than_s=0)
            await store.holds.place(name, reason="case")
    before = len(segment_files(archive_dir))
    clock.advance(2 * DAY_S)

    report = await store.run_retention(older_than_s=1.5 * DAY_S)

    assert (before, report.archives_expired) == (6, 6 * 43)
    ((made,),) = raw(
        database_url,
        "SELECT count(*) FROM archive_segments WHERE entry_count > 0",
    )
    assert made == 2 * before
    sound(database_url, archive_dir)


@pytest.mark.mostly_slow("sqlite")
async def test_a_segment_is_rewritten_once_when_a_user_of_many_sessions_is_erased(
    store: Store, database_url: str, archive_dir: Path
) -> None:
    for number in range(240):
        owner = "leaves" if number % 2 else "stays"
        await store.sessions.get_or_create(f"s-{number}", user_id=owner)
    await store.run_retention(older_than_s=0, batch=40)

    receipt = await store.erase(user_id="leaves")

    assert len(receipt.segments_rewritten) == 6
    ((made,),) = raw(database_url, "SELECT count(*) FROM archive_segments")
    assert made == 12
    sound(database_url, archive_dir)
