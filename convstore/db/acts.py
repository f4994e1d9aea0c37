"""The acts of one session as a transaction knows them; see `known_acts`, which finds
them out."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Hashable
from typing import NamedTuple

from convstore.db.session_locks import Row
from convstore.vocabulary.feedback import RETRACT, place_of
from convstore.vocabulary.records import ActorKind, Choice


class KnownAct(NamedTuple):
    """As much of an act as decides what stands."""

    seq: int
    action: str
    actor_id: str | None
    actor_kind: ActorKind
    turn_seq: int | None
    node_id: str | None
    choice: Choice | None
    feedback: str | None
    supersedes: int | None
    target_hash: bytes


class KnownActs:
    """The acts of one session, as far as somebody asked.

    `external` has the row, with its digest, that an external id names, or None.
    """

    def __init__(self, *, new: bool = False) -> None:
        self.external: dict[str, Row | None] = {}
        self.by_seq: dict[int, KnownAct] = {}
        self._new = new  # nothing of this session was stored before
        self._targets: set[bytes] = set()
        self._removed: set[int] = set()
        self._places: dict[Hashable, list[KnownAct]] = defaultdict(list)

    def knows_external(self, external_id: str | None) -> bool:
        return self._new or external_id is None or external_id in self.external

    def knows_act(self, seq: int | None) -> bool:
        return self._new or seq is None or seq in self.by_seq

    def knows_target(self, target: bytes) -> bool:
        return self._new or target in self._targets

    def note_target(self, target: bytes) -> None:
        """From here on every act of this target is known."""
        self._targets.add(target)

    def add(self, act: KnownAct, *, removed: bool = False) -> None:
        """Note an act, after all earlier ones of its target."""
        self.by_seq[act.seq] = act
        if removed:
            self._removed.add(act.seq)
        if act.action != RETRACT:
            self._places[place_of(act)].append(act)

    def remove(self, seq: int) -> None:
        """Note that an act is superseded."""
        self._removed.add(seq)

    def label(self, place: Hashable) -> str | None:
        """The label in force in a place."""
        acts = self._places.get(place, [])
        while acts and acts[-1].seq in self._removed:
            acts.pop()  # it never comes back
        return acts[-1].feedback if acts else None
