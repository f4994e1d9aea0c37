"""Another owner for a session: an operator's act, which leaves an interaction."""

from __future__ import annotations

from dataclasses import dataclass

from convstore.db.codec.interactions import own_row
from convstore.db.recording import RecordInteraction
from convstore.db.unit import Key, Unit
from convstore.vocabulary.records import Session

ACTION = "transfer"


@dataclass(slots=True)
class TransferSession:
    """Give a live session to a user, whoever owns it; costs follow.

    The interaction says who did it and why, and not whose the session was: that user
    may be erased one day, and the session is not theirs any more.
    """

    key: Key
    owner: str
    actor_id: str | None
    reason: str | None
    now: int
    size: int = 0

    def apply(self, unit: Unit) -> Session:
        head = unit.active(self.key)
        if head.row["user_id"] == self.owner:
            return head.record
        unit.give(self.key, head, self.owner)
        row = own_row(
            self.now,
            action=ACTION,
            actor_id=self.actor_id,
            actor_kind="human",
            reason=self.reason,
        )
        RecordInteraction(self.key, row, 0, self.now).apply(unit)
        return head.record
