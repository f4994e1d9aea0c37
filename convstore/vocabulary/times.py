"""Times as documents and manifests spell them."""

from __future__ import annotations

from datetime import UTC, datetime

FIRST = datetime.min.replace(tzinfo=UTC)
LAST = datetime.max.replace(tzinfo=UTC)
"""Between these two a time has a date in UTC."""


def time_of(text: str) -> datetime:
    """The time in a document or manifest.

    Raises:
        ValueError, TypeError: It is none, has no zone, or has no date in UTC.
    """
    at = datetime.fromisoformat(text)
    if at.tzinfo is None:
        raise ValueError("a time has no time zone")
    if at.year in (1, 9999) and not FIRST <= at <= LAST:
        raise ValueError("a time has no date in UTC")
    return at
