"""Sessions: get or create, change, find, list, count."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from operator import not_
from typing import Any, TypeVar

from sqlalchemy import (
    Connection,
    Select,
    bindparam,
    func,
    select,
)

from convstore.db import models, session_counts
from convstore.db.codec.records import SESSION_COLUMNS, session_from_row
from convstore.db.dialects import dialect_of
from convstore.db.dialects.base import Dialect
from convstore.db.session_filters import Filter, conditions, values_of
from convstore.db.session_ids import about_keys, among, naming, of_sessions
from convstore.db.statements import BOUND, Prepared
from convstore.db.unit import Head, Key, Row, Unit, check_usable
from convstore.vocabulary.errors import (
    ConflictError,
    SessionNotFoundError,
    VersionConflictError,
)
from convstore.vocabulary.records import Session, SessionState

S = models.sessions.c
T = TypeVar("T")

_ONE_STATEMENT = select(*SESSION_COLUMNS).where(
    S.tenant_id == bindparam("tenant"), S.session_id == bindparam("id")
)
_ONE = Prepared(lambda _: _ONE_STATEMENT)
_MANY = Prepared(
    lambda dialect: select(*SESSION_COLUMNS).where(
        of_sessions(dialect, models.sessions)
    )
)
_CREATE = Prepared(
    lambda dialect: (
        dialect.insert_ignore(models.sessions)
        .values(
            {column.name: bindparam(BOUND + column.name) for column in SESSION_COLUMNS}
        )
        .returning(S.session_id)
    )
)


@dataclass(slots=True)
class EnsureSession:
    """Get a session, or create it with `values`; says which. Atomic."""

    key: Key
    values: Row
    now: int
    user_id: str | None = None
    size: int = 0

    def apply(self, unit: Unit) -> tuple[Session, bool]:
        head = unit.find(self.key)
        if head is None:
            head = create(unit, self.key, self.new_row())
            if head is not None:
                return head.record, True
            # Another process was first and has committed: its row is visible now.
            head = unit.look_again(self.key)
            assert head is not None
        head = unit.active(self.key, self.user_id)
        if unit.gives_owner:
            head.touch(self.now, activity=False)
        return head.record, False

    def new_row(self) -> Row:
        """The session's row if this operation makes it."""
        return new_row(self.key, self.now) | self.values


@dataclass(slots=True)
class UpdateSession:
    """Change fields of a session, if it is at the expected version."""

    key: Key
    values: Row
    now: int
    expected_version: int | None = None
    user_id: str | None = None
    activity: bool = False
    owner: str | None = None
    size: int = field(default=0)

    def apply(self, unit: Unit) -> Session:
        head = unit.active(self.key, self.user_id)
        version = head.row["version"]
        if self.expected_version is not None and version != self.expected_version:
            raise VersionConflictError("session", self.expected_version, version)
        if self.owner is not None:
            if head.row["user_id"] not in (None, self.owner):
                raise ConflictError("user_id: the session has an owner already")
            unit.give(self.key, head, self.owner)
        head.row.update(self.values)
        head.cold = head.cold or bool(self.values)
        head.touch(self.now, activity=self.activity)
        if "tags" in self.values or "metadata" in self.values:
            unit.note_described(self.key)
        if "title" in self.values:
            unit.note_titled(self.key)
        return head.record


def new_row(key: Key, now: int) -> Row:
    """The row of a session that nobody has written to yet."""
    return {
        "tenant_id": key[0],
        "session_id": key[1],
        "state": "active",
        "version": 1,
        "user_id": None,
        "title": None,
        "language": None,
        "tags": "[]",
        "metadata": "{}",
        "created_at": now,
        "updated_at": now,
        "last_activity_at": now,
        "expires_at": None,
        "head_seq": None,
        "branched": False,
        "turn_count": 0,
        "interaction_count": 0,
        "graph_state_count": 0,
        "feedback_counts": "{}",
        "current_slots": "{}",
        "current_template_id": None,
        "hold_count": 0,
        "archived_at": None,
        "segment_id": None,
        "imported_at": None,
        "forked_from": None,
        "forked_at_seq": None,
        "forked_turns": None,
        "root_session_id": None,
        "generation": None,
    }


def create(unit: Unit, key: Key, row: Row, *, later: bool = False) -> Head | None:
    """Insert a session's row; None if it exists by now.

    With `later`, whoever makes it writes rows of it by the unit alone: where nobody
    else can make it meanwhile, it is inserted with them, as it is by then.
    """
    ahead = unit.inserted_ahead.pop(key, None)
    if later and not unit.dialect.has_row_locks:
        return unit.add_new(key, row)
    if ahead is None and not _CREATE.all(unit.connection, row):
        return None
    return unit.add_head(key, row)


def find(connection: Connection, key: Key) -> Session | None:
    """The session in any state, or None. Takes no lock."""
    rows = _ONE.all(connection, {"tenant": key[0], "id": key[1]})
    return session_from_row(rows[0]) if rows else None


def find_many(connection: Connection, keys: Iterable[Key]) -> dict[Key, Session]:
    """Those of the sessions that have a row, in any state. Takes no lock."""
    found = map(session_from_row, _MANY.all(connection, about_keys(keys)))
    return {(session.tenant_id, session.id): session for session in found}


def get_usable(connection: Connection, key: Key, user_id: str | None) -> Session:
    """The session if it is live and the user's own; else the error of its state."""
    session = find(connection, key)
    if session is None:
        raise SessionNotFoundError(key[1])
    check_usable(session.state, session.user_id, key[1], user_id)
    return session


def read_live(
    connection: Connection,
    key: Key,
    user_id: str | None,
    read: Callable[[Session], T],
    *,
    is_nothing: Callable[[T], bool] = not_,
) -> T:
    """What `read` finds in a session that is live, and the user's own.

    Two statements are of two moments, and rows go in a purge. Rows that were found are
    the session's, for they never change; if none were found, it is asked again whether
    it is still as it was. One snapshot for both would cost every read more than the
    rare second look.

    Raises:
        SessionNotFoundError, SessionArchivedError, SessionDeletedError,
        SessionErasedError: As `check_usable`.
    """
    session = get_usable(connection, key, user_id)
    while True:
        found = read(session)
        if not is_nothing(found):
            return found
        version, session = session.version, get_usable(connection, key, user_id)
        if session.version == version:
            return found


def list_by_id(
    connection: Connection,
    tenant: str,
    wanted: Filter,
    after: str,
    limit: int,
    session_ids: Sequence[str] | None = None,
) -> list[tuple[str, SessionState]]:
    """Ids and states by id, beyond `after`: an order that no activity changes."""
    given = values_of(tenant, wanted)
    if session_ids is not None:
        asked = asked_statement(dialect_of(connection), wanted)
        rows = connection.execute(asked, given | naming(session_ids))
        return sorted((row[0], row[1]) for row in rows if row[0] > after)[:limit]
    statement = (
        select(S.session_id, S.state)
        .where(*conditions(wanted), S.session_id > after)
        .order_by(S.session_id)
        .limit(limit)
    )
    return [(row[0], row[1]) for row in connection.execute(statement, given)]


def asked_statement(dialect: Dialect, wanted: Filter) -> Select[Any]:
    """Id and state of those wanted among the sessions that `naming` names.

    Without an order: to have one, SQLite reads every session of the tenant by its key,
    and looks each of them up among the asked.
    """
    named = among(dialect, S.session_id)
    return select(S.session_id, S.state).where(*conditions(wanted), named)


def count(connection: Connection, tenant: str, wanted: Filter) -> int:
    """How many sessions there are of those wanted. Walks them, unless nothing but
    states is asked for."""
    if wanted == Filter(states=wanted.states):
        kept = session_counts.of_tenant(connection, tenant)
        return sum(kept[state].sessions for state in wanted.states if state in kept)
    statement = select(func.count()).select_from(models.sessions)
    statement = statement.where(*conditions(wanted))
    return int(connection.execute(statement, values_of(tenant, wanted)).scalar_one())
