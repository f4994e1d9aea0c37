"""The part of a conversation that an agent still has in mind: capped, and not idle.

Pure functions. What falls out of the view stays in the record.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from convstore.messages.windows import window_since
from convstore.vocabulary.errors import InvalidInputError
from convstore.vocabulary.records import Turn

BUFFER_CAP = 80
"""Turns of the view."""

BUFFER_IDLE_TTL_S = 1_800.0
"""Seconds of silence after which the view begins anew."""


def since_idle(
    turns: Sequence[Turn], now: datetime, idle_ttl_s: float = BUFFER_IDLE_TTL_S
) -> tuple[Turn, ...]:
    """The turns since the last silence of more than `idle_ttl_s` seconds.

    None when the last turn is that long ago. A tool call stays with its result however
    long the tool took. By the times when things were said; one that lies in the future
    counts as now.

    Raises:
        InvalidInputError: `idle_ttl_s` is not above 0.
    """
    if not idle_ttl_s > 0:
        raise InvalidInputError("idle_ttl_s", "must be above 0")
    start, later = len(turns), now
    while start and (later - turns[start - 1].created_at).total_seconds() <= idle_ttl_s:
        start -= 1
        later = turns[start].created_at
    return window_since(turns, turns[start].seq) if start < len(turns) else ()
