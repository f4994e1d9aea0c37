"""Items that have expired, removed: nobody finds them before that either."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import Connection

from convstore.db import item_reads
from convstore.db.items import OUTSIDE, is_there, lock_free
from convstore.db.unit import Key, Unit

AT_ONCE = 1_000
"""Items, and sessions, of one commit: those of callers wait for it."""


@dataclass(slots=True)
class RemoveExpiredItems:
    """Remove items of a tenant outside sessions that have expired; how many were due,
    of at most so many, and how many went. One that is being changed is passed over."""

    tenant: str
    now: int
    limit: int = AT_ONCE

    # No session is concerned.
    keys: tuple[Key, ...] = ()
    size: int = 0

    @property
    def key(self) -> Key:
        """Keeps two of a tenant in order. No session has such an id."""
        return self.tenant, "\0"

    def apply(self, unit: Unit) -> tuple[int, int]:
        due = item_reads.expired(unit.connection, self.tenant, self.now, self.limit)
        held, cells, gone = lock_free(unit, due), unit.cells(OUTSIDE), 0
        for place in due:
            row = None if place in held else cells.get(place)
            # What was put in its place in this commit, or just before, stays.
            if row is not None and not is_there(row, self.now):
                cells.set(place, None)
                gone += 1
        return len(due), gone


@dataclass(frozen=True, slots=True)
class Removed:
    """How many items went, and the sessions whose version was raised by it."""

    count: int
    sessions: tuple[Key, ...]


def remove_expired(connection: Connection, now: int) -> Removed:
    """Remove what is due and held by nobody, in the open transaction; call it again
    until there is nothing more. It is no activity of a session. What a legal hold keeps
    is shown to nobody, and stays until that is released."""
    count = item_reads.remove_expired(connection, now, AT_ONCE)
    unit, changed = Unit(connection), []
    keys = item_reads.sessions_with_expired(connection, now, AT_ONCE)
    held = unit.load_free(keys)
    for key in keys:
        head = None if key in held else unit.find(key)
        if head is None or head.row["state"] != "active" or head.row["hold_count"]:
            continue
        gone = item_reads.remove_expired_of(connection, key, now)
        if gone:
            # A purge, or whoever has read the session, must notice.
            head.touch(now, activity=False)
            changed.append(key)
            count += gone
    unit.flush()
    return Removed(count, tuple(changed))
