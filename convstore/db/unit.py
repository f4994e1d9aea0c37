"""One transaction's unit of work: session heads in memory, rows gathered, one flush.

Operations of many callers run against one unit. Each reads the head of its session
(the row, locked for the transaction), refuses by raising *before* it changes anything,
then changes the head and adds rows. `flush` writes all rows of a table in one
statement, and all heads in another, and tells the `flush_hooks` what it wrote.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from sqlalchemy import Connection, Table

from convstore.db import attachments, flush_hooks, models, row_writes, session_locks
from convstore.db.cells import Cells, CellTable, Place
from convstore.db.dialects import dialect_of
from convstore.db.flushed import Flushed
from convstore.db.session_head import Head as Head
from convstore.db.session_head import NewOwner
from convstore.db.statements import Prepared
from convstore.vocabulary.errors import (
    SessionArchivedError,
    SessionDeletedError,
    SessionErasedError,
    SessionNotFoundError,
    VersionConflictError,
)

if TYPE_CHECKING:
    from convstore.db.acts import KnownActs

R_co = TypeVar("R_co", covariant=True)
Key = session_locks.Key
Row = session_locks.Row

# Sessions that one transaction makes, and that another in a lane need not wait for. A
# server has room for some thousand such locks, in all transactions together.
_MOST_CLAIMS = 1_000


class OwnersLedger(Protocol):
    """Where costs follow a session to its new owner."""

    def cost_of(self, key: Key) -> int:
        """Micros that the session's entry says now."""
        ...

    def change_owner(
        self, key: Key, old: str | None, new: str, cost_micros: int
    ) -> None:
        """Give the entry a new owner, and move a cost between the totals."""
        ...


class HeldElsewhereError(Exception):
    """Another transaction holds a session, and this one waits for nobody; what raises
    it has changed nothing."""


class Operation(Protocol[R_co]):
    """One caller's write. `apply` raises before it changes the unit, or not at all."""

    @property
    def key(self) -> Key:
        """Tenant and session; operations on one key keep their order."""
        ...

    @property
    def size(self) -> int:
        """Payload bytes, for the bound of a batch."""
        ...

    def apply(self, unit: Unit) -> R_co:
        """Do it, within the unit's transaction."""
        ...


def keys_of(operation: Operation[Any]) -> Collection[Key]:
    """The sessions that an operation writes to: `keys`, of one that has several, or
    none."""
    keys: Collection[Key] | None = getattr(operation, "keys", None)
    return (operation.key,) if keys is None else keys


def places_of(operations: Iterable[Operation[Any]]) -> set[Place]:
    """The items outside sessions that operations write to."""
    return {p for operation in operations for p in getattr(operation, "places", ())}


class Unit:
    """The work of one transaction."""

    def __init__(
        self, connection: Connection, heads: Mapping[Key, Row] | None = None
    ) -> None:
        self.connection = connection
        self.dialect = dialect_of(connection)
        # Copies: what is given stays as it was before.
        self._heads: dict[Key, Head | None] = {
            key: Head(row.copy()) for key, row in (heads or {}).items()
        }
        self._missing = 0
        self._rows: dict[str, list[Row]] = {}
        # Written since the last flush, and of which hooks are yet to be told.
        self._inserted: dict[str, list[Row]] = {}
        self._made: dict[Key, Row] = {}
        self._new: dict[Key, Head] = {}
        self._described: set[Key] = set()
        self._titled: set[Key] = set()
        # Sessions whose rows are there before the operation that makes them; no other
        # operation has seen them.
        self.inserted_ahead: dict[Key, Row] = {}
        # Forks and the sessions that they were made from.
        self._forked: dict[Key, Key] = {}
        self._changes: dict[Prepared, list[Row]] = {}
        # Sessions whose whole rows are gathered: see `put_back`.
        self._back: set[Key] = set()
        # External ids of turns, by session: what a batch looked up, and what it added
        # since.
        self.external: dict[Key, dict[str, Row | None]] = {}
        # The smallest id that the checkpoints of a session must not have been ended
        # through, where the one statement that writes compares it; None: asked for.
        self.not_ended: dict[Key, str] | None = None
        # Of interactions, by session: likewise.
        self.acts: dict[Key, KnownActs] = {}
        self._labels: dict[tuple[str, str, str], int] = {}
        self._cells: dict[str, Cells] = {}
        # Whoever runs operations says where the costs of a new owner's session go.
        self.ledger: OwnersLedger | None = None
        self._new_owner: NewOwner | None = None
        # Whether one that has just been made elsewhere is waited for.
        self.waits = True
        # Told of a session whose rows have come back: what was read of it is not so
        # any more.
        self.on_back: list[Callable[[Key], None]] = []

    def know(self, rows: Mapping[Key, Row]) -> None:
        """Take heads for what they are; the rows are the unit's from now on."""
        self._heads |= {key: Head(row) for key, row in rows.items()}

    def load(self, keys: Collection[Key]) -> None:
        """Lock and read the heads of many sessions with one statement."""
        wanted = self._unknown(keys)
        if wanted:
            claims = self._missing < _MOST_CLAIMS
            rows = session_locks.locked(self.connection, wanted, claims=claims)
            self._take_up(wanted, rows)

    def load_free(self, keys: Collection[Key]) -> set[Key]:
        """As `load`, of those that no other transaction holds.

        Returns:
            The others, without having waited for them; they are not loaded.
        """
        wanted = self._unknown(keys)
        if not wanted:
            return set()
        rows, held = session_locks.free(self.connection, wanted)
        self._take_up(wanted - held, rows)
        return held

    def _unknown(self, keys: Collection[Key]) -> set[Key]:
        return {key for key in keys if key not in self._heads}

    def _take_up(self, keys: Collection[Key], rows: Mapping[Key, Row]) -> None:
        self._heads |= dict.fromkeys(keys)
        self._heads |= {key: Head(row) for key, row in rows.items()}
        self._missing += len(keys) - len(rows)

    def find(self, key: Key) -> Head | None:
        """The head of a session in any state, locked; None when there is none."""
        if key in self._back:
            self._write_rows()  # it may be about to look for what has come back
        if key not in self._heads:
            self.load([key])
        return self._heads[key]

    def known(self, key: Key) -> Head | None:
        """As `find`, for whoever looks at nothing but the head."""
        return self._heads[key] if key in self._heads else self.find(key)

    def forget(self, key: Key) -> None:
        """Read the head again next time: somebody else may have made it."""
        self._heads.pop(key, None)
        self._look_up_again(key)

    def look_again(self, key: Key) -> Head | None:
        """The head of a session that somebody else has made since it was looked for.

        Raises:
            HeldElsewhereError: It is held, and this transaction waits for nobody.
        """
        self.forget(key)
        # While we wait we would hold other sessions: perhaps those that it waits for.
        if not self.waits and self.load_free([key]):
            raise HeldElsewhereError
        return self.find(key)

    def add_head(self, key: Key, row: Row) -> Head:
        """Take up a session row that this transaction has just inserted."""
        head = self._heads[key] = Head(row)
        self.note_made(key, row)
        return head

    def add_new(self, key: Key, row: Row) -> Head:
        """Take up a session whose row the next flush inserts, as it is by then: only
        where nobody else can make it meanwhile."""
        head = self._new[key] = self.add_head(key, row)
        return head

    def write_new(self) -> None:
        """Insert what `add_new` took up; for whoever writes rows of theirs himself."""
        if self._new:
            new, self._new = self._new.values(), {}
            row_writes.INSERT_SESSION.many(self.connection, [head.row for head in new])
            for head in new:
                head.dirty = head.cold = False

    def note_made(self, key: Key, row: Row) -> None:
        """Have the next flush tell of a session whose row was written without it."""
        self._made[key] = row

    def note_described(self, key: Key) -> None:
        """Have the next flush tell of a session with other metadata or tags."""
        self._described.add(key)

    def note_titled(self, key: Key) -> None:
        """Have the next flush tell of a session with another title."""
        self._titled.add(key)

    def note_fork(self, key: Key, source: Key) -> None:
        """Have the next flush tell of a session whose turns the database copies."""
        self._forked[key] = source

    def carry_out(self, operation: Operation[R_co]) -> R_co:
        """Apply an operation; if it refuses, no session has got an owner by it."""
        if self._new and not self._new.keys().isdisjoint(keys_of(operation)):
            self.write_new()  # this one may write rows of it by itself
        try:
            result = operation.apply(self)
        except BaseException:
            self._take_owner_back()
            raise
        if self._new_owner is not None:
            self._note_owner()
        return result

    def active(self, key: Key, user_id: str | None = None) -> Head:
        """The head of a session that can be written to.

        One without an owner becomes the user's, in the commit of the operation.

        Raises:
            SessionNotFoundError: None, or of another user.
            SessionArchivedError, SessionDeletedError, SessionErasedError: By state.
        """
        head = self.find(key)
        if head is None:
            raise SessionNotFoundError(key[1])
        owner = head.row["user_id"]
        if owner is None:
            check_usable(head.row["state"], None, key[1], None)
            if user_id is not None:
                self.give(key, head, user_id)
        else:
            check_usable(head.row["state"], owner, key[1], user_id)
        return head

    def give(self, key: Key, head: Head, user_id: str) -> None:
        """Make a user the owner of a live session, if the operation goes well; costs
        follow."""
        old = head.row["user_id"]
        if old == user_id:
            return
        assert self.ledger is not None, "costs would stay where they are"
        self._new_owner = NewOwner(
            key, head, old, head.row["version"], head.cold, self.ledger.cost_of(key)
        )
        head.row["user_id"] = user_id

    @property
    def gives_owner(self) -> bool:
        """Whether the operation under way gives its session an owner."""
        return self._new_owner is not None

    def _note_owner(self) -> None:
        given, self._new_owner = self._new_owner, None
        if given is None:
            return
        head = given.head
        assert self.ledger is not None
        self.ledger.change_owner(
            given.key, given.old, head.row["user_id"], given.cost_micros
        )
        head.cold = True
        if head.row["version"] == given.version:  # the operation changed nothing else
            head.touch(head.row["updated_at"], activity=False)

    def _take_owner_back(self) -> None:
        given, self._new_owner = self._new_owner, None
        if given is None:
            return
        head = given.head
        head.row["user_id"] = given.old
        if given.was_cold:  # a flush on the way may have written it
            head.dirty = head.cold = True

    def add(self, table: Table, row: Row) -> None:
        """Gather a row for the flush."""
        self._rows.setdefault(table.name, []).append(row)

    def put_back(self, key: Key, rows: Iterable[tuple[Table, list[Row]]]) -> None:
        """Gather all rows of a session. Of many sessions they are written together,
        unless a later operation of this transaction turns to the same session."""
        for table, of_table in rows:
            self._rows.setdefault(table.name, []).extend(of_table)
        self._back.add(key)
        # What was looked up of this session before is looked up again.
        self.external.pop(key, None)
        self._look_up_again(key)
        for tell in self.on_back:
            tell(key)

    def _look_up_again(self, key: Key) -> None:
        self.acts.pop(key, None)
        for cells in self._cells.values():
            cells.forget(key)

    def cells(self, table: CellTable) -> Cells:
        """A table's rows that are changed in place, as this transaction has them."""
        found = self._cells.get(table.name)
        if found is None:
            found = self._cells[table.name] = Cells(table)
        return found

    def look_up_cells(self, operations: Iterable[Operation[Any]]) -> None:
        """Read the rows that operations will ask for, with one statement a table."""
        wanted: dict[CellTable, list[Place]] = {}
        for operation in operations:
            for table, place in getattr(operation, "cells", ()):
                wanted.setdefault(table, []).append(place)
        for table, places in wanted.items():
            self.cells(table).look_up(self.connection, places)

    def set_label(self, key: Key, label: str, count: int) -> None:
        """Gather how often a session's effective feedback says `label`."""
        self._labels[*key, label] = count

    def change(self, statement: Prepared, values: Row) -> None:
        """Gather a change of a row for the flush."""
        self._changes.setdefault(statement, []).append(values)

    def heads(self) -> Iterable[tuple[Key, Head | None]]:
        """The heads as they are now, changes included."""
        return self._heads.items()

    def keep(self, keys: Collection[Key]) -> None:
        """Know the heads of `keys` only."""
        self._heads = {key: self._heads[key] for key in keys}

    def taken(self) -> tuple[list[Row], list[Row], dict[Prepared, list[Row]]]:
        """The gathered turns, the rows of the changed heads and the gathered changes,
        in place of a flush."""
        heads = [h.row for h in self._heads.values() if h is not None and h.dirty]
        changes, self._changes = self._changes, {}
        return self._rows.pop(models.turns.name, []), heads, changes

    def write_changes(self) -> None:
        """Write the gathered rows and changes of rows, and no heads: for whoever is
        about to read what this transaction has gathered."""
        self._write_rows()
        for statement, values in self._changes.items():
            statement.many(self.connection, values)
        self._changes.clear()

    def flush(self) -> None:
        """Write what was gathered; heads stay valid for the next round."""
        self.write_new()
        hot: dict[Key, Row] = {}
        cold: dict[Key, Row] = {}
        changed: dict[Prepared, list[Row]] = {}
        for key, head in self._heads.items():
            if head is not None and head.dirty:
                (cold if head.cold else hot)[key] = head.row
                if head.cold:
                    changed.setdefault(head.written_by(), []).append(head.row)
                head.dirty = head.cold = False
        self.write_changes()
        for cells in self._cells.values():
            cells.flush(self.connection)
        if hot:
            row_writes.UPDATE_HOT.many(self.connection, list(hot.values()))
        for statement, rows in changed.items():
            if statement is row_writes.UPDATE_GONE:
                row_writes.write_gone(self.connection, rows)
            else:
                statement.many(self.connection, rows)
        self._tell(hot, cold)

    def _tell(self, hot: dict[Key, Row], cold: dict[Key, Row]) -> None:
        made, rows, labels = self._made, self._inserted, self._labels
        self._made, self._inserted, self._labels = {}, {}, {}
        forked, self._forked = self._forked, {}
        described, self._described = self._described, set()
        titled, self._titled = self._titled, set()
        if made:
            # As its head has it by now, if it was written to since.
            cold = {key: hot.pop(key, row) for key, row in made.items()} | cold
        if hot or cold or rows or labels:
            flushed = Flushed(
                rows, hot, cold, labels, forked, made.keys(), described, titled
            )
            said = {n for n in Flushed.__struct_fields__ if getattr(flushed, n)}
            for hook in flush_hooks.hooks_of(self.connection):
                if not said.isdisjoint(hook.about):
                    hook.flush(self.connection, flushed)

    def _write_rows(self) -> None:
        self.write_new()
        for name, rows in self._rows.items():
            if rows:
                if name == models.attachments.name:
                    attachments.keep(self.connection, rows)
                else:
                    row_writes.INSERTS[name].many(self.connection, rows)
                self._inserted.setdefault(name, []).extend(rows)
        self._rows.clear()
        self._back.clear()


def check_usable(
    state: str, owner: str | None, session_id: str, user_id: str | None
) -> None:
    """Refuse what must not be read as live or written to; others' sessions come first,
    so that nobody learns what became of them."""
    if state == "active" and (user_id is None or owner == user_id):
        return  # as nearly all are
    if is_hidden(state, owner, user_id):
        raise SessionNotFoundError(session_id)
    if state == "active":
        return
    if state == "archived":
        raise SessionArchivedError(session_id)
    if state == "deleted":
        raise SessionDeletedError(session_id)
    raise SessionErasedError(session_id)


def check_version(head: Head, expected: int | None) -> None:
    """Refuse where the session is at another version.

    Raises:
        VersionConflictError: With both.
    """
    actual = head.row["version"]
    if expected is not None and expected != actual:
        raise VersionConflictError("session", expected, actual)


def check_head(head: Head, expected: int | None) -> None:
    """Refuse where the active branch moved on; 0 is the empty one.

    Raises:
        VersionConflictError: With both numbers.
    """
    actual = head.row["head_seq"] or 0
    if expected is not None and expected != actual:
        raise VersionConflictError("head", expected, actual, at="turn")


def is_hidden(state: str, owner: str | None, user_id: str | None) -> bool:
    """Whether a session is none to this user: another's, or nobody's.

    What is gone for good has no owner any more, and says so to everybody.
    """
    if user_id is None or owner == user_id:
        return False
    return owner is not None or state in ("active", "archived")
