"""Interactions are recorded: numbered, and counted into what their session's row says.

Rows are only ever added. A session's counts change in the same transaction.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from operator import itemgetter

from convstore.db import models
from convstore.db.acts import KnownAct
from convstore.db.codec.interactions import renamed_row
from convstore.db.codec.records import (
    INTERACTION_COLUMNS,
    choice_from_text,
    interaction_from_row,
    target_hash,
)
from convstore.db.known_acts import (
    act_of_row,
    look_up_acts,
)
from convstore.db.unit import Head, Key, Row, Unit
from convstore.vocabulary.actors import is_pseudonym
from convstore.vocabulary.codec import decode_json, dumps
from convstore.vocabulary.errors import (
    ConflictError,
    InteractionNotFoundError,
    TurnNotFoundError,
)
from convstore.vocabulary.feedback import RETRACT, place_of
from convstore.vocabulary.records import Interaction

_values_of = itemgetter(*(column.name for column in INTERACTION_COLUMNS))


@dataclass(slots=True)
class RecordInteractions:
    """Add interactions to one session, all or none.

    `rows` hold the content columns as stored, their digest and their `target_hash`. A
    row whose external id is stored already gives that interaction back; if its actor
    was erased since, under the name that they have now.
    """

    key: Key
    rows: list[Row]
    size: int
    now: int
    user_id: str | None = None

    def apply(self, unit: Unit) -> list[Interaction]:
        self.check(unit)
        return self.carry_out(unit)

    def check(self, unit: Unit) -> None:
        """Refuse, or be sure that `carry_out` will not. Changes nothing."""
        head = unit.active(self.key, self.user_id)
        self.check_on(unit, head, turn_count=head.row["turn_count"])

    def check_on(self, unit: Unit, head: Head, *, turn_count: int) -> None:
        """As `check`, of a session that will have so many turns by then."""
        look_up_acts(unit, acts_of([self]))
        known = unit.acts[self.key]
        count = head.row["interaction_count"]
        fresh: dict[str, Row] = {}
        for row in self.rows:
            external_id = row["external_id"]
            if external_id is not None:
                earlier = known.external.get(external_id) or fresh.get(external_id)
                if earlier is not None:
                    if not says_the_same(earlier, row):
                        raise ConflictError(
                            "external_id: stored already with another content"
                        )
                    continue
                fresh[external_id] = row
            self._check_targets(row, turn_count, count)
            count += 1

    def carry_out(self, unit: Unit) -> list[Interaction]:
        """Add what was checked, and is not there yet."""
        head, known = unit.active(self.key, self.user_id), unit.acts[self.key]
        records = []
        added = False
        for given in self.rows:
            name = given["external_id"]
            row = None if name is None else known.external.get(name)
            if row is None:
                row = self._add(unit, head, given)
                added = True
            records.append(interaction_from_row(self.key[1], _values_of(row)))
        if added:
            head.touch(self.now)
        return records

    def _check_targets(self, row: Row, turn_count: int, count: int) -> None:
        turns = [] if row["turn_seq"] is None else [row["turn_seq"]]
        if row["choice"] is not None:
            choice = choice_from_text(row["choice"])
            turns += [*choice.rejected, *([choice.chosen] if choice.chosen else [])]
        for seq in turns:
            if not 1 <= seq <= turn_count:
                raise TurnNotFoundError(self.key[1], seq)
        supersedes = row["supersedes"]
        if supersedes is not None and not 1 <= supersedes <= count:
            raise InteractionNotFoundError(self.key[1], supersedes)

    def _add(self, unit: Unit, head: Head, given: Row) -> Row:
        # A copy: the operation may be run again, after a batch that was rolled back.
        row = dict(given)
        row["tenant_id"], row["session_id"] = self.key
        row["seq"] = head.row["interaction_count"] = head.row["interaction_count"] + 1
        unit.add(models.interactions, row)
        known = unit.acts[self.key]
        if row["external_id"] is not None:
            known.external[row["external_id"]] = row
        self._count(unit, head, act_of_row(row))
        return row

    def _count(self, unit: Unit, head: Head, act: KnownAct) -> None:
        """Change the session's counts by what this act makes of what it replaces."""
        known = unit.acts[self.key]
        places = {place_of(act)} if act.action != RETRACT else set()
        removed = None if act.supersedes is None else known.by_seq.get(act.supersedes)
        if removed is not None and removed.action != RETRACT:
            places.add(place_of(removed))
        before = Counter(known.label(place) for place in places)
        known.add(act)
        if act.supersedes is not None:
            known.remove(act.supersedes)
        after = Counter(known.label(place) for place in places)
        if before == after:
            return
        counts: dict[str, int] = decode_json(head.row["feedback_counts"])
        for label in sorted({*before, *after} - {None}, key=str):
            assert label is not None
            change = after[label] - before[label]
            if change:
                counts[label] = counts.get(label, 0) + change
                unit.set_label(self.key, label, counts[label])
        left = {label: count for label, count in counts.items() if count > 0}
        head.row["feedback_counts"] = dumps(left).decode()


def says_the_same(earlier: Row, row: Row) -> bool:
    """Whether a row has the content of a stored one, of which `digest` and `actor_id`
    are known. Whoever repeats an act does not know that its actor was erased since, and
    has another name by now."""
    digest = bytes(earlier["digest"])
    if digest == row["digest"]:
        return True
    name = earlier.get("actor_id")
    if name is None or row["actor_id"] is None or not is_pseudonym(name):
        return False
    return bool(digest == renamed_row(row, name)["digest"])


@dataclass(slots=True)
class RecordInteraction:
    """Add one interaction; the external id makes a repeat give the first one back."""

    key: Key
    row: Row
    size: int
    now: int
    user_id: str | None = None

    def __post_init__(self) -> None:
        if "target_hash" not in self.row:
            self.row["target_hash"] = target_hash(self.row)

    def apply(self, unit: Unit) -> Interaction:
        return self.many().apply(unit)[0]

    def many(self) -> RecordInteractions:
        """The same as an operation on any number of them."""
        return RecordInteractions(
            self.key, [self.row], self.size, self.now, self.user_id
        )


@dataclass(slots=True)
class RecordTogether:
    """Add interactions to several sessions, all or none, in one transaction."""

    parts: list[RecordInteractions]

    @property
    def key(self) -> Key:
        return self.parts[0].key

    @property
    def keys(self) -> set[Key]:
        """Every session that is written to."""
        return {part.key for part in self.parts}

    @property
    def size(self) -> int:
        return sum(part.size for part in self.parts)

    def apply(self, unit: Unit) -> list[list[Interaction]]:
        unit.load(self.keys)
        look_up_acts(unit, acts_of(self.parts))
        for part in self.parts:
            part.check(unit)
        return [part.carry_out(unit) for part in self.parts]


def acts_of(
    operations: Iterable[RecordInteraction | RecordInteractions],
) -> Sequence[tuple[Key, Row]]:
    """The rows that operations are about to record, for `look_up_acts`."""
    acts: list[tuple[Key, Row]] = []
    for operation in operations:
        if isinstance(operation, RecordInteraction):
            acts.append((operation.key, operation.row))
        else:
            acts += [(operation.key, row) for row in operation.rows]
    return acts
