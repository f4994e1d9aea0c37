"""The row of a session in a transaction: changed in memory, written by the flush."""

from __future__ import annotations

from dataclasses import dataclass

from convstore.db import session_locks
from convstore.db.codec.records import session_from_row
from convstore.db.row_writes import UPDATE_ALL, UPDATE_BACK, UPDATE_GONE
from convstore.db.session_locks import Key, Row
from convstore.db.statements import Prepared
from convstore.vocabulary.records import Session


class Head:
    """The row of a session as the transaction sees it; `row` may be changed."""

    __slots__ = ("_moved", "cold", "dirty", "row")

    def __init__(self, row: Row) -> None:
        self.row = row
        self.dirty = False
        self.cold = False
        self._moved: Row | None = None

    @property
    def record(self) -> Session:
        """The session as a record, changes included."""
        return session_from_row([self.row[name] for name in session_locks.NAMES])

    def touch(self, now: int, *, activity: bool = True) -> None:
        """Raise the version; time never goes back, whatever the clock does."""
        row = self.row
        row["version"] += 1
        if now > row["updated_at"]:
            row["updated_at"] = now
        if activity and now > row["last_activity_at"]:
            row["last_activity_at"] = now
        self.dirty = True

    def move(self, now: int, state: str, segment_id: str | None) -> None:
        """Note where the session's rows are from now on: in a segment, or back here.

        Raises the version; coming back is activity. If nothing else of the row changes
        until the flush, nothing else of it is written.
        """
        clean = not self.dirty
        at = None if segment_id is None else now
        self.row.update(state=state, segment_id=segment_id, archived_at=at)
        self.cold = True
        self.touch(now, activity=segment_id is None)
        self._moved = self.row.copy() if clean else None

    def written_by(self) -> Prepared:
        """The statement that writes what has changed, of a head that is cold."""
        moved, self._moved = self._moved, None
        # Whoever changes more tells nobody: the row itself says so.
        if moved != self.row:
            return UPDATE_ALL
        return UPDATE_BACK if self.row["segment_id"] is None else UPDATE_GONE


@dataclass(slots=True)
class NewOwner:
    """An owner that a session gets if the operation under way goes well."""

    key: Key
    head: Head
    old: str | None
    version: int
    was_cold: bool
    cost_micros: int
