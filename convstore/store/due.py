"""What is due to go in every tenant, removed in small commits."""

from __future__ import annotations

from convstore.archive.context import Context
from convstore.db import attachments, item_upkeep

UNNAMED_FOR_S = 86_400
"""Seconds that an attachment waits for a session to name it, after it was last put."""

_AT_ONCE = 64


async def remove_due(context: Context) -> dict[str, int]:
    """Remove items that have expired and attachments that nobody named in time; how
    many of which there were, where there were any."""
    counts = {"items_expired": 0, "attachments_removed": 0}
    now = context.now()
    while True:
        gone = await context.write(lambda c: item_upkeep.remove_expired(c, now))
        await context.on_changed(gone.sessions)
        counts["items_expired"] += gone.count
        if not gone.count:
            break
    before = now - UNNAMED_FOR_S * 1_000_000
    while True:
        seen, removed = await context.write(
            lambda c: attachments.remove_waiting(c, before, _AT_ONCE)
        )
        counts["attachments_removed"] += removed
        if not seen:
            break
    return {name: count for name, count in counts.items() if count}
