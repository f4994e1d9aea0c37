"""What an unfinished export has done so far, kept so that a killed one can go on.

Marks say how many sessions, or splits of them, are done, a hash over which ones in
which state, and how long each file was then. A resumed export goes through them again
and trusts a mark only while they hash alike; from there on it makes the rows anew. So
it ends with the bytes of a run that was never interrupted, and with nobody who left
meanwhile.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from convstore.export.dataset.folder import discard
from convstore.export.dataset.statistics import Tally
from convstore.export.stages.spool import Spool
from convstore.vocabulary.codec import decode_json, dumps
from convstore.vocabulary.errors import CorruptionError
from convstore.vocabulary.records import Json, JsonObject, SessionDocument

T = TypeVar("T")

STATE = "state.json"
LAYOUT = 5
"""How rows wait on disk. What an older release left there is made anew."""
_START = hashlib.sha256(b"convstore export").digest()


@dataclass(frozen=True, slots=True)
class Mark:
    """The state after so many sessions or splits, with so many sessions in all."""

    items: int
    documents: int
    chain: str
    spools: dict[str, list[list[int]]]
    tallies: JsonObject


@dataclass(slots=True)
class Workspace:
    """The spools of an export and the marks over them.

    Attributes:
        folder: Holds nothing but this; removed at the end.
        plan: Hash of formats and options: another plan starts anew.
    """

    folder: Path
    plan: str
    spools: dict[str, Spool] = field(default_factory=dict)
    documents: int = 0
    _items: int = 0
    _chain: bytes = _START
    _marks: list[Mark] = field(default_factory=list)

    def open(self, names: Iterable[str]) -> None:
        """Make the spools, keeping what an interrupted run with this plan left."""
        names = list(names)
        self._marks = self._read_marks()
        if not self._marks:
            discard(self.folder)
        self.spools = {name: Spool(self.folder / name) for name in names}
        if self._marks and not self._rewind(self._marks[-1]):
            self._forget()

    def unread(
        self,
        items: Iterable[T],
        state_of: Callable[[T], bytes],
        tallies: Mapping[str, Tally],
    ) -> Iterator[T]:
        """The sessions, or splits, whose rows are not in the spools yet.

        Call `mark` and `note` only for what this gives out.
        """
        held: list[T] = []
        source = iter(items)
        matched = -1
        while matched + 1 < len(self._marks):
            item = next(source, None)
            if item is None:
                break
            held.append(item)
            self.note(state_of(item))
            due = self._marks[matched + 1]
            if self._items == due.items:
                if self._chain.hex() != due.chain:
                    break
                matched += 1
                held.clear()
        self._go_back(matched, tallies)
        yield from held
        yield from source

    def note(self, state: bytes) -> None:
        """Take the state of what is done into the hash."""
        self._chain = hashlib.sha256(self._chain + state).digest()
        self._items += 1

    def mark(self, tallies: Mapping[str, Tally]) -> None:
        """Write down how far it is; a killed export goes on from here."""
        for spool in self.spools.values():
            spool.flush()
        self._marks.append(
            Mark(
                self._items,
                self.documents,
                self._chain.hex(),
                {n: [s.lengths[:], s.checksums[:]] for n, s in self.spools.items()},
                {name: tally.told() for name, tally in tallies.items()},
            )
        )
        new = self.folder / (STATE + ".new")
        new.write_bytes(dumps({"plan": [LAYOUT, self.plan], "marks": self._marks}))
        os.replace(new, self.folder / STATE)

    def _read_marks(self) -> list[Mark]:
        try:
            state: Json = decode_json((self.folder / STATE).read_bytes())
        except (FileNotFoundError, CorruptionError):
            return []
        if not isinstance(state, dict) or state.get("plan") != [LAYOUT, self.plan]:
            return []
        return [Mark(**mark) for mark in state["marks"]]

    def _rewind(self, mark: Mark) -> bool:
        return mark.spools.keys() == self.spools.keys() and all(
            spool.rewind(*mark.spools[name]) for name, spool in self.spools.items()
        )

    def _go_back(self, matched: int, tallies: Mapping[str, Tally]) -> None:
        """Leave the spools, counters and hash as they were at the last true mark."""
        self._marks = self._marks[: matched + 1]
        if self._marks and self._rewind(self._marks[-1]):
            mark = self._marks[-1]
            self._items, self.documents = mark.items, mark.documents
            self._chain = bytes.fromhex(mark.chain)
            for name, tally in tallies.items():
                tally.clear()
                tally.take(mark.tallies[name])
            return
        self._forget()

    def _forget(self) -> None:
        self._marks = []
        self._items, self.documents, self._chain = 0, 0, _START
        for spool in self.spools.values():
            spool.clear()


def state_of(document: SessionDocument) -> bytes:
    """What changes when a session does."""
    session = document.session
    return dumps(
        [
            session.tenant_id,
            session.id,
            session.version,
            session.state == "erased",
            session.last_activity_at,
            len(document.turns),
            len(document.interactions),
            len(document.graph_states),
            session.metadata,
            session.tags,
        ]
    )
