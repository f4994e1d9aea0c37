"""What an adapter does to a session in one step: created, moved, appended to, patched
and judged in one operation, which refuses as a whole or not at all."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field

from convstore.db.cells import CellTable, Place
from convstore.db.checkpoints import PutCheckpoint
from convstore.db.heads import SwitchBranch
from convstore.db.holds import check_not_held
from convstore.db.items import OF_SESSION, OUTSIDE, ItemChange, Planned, lock, plan
from convstore.db.known_acts import look_up_acts
from convstore.db.patching import Change, Patch, changed_by, make
from convstore.db.recording import RecordInteractions, acts_of, says_the_same
from convstore.db.renewal import begin, renewed
from convstore.db.sessions import create, new_row
from convstore.db.turns import AppendTurns, check_same, look_up_external
from convstore.db.unit import Head, Key, Row, Unit, check_head
from convstore.vocabulary.errors import (
    ConflictError,
    SessionNotFoundError,
    TurnNotFoundError,
    VersionConflictError,
)
from convstore.vocabulary.limits import Limits
from convstore.vocabulary.records import Applied, Interaction, Item, Turn


@dataclass(frozen=True, slots=True)
class PlacedChange:
    """A change of an item, in the session or outside sessions."""

    change: ItemChange
    inside: bool

    def place(self, key: Key) -> Place:
        """Where the item is."""
        lead = key if self.inside else key[:1]
        return (*lead, self.change.namespace, self.change.key)

    @property
    def table(self) -> CellTable:
        return OF_SESSION if self.inside else OUTSIDE

    @property
    def is_new(self) -> bool:
        """Whether it is an item of the session that must not be there yet."""
        put = self.change.verb == "put" and self.change.expected_version == 0
        return put and self.inside


@dataclass(frozen=True, slots=True)
class _Plan:
    """What will be done, and will not be refused any more."""

    change: Change
    items: Sequence[tuple[PlacedChange, Planned]]


@dataclass(slots=True)
class ApplyToSession:
    """Everything in one commit, or nothing.

    Where every turn and interaction has an external id and is stored already, it is a
    repeat: it gives the first results, and what has no external id (patches, items, a
    switch) is not done again.

    Args:
        turns, acts: Appended and recorded after the head was moved; with no expected
            head of their own.
        create: Columns of the session where it is not there; None refuses then.
        renew: Whether a deleted id begins anew; it counts as not being there.
        switch: The head is moved there first; 0 is the empty branch.
        expected_turn_count: Turns that there must be, and all that are appended must
            be new: so the caller knows their numbers beforehand.
        checkpoint: Put last, as if it were alone.
    """

    key: Key
    turns: AppendTurns
    acts: RecordInteractions
    patch: Patch
    items: Sequence[PlacedChange]
    limits: Limits
    now: int
    create: Row | None = None
    renew: bool = False
    user_id: str | None = None
    switch: int | None = None
    expected_head: int | None = None
    expected_version: int | None = None
    expected_turn_count: int | None = None
    checkpoint: PutCheckpoint | None = None
    size: int = field(init=False)

    def __post_init__(self) -> None:
        changes = sum(placed.change.size for placed in self.items)
        changes += self.checkpoint.size if self.checkpoint else 0
        self.size = self.turns.size + self.acts.size + self.patch.size + changes

    @property
    def is_plain(self) -> bool:
        """Whether nothing has to be read for it but its session's head, if its items
        are not there, as it says."""
        more = self.acts.rows or self.patch or self.switch is not None
        if more or not all(each.is_new for each in self.items):
            return False
        put = self.checkpoint
        return self.turns.is_plain and (put is None or put.is_plain)

    @property
    def places(self) -> Collection[Place]:
        """Items outside sessions that are locked beside the session."""
        return [each.place(self.key) for each in self.items if not each.inside]

    @property
    def cells(self) -> Iterator[tuple[CellTable, Place]]:
        """Rows of the session that are asked for."""
        for each in self.items:
            if each.inside:
                yield OF_SESSION, each.place(self.key)
        yield from self.patch.cells(self.key)

    def apply(self, unit: Unit) -> Applied:
        head = unit.find(self.key)
        if head is not None and self.renew and head.row["state"] == "deleted":
            return self._renew(unit, head)
        head = self._found(unit)
        if head is not None:
            return self._carry_out(unit, head)
        row = new_row(self.key, self.now) | (self.create or {})
        probe = Head(row)
        self._repeats(unit)  # looks up; of a session that is not there nothing is
        planned = self._check(unit, probe, 0)
        head = create(unit, self.key, probe.row)
        if head is None:
            # Another process was first and has committed: its row is visible now.
            unit.look_again(self.key)
            return self.apply(unit)
        return self._do(unit, head, planned, 0, created=True)

    def _renew(self, unit: Unit, head: Head) -> Applied:
        values = self.create or {}
        row = renewed(head, self.key, values, self.now, self.user_id)
        planned = self._check(unit, Head(row.copy()), 0)
        before = head.row["version"]
        begin(unit, self.key, head, row)
        return self._do(unit, head, planned, before, created=True)

    def _found(self, unit: Unit) -> Head | None:
        head = unit.find(self.key)
        if head is None:
            if self.create is None:
                raise SessionNotFoundError(self.key[1])
            return None
        return unit.active(self.key, self.user_id)

    def _carry_out(self, unit: Unit, head: Head) -> Applied:
        if self._repeats(unit) and self.expected_turn_count is None:
            turns = self.turns.apply(unit).turns if self.turns.rows else []
            acts = self.acts.apply(unit) if self.acts.rows else []
            return self._told(unit, False, turns, acts, [], repeated=True)
        version = head.row["version"]
        planned = self._check(unit, head, version)
        return self._do(unit, head, planned, version, created=False)

    def _repeats(self, unit: Unit) -> bool:
        """Whether all that has a name is stored, and all has one.

        Raises:
            ConflictError: A name stands for another content.
        """
        look_up_external(unit, [self.turns])
        look_up_acts(unit, acts_of([self.acts]))
        known = unit.acts.get(self.key)
        stored = []
        for row in self.turns.rows:
            name = row["external_id"]
            earlier = name and unit.external[self.key][name]
            if earlier:
                check_same(row, earlier)
            stored.append(bool(earlier))
        for row in self.acts.rows:
            name = row["external_id"]
            act = known and name and known.external.get(name)
            if act and not says_the_same(act, row):
                raise ConflictError("external_id: stored already with another content")
            stored.append(bool(act))
        return bool(stored) and all(stored)

    def _check(self, unit: Unit, head: Head, version: int) -> _Plan:
        """Refuse, or be sure that `_do` will not. Changes nothing."""
        expected = self.expected_version
        if expected is not None and expected != version:
            raise VersionConflictError("session", expected, version)
        check_head(head, self.expected_head)
        count = head.row["turn_count"]
        if self.switch is not None and not 0 <= self.switch <= count:
            raise TurnNotFoundError(self.key[1], self.switch)
        known = self.turns.check(unit, head)
        self._check_numbers(count, known)
        if self.checkpoint is not None:
            self.checkpoint.check(unit)
        new = sum(earlier is None for earlier in known)
        if self.acts.rows:
            self.acts.check_on(unit, head, turn_count=count + new)
        change = changed_by(unit, self.key, head, self.patch, self.limits)
        return _Plan(change, self._planned_items(unit, head))

    def _check_numbers(self, count: int, known: Sequence[Row | None]) -> None:
        expected = self.expected_turn_count
        if expected is None:
            return
        if expected != count:
            raise VersionConflictError("session", expected, count, at="turn count")
        if any(known):
            raise ConflictError("external_id: a turn is stored already")

    def _planned_items(
        self, unit: Unit, head: Head
    ) -> list[tuple[PlacedChange, Planned]]:
        lock(unit, self.places)
        planned = []
        for each in self.items:
            cells, place = unit.cells(each.table), each.place(self.key)
            cells.look_up(unit.connection, [place])
            item = plan(cells, place, each.change, self.now)
            if each.inside and item.destroys:
                check_not_held(head)
            planned.append((each, item))
        return planned

    def _do(
        self, unit: Unit, head: Head, planned: _Plan, before: int, *, created: bool
    ) -> Applied:
        """Carry out what was checked; the session was at the version `before`."""
        make(unit, self.key, head, planned.change)
        if self.switch is not None:
            SwitchBranch(self.key, self.switch, self.now, self.user_id).apply(unit)
        turns = self.turns.apply(unit).turns if self.turns.rows else []
        acts = self.acts.apply(unit) if self.acts.rows else []
        items: list[Item | None] = []
        inside = False
        for each, item in planned.items:
            inside = inside or (each.inside and item.changes)
            items.append(item.make(unit.cells(each.table))[0])
        if inside:
            head.touch(self.now)
        elif planned.change:
            head.touch(self.now, activity=False)
        if self.checkpoint is not None:
            self.checkpoint.write(unit)
            head.touch(self.now)
        if head.row["version"] > before:
            # One step of a caller is one step of the version.
            head.row["version"] = before + 1
            head.dirty = True
        return self._told(unit, created, turns, acts, items)

    def _told(
        self,
        unit: Unit,
        created: bool,
        turns: Sequence[Turn],
        acts: Sequence[Interaction],
        items: Sequence[Item | None],
        *,
        repeated: bool = False,
    ) -> Applied:
        head = unit.find(self.key)
        assert head is not None
        return Applied(
            head.record, created, tuple(turns), tuple(acts), tuple(items), repeated
        )
