"""The head of the active branch, moved: by a pop, by a switch, back by a repeat.

Nothing is destroyed by it. An interaction says why code left a branch, so that nobody
takes what was left for an answer that a person rejected. Key ranges end at the head, so
that a straight session of which only less is active is still read as one.
"""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import bindparam, select

from convstore.db import models
from convstore.db.branches import inherit
from convstore.db.codec.interactions import own_row
from convstore.db.codec.records import TURN_COLUMNS, turn_from_row
from convstore.db.recording import RecordInteraction
from convstore.db.unit import Key, Unit, check_head
from convstore.vocabulary.errors import TurnNotFoundError
from convstore.vocabulary.records import Turn

T = models.turns.c
_TIP = select(*TURN_COLUMNS).where(
    T.tenant_id == bindparam("tenant"),
    T.session_id == bindparam("id"),
    T.seq == bindparam("seq"),
)


@dataclass(slots=True)
class SwitchBranch:
    """Make the branch that ends in `seq` the active one, the empty one for 0.

    Slots, template and language follow it. `action` is recorded on the tip that was
    left, in the same commit.
    """

    key: Key
    seq: int
    now: int
    user_id: str | None = None
    size: int = 0
    action: str | None = None
    expected_head: int | None = None

    def apply(self, unit: Unit) -> None:
        head = unit.active(self.key, self.user_id)
        check_head(head, self.expected_head)
        if not 0 <= self.seq <= head.row["turn_count"]:
            raise TurnNotFoundError(self.key[1], self.seq)
        tip, target = head.row["head_seq"], self.seq or None
        if target == tip:
            return
        inherit(unit, self.key, head.row, target)
        head.row["head_seq"] = target
        if self.action is not None and tip is not None:
            _note(unit, self, self.action, tip)
        else:
            head.touch(self.now)


@dataclass(slots=True)
class PopTurn:
    """Take the tip off the active branch: the head moves to its parent."""

    key: Key
    now: int
    user_id: str | None = None
    size: int = 0
    expected_head: int | None = None

    def apply(self, unit: Unit) -> Turn | None:
        head = unit.active(self.key, self.user_id)
        check_head(head, self.expected_head)
        tip = head.row["head_seq"]
        if tip is None:
            return None
        unit.flush()
        given = {"tenant": self.key[0], "id": self.key[1], "seq": tip}
        turn = turn_from_row(self.key[1], unit.connection.execute(_TIP, given).one())
        # Most turns hand nothing down: then nothing need be read to take it back.
        if turn.slots or turn.template_id is not None or turn.language is not None:
            inherit(unit, self.key, head.row, turn.parent_seq)
        head.row["head_seq"] = turn.parent_seq
        _note(unit, self, "pop", tip)
        return turn


def _note(unit: Unit, move: SwitchBranch | PopTurn, action: str, seq: int) -> None:
    """Record what code did, on the tip that was left; raises the version."""
    row = own_row(move.now, action=action, turn_seq=seq, actor_kind="code")
    RecordInteraction(move.key, row, 0, move.now, move.user_id).apply(unit)
