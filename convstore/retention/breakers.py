"""What stops retention before it does harm: a clock that jumped, a plan too large.

Pure checks, made before a run by whoever runs it. They ask a person to look; a run by
hand may leave out those that its person has answered.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from convstore.vocabulary.errors import RetentionHaltedError
from convstore.vocabulary.policy import RetentionPolicy

SMALL_RUN = 100
"""A run of at most so many sessions is never halted for its share."""

CLOCK_SLACK_S = 60.0
"""How far the clocks of several writers may differ without halting retention."""

SILENCE_S = 2 * 86_400.0
"""Workers that were away for so long, or that run daily, are no clock that jumped."""


def check_clock(
    now: datetime,
    newest_activity_at: datetime | None,
    *,
    slack_s: float = CLOCK_SLACK_S,
) -> None:
    """Refuse to run by a clock that seems to have jumped back.

    Args:
        now: The time by the clock that the run would use.
        newest_activity_at: The newest `last_activity_at` of all sessions; None if none.
        slack_s: Seconds that the clocks of several writers may lie apart.

    Raises:
        RetentionHaltedError: `now` is before the newest activity.
    """
    slack = timedelta(seconds=slack_s)
    if newest_activity_at is not None and newest_activity_at - now > slack:
        raise RetentionHaltedError(
            f"the clock is {span(newest_activity_at - now)} behind the newest "
            "activity: it may have jumped back; set it right, then run retention again"
        )


def check_silence(
    now: datetime, last_run_at: datetime | None, interval_s: float
) -> None:
    """Refuse to destroy archives by a clock that may have jumped forward.

    A jump looks like a long silence of the workers, and only a person can tell. To
    archive too early does no harm, for a session comes back; this is for what does not.

    Args:
        now: The time by the clock that the run uses.
        last_run_at: When the last run began that ended well; None if none did.
        interval_s: Seconds between two scheduled runs.

    Raises:
        RetentionHaltedError: That is more than two intervals ago, and more than
            `SILENCE_S`.
    """
    allowed = timedelta(seconds=max(2 * interval_s, SILENCE_S))
    if last_run_at is not None and now - last_run_at > allowed:
        raise RetentionHaltedError(
            f"archives are due, and the last run was {span(now - last_run_at)} ago: "
            "the clock may have jumped forward, so none was destroyed; look at it, "
            "then run with --older-than (older_than_s), which leaves this check out"
        )


def check_fraction(
    policy: RetentionPolicy, going: int, total: int, *, what: str = "live sessions"
) -> None:
    """Refuse a run that takes too large a share at once.

    Args:
        policy: Its `max_fraction` is the largest share.
        going: Sessions that the plan archives, or archives that it destroys.
        total: How many there are of them.
        what: Their name in the message.

    Raises:
        RetentionHaltedError: More than `max_fraction` of them, and more than 100.
    """
    if going > SMALL_RUN and going > policy.max_fraction * total:
        raise RetentionHaltedError(
            f"{going} of {total} {what} would go, more than max_fraction "
            f"{policy.max_fraction:g} allows: the clock may have jumped, or the policy "
            "changed; look at `convstore archive plan`, then raise max_fraction, or "
            "run with --older-than (older_than_s), which leaves this check out"
        )


def span(time: timedelta) -> str:
    """A time in its two largest units, as `3 d 4 h`; below zero as 0 s."""
    left = max(0, int(time.total_seconds()))
    parts = []
    for size, unit in ((86_400, "d"), (3_600, "h"), (60, "min"), (1, "s")):
        if left >= size:
            parts.append(f"{left // size} {unit}")
            left %= size
    return " ".join(parts[:2]) or "0 s"
