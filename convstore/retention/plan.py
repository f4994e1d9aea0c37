"""What retention does to each session, and why. Pure: no clock, no database.

Archiving too early is harmless, since restore is transparent; destroying an archive is
not. Every doubt here is therefore settled for keeping. Memory does not grow with the
number of sessions: a decision needs one summary, and the cap one counter per tenant.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Literal, TypeAlias

from convstore.retention.breakers import span
from convstore.vocabulary.errors import shown
from convstore.vocabulary.policy import RetentionOverride, RetentionPolicy
from convstore.vocabulary.record import Value
from convstore.vocabulary.records import SessionState

Action: TypeAlias = Literal["archive", "keep", "expire_archive"]
Reason: TypeAlias = Literal[
    "idle",  # archive: idle for as long as the policy allows
    "own_expiry",  # archive: its own `expires_at` has passed
    "over_cap",  # archive: among the oldest tenth of a tenant over `max_sessions`
    "archive_expired",  # expire_archive: archived for `keep_archive_for_s`
    "held",  # keep: under legal hold
    "never",  # keep: an override of its tenant keeps it live
    "kept_by_tag",  # keep: an override of one of its tags keeps it live
    "fresh",  # keep: live, and not idle for long enough
    "archive_kept",  # keep: archived, and its archive is not due
    "gone",  # keep: deleted without an archive, or erased; nothing is left to do
]

_START_OF_TIME = datetime.min.replace(tzinfo=UTC)


class SessionSummary(Value, frozen=True):
    """What the plan needs to know of a session; the database lists these in pages."""

    tenant_id: str
    session_id: str
    version: int
    last_activity_at: datetime
    expires_at: datetime | None
    tags: tuple[str, ...]
    hold_count: int
    state: SessionState
    archived_at: datetime | None
    turn_count: int


class Decision(Value, frozen=True):
    """What happens to a session; `reason` for programs, `text` for people."""

    session: SessionSummary
    action: Action
    reason: Reason
    text: str


def decide(
    policy: RetentionPolicy,
    now: datetime,
    summary: SessionSummary,
    *,
    older_than_s: float | None = None,
    over_cap: bool = False,
) -> Decision:
    """What happens to one session.

    A legal hold keeps a session in whatever state it is; then `never` of its tags or
    its tenant does; then its own expiry, its idle time and the cap send it away.

    Args:
        policy: The settings.
        now: The time by the clock that wrote the summary's times.
        summary: The session as it was read; its version guards the purge.
        older_than_s: Replaces every idle time, those of overrides too. Holds and
            `never` stay in force.
        over_cap: Whether the session is in its tenant's quota; see `cap_quota`.
    """
    if summary.state == "erased" or (
        summary.state == "deleted" and summary.archived_at is None
    ):
        return Decision(summary, "keep", "gone", "nothing is left to keep or destroy")
    if summary.hold_count > 0:
        text = f"under legal hold ({summary.hold_count}), blocked until released"
        return Decision(summary, "keep", "held", text)
    kept = _kept_by_override(policy, summary)
    if kept is not None:
        return kept
    if summary.state == "active":
        return _decide_live(policy, now, summary, older_than_s, over_cap)
    return _decide_archived(policy, now, summary)


def cap_quota(policy: RetentionPolicy, live_count: int) -> int:
    """How many of a tenant's live sessions the cap sends away in one run.

    0 while `live_count` is within `max_sessions`, else a tenth of the live ones,
    rounded up: the oldest by `last_activity_at`, of those that nothing keeps. A tenant
    far above its cap comes down a tenth per run, so that a cap set by mistake empties
    nobody's database at once.
    """
    if policy.max_sessions is None or live_count <= policy.max_sessions:
        return 0
    return -(-live_count // 10)


def oldest_cutoff(
    policy: RetentionPolicy,
    now: datetime,
    *,
    tenant_id: str | None = None,
    older_than_s: float | None = None,
) -> datetime:
    """No session active after this time is idle for long enough, whatever its tags.

    The candidates for `decide` are the live sessions with `last_activity_at` at or
    before it or `expires_at` at or before `now`, and those of the cap. Given
    `tenant_id`, the overrides of other tenants do not count. A candidate can still be
    kept, so a reader pages by a cursor and not by what is left.
    """
    if older_than_s is not None:
        return _before(now, older_than_s)
    times = [policy.stale_after_s]
    times += _times(policy, tenant_id, "stale_after_s")
    return _before(now, min(times))


def archive_cutoff(
    policy: RetentionPolicy, now: datetime, *, tenant_id: str | None = None
) -> datetime | None:
    """No session archived after this time may be destroyed; None: none at all may."""
    times = [] if policy.keep_archive_for_s is None else [policy.keep_archive_for_s]
    times += _times(policy, tenant_id, "keep_archive_for_s")
    return _before(now, min(times)) if times else None


def _decide_live(
    policy: RetentionPolicy,
    now: datetime,
    summary: SessionSummary,
    older_than_s: float | None,
    over_cap: bool,
) -> Decision:
    if summary.expires_at is not None and summary.expires_at <= now:
        text = f"its own expiry was {span(now - summary.expires_at)} ago"
        return Decision(summary, "archive", "own_expiry", text)
    limit_s = older_than_s
    if limit_s is None:
        limit_s = _time(policy, summary, "stale_after_s")
    # A clock that ran ahead leaves times that are still to come: they are now.
    active_at = min(summary.last_activity_at, now)
    idle = span(now - active_at)
    # `oldest_cutoff` must never hide a session that goes here: both use `_before`.
    if limit_s is not None and active_at <= _before(now, limit_s):
        text = f"idle for {idle}, at least {_seconds(limit_s)}"
        return Decision(summary, "archive", "idle", text)
    if over_cap:
        text = f"among the oldest while over {policy.max_sessions} live sessions"
        return Decision(summary, "archive", "over_cap", text)
    text = f"active {idle} ago, goes when idle for {_seconds(limit_s)}"
    return Decision(summary, "keep", "fresh", text)


def _decide_archived(
    policy: RetentionPolicy, now: datetime, summary: SessionSummary
) -> Decision:
    keep_s = _time(policy, summary, "keep_archive_for_s")
    if keep_s is None or summary.archived_at is None:
        return Decision(summary, "keep", "archive_kept", "its archive is kept for ever")
    age = span(now - summary.archived_at)
    if summary.archived_at <= _before(now, keep_s):
        text = f"archived {age} ago, kept for {_seconds(keep_s)}"
        return Decision(summary, "expire_archive", "archive_expired", text)
    text = f"archived {age} ago, its archive is kept for {_seconds(keep_s)}"
    return Decision(summary, "keep", "archive_kept", text)


def _kept_by_override(
    policy: RetentionPolicy, summary: SessionSummary
) -> Decision | None:
    for tag in summary.tags:
        if policy.tags.get(tag, RetentionOverride()).never:
            text = f"kept by tag {shown(tag)}"
            return Decision(summary, "keep", "kept_by_tag", text)
    if policy.tenants.get(summary.tenant_id, RetentionOverride()).never:
        text = f"kept by tenant {shown(summary.tenant_id)}"
        return Decision(summary, "keep", "never", text)
    return None


_TimeName: TypeAlias = Literal["stale_after_s", "keep_archive_for_s"]


def _time(
    policy: RetentionPolicy, summary: SessionSummary, name: _TimeName
) -> float | None:
    """The time in force: the longest of its tags, or its tenant's, or the rule's."""
    tagged = [policy.tags[tag] for tag in summary.tags if tag in policy.tags]
    times = [t for t in (getattr(o, name) for o in tagged) if t is not None]
    if times:
        return float(max(times))
    tenant = policy.tenants.get(summary.tenant_id)
    own = None if tenant is None else getattr(tenant, name)
    general: float | None = getattr(policy, name)
    return general if own is None else float(own)


def _times(
    policy: RetentionPolicy, tenant_id: str | None, name: _TimeName
) -> list[float]:
    overrides = list(policy.tags.values())
    overrides += (
        o for tenant, o in policy.tenants.items() if tenant_id in (None, tenant)
    )
    return [t for t in (getattr(o, name) for o in overrides) if t is not None]


def _before(now: datetime, seconds: float) -> datetime:
    try:
        return now - timedelta(seconds=seconds)
    except OverflowError:
        # "For ever" is a fair setting: nothing is that old.
        return _START_OF_TIME


def _seconds(seconds: float | None) -> str:
    if seconds is None or seconds > timedelta.max.total_seconds():
        return "ever"
    return span(timedelta(seconds=seconds))
