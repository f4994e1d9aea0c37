"""Sessions that come from outside: each is stored whole, or not at all.

Of a session that is there already nothing is written twice, and nothing is overwritten:
the source may only add to the end of what it brought before.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Table, insert, select

from convstore.db import archive_entries, documents, models
from convstore.db.acts import KnownActs
from convstore.db.attachments import named_only
from convstore.db.codec.documents import document_rows, hold_rows, session_row
from convstore.db.codec.records import choice_from_text
from convstore.db.column_bounds import check_columns
from convstore.db.dialects import dialect_of
from convstore.db.graph_states import PutGraphState
from convstore.db.heads import SwitchBranch
from convstore.db.known_acts import look_up_acts
from convstore.db.ledger import Book
from convstore.db.patching import STATES, state_row
from convstore.db.recording import RecordInteraction, acts_of, says_the_same
from convstore.db.session_ids import among, naming
from convstore.db.sessions import create, new_row
from convstore.db.turns import AppendTurns, look_up_external
from convstore.db.unit import Head, Key, Row, Unit, check_usable
from convstore.vocabulary.actors import with_pseudonyms
from convstore.vocabulary.clock import from_micros
from convstore.vocabulary.documents import encode_document
from convstore.vocabulary.errors import (
    ConflictError,
    CorruptionError,
    InvalidInputError,
    NotFoundError,
    TurnNotFoundError,
)
from convstore.vocabulary.records import SessionDocument


@dataclass(frozen=True, slots=True)
class Stored:
    """What an import added; nothing at all when everything was there already.

    `changed` are those that are there with another content.
    """

    created: bool = False
    turns: int = 0
    interactions: int = 0
    graph_states: int = 0
    changed: int = 0


@dataclass(slots=True)
class ImportSession:
    """Create a session with its turns, interactions and graph states in one go.

    A session that is there must hold the first turns of this one as its own first
    turns, by external id and content: what is missing behind them is added. Every turn,
    interaction and graph state has an external id, different ones within its kind.
    An archived session with as many turns is taken for the same one, unread.
    """

    key: Key
    values: Row
    turns: AppendTurns
    acts: list[RecordInteraction]
    graphs: list[PutGraphState]
    head_seq: int | None
    now: int
    size: int = 0
    states: Mapping[str, str | None] = field(default_factory=dict)

    def apply(self, unit: Unit) -> Stored:
        head = unit.find(self.key)
        if head is None:
            self._check_places(self.acts, self.graphs)
            self.turns.keep_named(unit)
            if create(unit, self.key, self._row(), later=True) is not None:
                return self._fill(unit)
            head = unit.look_again(self.key)
            assert head is not None
        return self._go_on(unit, head)

    def new_row(self) -> Row | None:
        """The row of the session, if there is none yet; None where it is refused, or
        where its turns name attachments, which are looked for first."""
        try:
            self._check_places(self.acts, self.graphs)
        except (InvalidInputError, NotFoundError):
            return None
        return None if self.turns.names else self._row()

    def _row(self) -> Row:
        return new_row(self.key, self.now) | {
            **self.values,
            "last_activity_at": 0,  # nothing has been said yet
            "imported_at": self.now,
        }

    def _fill(self, unit: Unit) -> Stored:
        # A new session has no external ids: nothing need be looked up.
        unit.external[self.key] = {row["external_id"]: None for row in self._rows}
        if self.acts:
            unit.acts[self.key] = KnownActs(new=True)
        return self._add(unit, 0, self.acts, self.graphs, created=True)

    def _go_on(self, unit: Unit, head: Head) -> Stored:
        row, count = head.row, len(self._rows)
        if row["state"] == "archived" and row["turn_count"] >= count:
            return Stored()
        check_usable(row["state"], row["user_id"], self.key[1], None)
        unit.flush()
        here = self._turns_here(unit, row["turn_count"])
        acts = self._missing(unit, models.interactions, self.acts)
        graphs = self._missing(unit, models.graph_states, self.graphs)
        if any(act.row["supersedes"] for act in acts) and (
            row["interaction_count"] != len(self.acts) - len(acts)
        ):
            # The numbers that `supersedes` names would be other interactions.
            raise ConflictError("interactions: the session has others by now")
        self._check_places(acts, graphs)
        return self._add(unit, here, acts, graphs, created=False)

    def _add(
        self,
        unit: Unit,
        here: int,
        acts: Sequence[RecordInteraction],
        graphs: Sequence[PutGraphState],
        *,
        created: bool,
    ) -> Stored:
        """Carry out what has been checked: nothing in here refuses."""
        count = len(self._rows)
        head = unit.find(self.key)
        assert head is not None
        last = head.row["last_activity_at"]
        if here < count:
            self.turns.put(unit)
            if self.head_seq is not None:
                SwitchBranch(self.key, self.head_seq, self.now).apply(unit)
        look_up_acts(unit, acts_of(acts))
        for act in acts:
            act.apply(unit)
        for graph in graphs:
            graph.apply(unit)
        if created or here < count or acts or graphs:
            self._date(head, last)
        self.keep_states(unit, head)
        return Stored(created, count - here, len(acts), len(graphs))

    def keep_states(self, unit: Unit, head: Head) -> None:
        """Keep what adapters will ask for, where they have kept nothing yet."""
        places = {(*self.key, name): text for name, text in self.states.items()}
        if not places:
            return
        cells = unit.cells(STATES)
        cells.look_up(unit.connection, list(places))
        new = [place for place in places if cells.get(place) is None]
        for place in new:
            cells.set(place, state_row(place, places[place] or "{}"))
        if new:
            head.touch(self.now, activity=False)

    def _date(self, head: Head, last: int) -> None:
        """The session was last active when its last turn was said, not today."""
        said = [row["created_at"] for row in self._rows]
        if last == 0:
            said.append(head.row["created_at"])
        # Not later than now, whatever a source says of its future.
        head.row["last_activity_at"] = max(last, min(max(said, default=0), self.now))
        head.dirty = True
        if head.row["imported_at"] != self.now:  # as it was made, it says so already
            head.row["imported_at"] = self.now
            head.cold = True

    @property
    def _rows(self) -> list[Row]:
        return self.turns.rows

    def _turns_here(self, unit: Unit, turn_count: int) -> int:
        """How many turns are there: the first ones, and then none but these."""
        look_up_external(unit, [self.turns])
        here = 0
        for row in self._rows:
            known = unit.external[self.key][row["external_id"]]
            if known is None:
                break
            here += 1
            if known["seq"] != here or bytes(known["digest"]) != row["digest"]:
                raise ConflictError("turns: the session holds other ones")
        if here < len(self._rows) and turn_count != here:
            raise ConflictError("turns: the session holds other ones")
        return here

    def _missing(
        self, unit: Unit, table: Table, operations: Sequence[Any]
    ) -> list[Any]:
        """The operations whose rows are not there yet."""
        if not operations:
            return []
        stored = stored_of_names(
            unit.connection, table, self.key, [o.row["external_id"] for o in operations]
        )
        missing = []
        for operation in operations:
            earlier = stored.get(operation.row["external_id"])
            if earlier is None:
                missing.append(operation)
            elif not says_the_same(earlier, operation.row):
                raise ConflictError(f"{table.name}: the session holds other ones")
        return missing

    def _check_places(
        self, acts: Iterable[RecordInteraction], graphs: Iterable[PutGraphState]
    ) -> None:
        """What something refers to is a turn, or an earlier act, of ours."""
        last = len(self._rows)
        for place, row in enumerate(self._rows):
            self._check_turn(row["parent_seq"] or None, place)
        for act in acts:
            self._check_turn(act.row["turn_seq"], last)
            if act.row["choice"] is not None:
                choice = choice_from_text(act.row["choice"])
                for seq in (choice.chosen, *choice.rejected):
                    self._check_turn(seq, last)
            supersedes = act.row["supersedes"]
            if supersedes is not None and not 1 <= supersedes <= self.acts.index(act):
                raise InvalidInputError("supersedes", "names no earlier interaction")
        for graph in graphs:
            self._check_turn(graph.row["turn_seq"], last)
        self._check_turn(self.head_seq or None, last)

    def _check_turn(self, seq: int | None, last: int) -> None:
        if seq is not None and not 1 <= seq <= last:
            raise TurnNotFoundError(self.key[1], seq)


@dataclass(slots=True)
class ImportDocument:
    """Store one of our own documents as it is: numbers, times, versions and holds.

    Refused when the session exists with another content; bookkeeping (version, time of
    the last change) does not count as content. With a new session come its costs, into
    the totals that budgets count.
    """

    key: Key
    document: SessionDocument
    rows: list[tuple[Table, list[Row]]] = field(default_factory=list)
    size: int = 0
    book: Book | None = field(default=None, compare=False)

    @classmethod
    def of(cls, document: SessionDocument, now: datetime) -> ImportDocument:
        """The operation, with its rows checked against the columns.

        Raises:
            InvalidInputError: A value does not fit its column; names both.
        """
        session = named_only(_as_live(document, now))
        rows = [
            (models.sessions, [session_row(session.session)]),
            *document_rows(session),
            (models.legal_holds, hold_rows(session)),
        ]
        for table, some in rows:
            check_columns(table, some)
        key = (document.session.tenant_id, document.session.id)
        return cls(key, session, rows, len(encode_document(document)))

    def apply(self, unit: Unit) -> Stored:
        head = unit.find(self.key)
        if head is None:
            document = self.document
            if create(unit, self.key, self.new_row()) is not None:
                unit.forget(self.key)  # who looks for it next finds all of it
                self._add(unit)
                self._charge(unit)
                return Stored(
                    True,
                    len(document.turns),
                    len(document.interactions),
                    len(document.graph_states),
                )
            head = unit.look_again(self.key)
            assert head is not None
        if not self._is_there(unit, head):
            raise ConflictError("session: exists with another content")
        return Stored()

    def new_row(self) -> Row:
        """The row of the session, if there is none yet."""
        row: Row = self.rows[0][1][0]
        return row

    def _add(self, unit: Unit) -> None:
        """Gather the rows of a session that has just been made."""
        holds = self.rows[-1][1]
        if holds:
            unit.connection.execute(insert(models.legal_holds), holds)
        unit.put_back(self.key, self.rows[1:-1])
        for label, count in self.document.session.feedback_counts.items():
            unit.set_label(self.key, label, count)

    def _charge(self, unit: Unit) -> None:
        ledger, session = self.document.ledger, self.document.session
        if ledger is None or not ledger.cost_micros:
            return
        book = self.book or Book(unit.connection)
        book.spend(session.tenant_id, session.user_id, ledger.cost_micros)
        if self.book is None:
            book.flush()

    def _is_there(self, unit: Unit, head: Head) -> bool:
        tenant, session_id = self.key
        if head.row["state"] == "archived":
            entry = archive_entries.find(
                unit.connection, self.key, head.row["segment_id"]
            )
            if entry is None:
                return False
            # As it was archived, if it came in by this import or never by any.
            at = head.row["imported_at"]
            dates = {None, None if at is None else from_micros(at)}
            return entry.sha256 in {_sha256(self.document, date) for date in dates}
        check_usable(head.row["state"], None, session_id, None)
        unit.flush()
        found = documents.read(unit.connection, tenant, [session_id])[session_id]
        if isinstance(found, CorruptionError):
            raise ConflictError("session: exists, and cannot be read")
        return _content(with_pseudonyms(self.document, found)) == _content(found)


def _as_live(document: SessionDocument, now: datetime) -> SessionDocument:
    """As it is stored: an archived session's document comes back to life."""
    session = replace(
        document.session,
        state="active",
        archived_at=None,
        segment_id=None,
        imported_at=now,
    )
    return replace(document, session=session)


def _sha256(document: SessionDocument, imported_at: datetime | None) -> str:
    session = replace(document.session, imported_at=imported_at)
    line = encode_document(replace(document, session=session))
    return hashlib.sha256(line).hexdigest()


def _content(document: SessionDocument) -> SessionDocument:
    session = document.session
    plain = replace(
        session,
        version=0,
        updated_at=session.created_at,
        last_activity_at=session.created_at,
        imported_at=None,
    )
    return replace(document, session=plain)


def stored_of_names(
    connection: Connection, table: Table, key: Key, external_ids: Sequence[str]
) -> dict[str, Row]:
    """What tells the rows of a session apart that have these external ids."""
    telling = [table.c[n] for n in ("digest", "actor_id") if n in table.c]
    found = connection.execute(
        select(table.c.external_id, *telling).where(
            table.c.tenant_id == key[0],
            table.c.session_id == key[1],
            among(dialect_of(connection), table.c.external_id),
        ),
        naming(external_ids),
    )
    return {row.external_id: dict(row._mapping) for row in found}
