"""A deleted id that begins anew: the next generation of a session.

Versions go on upwards, so that no copy of an older generation is taken for one of the
new. The copy in the archive is stale at once: nothing restores or exports it, erasure
finds it, and the next rewrite of its segment leaves it out.
"""

from __future__ import annotations

from dataclasses import dataclass

from convstore.db import archive_entries, attachments
from convstore.db.holds import check_not_held
from convstore.db.sessions import EnsureSession, new_row
from convstore.db.unit import Head, Key, Row, Unit, is_hidden
from convstore.vocabulary.errors import SessionNotFoundError
from convstore.vocabulary.records import Session

_KEPT = ("version", "hold_count")


@dataclass(slots=True)
class RenewSession:
    """As `EnsureSession`, and a deleted id begins anew, which counts as created."""

    ensure: EnsureSession

    @property
    def key(self) -> Key:
        return self.ensure.key

    @property
    def size(self) -> int:
        return self.ensure.size

    def apply(self, unit: Unit) -> tuple[Session, bool]:
        head, ensure = unit.find(self.key), self.ensure
        if head is None or head.row["state"] != "deleted":
            return ensure.apply(unit)
        row = renewed(head, self.key, ensure.values, ensure.now, ensure.user_id)
        begin(unit, self.key, head, row)
        return head.record, True


def renewed(head: Head, key: Key, values: Row, now: int, user_id: str | None) -> Row:
    """The row of the next generation of a deleted session; changes nothing.

    Raises:
        SessionNotFoundError: It was another user's.
        LegalHoldError: It is under hold: its copy must stay what it is.
    """
    old = head.row
    if is_hidden(old["state"], old["user_id"], user_id):
        raise SessionNotFoundError(key[1])
    check_not_held(head)
    row = new_row(key, now) | values | {name: old[name] for name in _KEPT}
    # Time never goes back, whatever the clock does.
    row["updated_at"] = max(row["updated_at"], old["updated_at"])
    return row | {"generation": (old["generation"] or 1) + 1}


def begin(unit: Unit, key: Key, head: Head, row: Row) -> None:
    """Put the next generation in the place of a deleted session, whose lock is held."""
    segment_id = head.row["segment_id"]
    if segment_id is not None:
        archive_entries.set_state(
            unit.connection, segment_id, [key], "stale", was="committed"
        )
    attachments.release(unit.connection, [key])
    head.row.update(row)
    head.cold = True
    head.touch(row["updated_at"], activity=False)
    # It has no rows: what was looked up of it is true of the new one as well.
    unit.note_described(key)
    unit.note_titled(key)
