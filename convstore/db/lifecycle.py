"""The statements that make rows go and come back. Only `archive`, `erasure` and
`retention` call them.

Rows go only through `take`, which gives back exactly what it deleted; whoever calls it
compares that with the archived copy in the same transaction, and rolls back if the two
differ in any column.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from operator import itemgetter
from typing import Any

from sqlalchemy import (
    Connection,
    Table,
    bindparam,
    delete,
    insert,
    null,
    select,
    update,
)

from convstore.db import (
    archive_entries,
    attachments,
    models,
    search_marks,
    session_locks,
    sizes,
)
from convstore.db.codec.checkpoints import CHECKPOINT_ROWS, order_of
from convstore.db.codec.documents import DocumentRows, hold_rows, session_row
from convstore.db.codec.records import (
    GRAPH_STATE_COLUMNS,
    INTERACTION_COLUMNS,
    LEDGER_COLUMNS,
    SESSION_ITEM_COLUMNS,
    STATE_COLUMNS,
    TURN_COLUMNS,
    SelectedRow,
)
from convstore.db.dialects import dialect_of
from convstore.db.dialects.base import search_mode_of
from convstore.db.documents import ATTACHMENTS, HOLDS, TOOL_SET_COLUMNS, selected
from convstore.db.row_writes import INSERT_SESSION
from convstore.db.session_ids import about, about_keys, by_session, of_sessions
from convstore.db.session_rows import SessionRows
from convstore.db.sessions import new_row
from convstore.db.statements import Prepared
from convstore.db.unit import Head, Key, Row, Unit, check_version
from convstore.vocabulary.codec import decode_json
from convstore.vocabulary.errors import (
    CorruptionError,
    SessionDeletedError,
    SessionErasedError,
    SessionNotFoundError,
)
from convstore.vocabulary.records import Session, SessionDocument

S = models.sessions.c
_GONE_WITH_SESSION = (
    models.turns,
    models.tool_sets,
    models.interactions,
    models.graph_states,
    models.session_ledger,
    models.session_state,
    models.session_items,
    *(kind.table for kind in CHECKPOINT_ROWS.values()),
)
# Rows to find a session by, which say what its own row says.
_SAID_AGAIN = (
    models.session_metadata,
    models.session_labels,
    models.session_title_words,
)
_TAKEN = {
    models.turns: TURN_COLUMNS,
    models.tool_sets: TOOL_SET_COLUMNS,
    models.interactions: INTERACTION_COLUMNS,
    models.graph_states: GRAPH_STATE_COLUMNS,
    models.session_ledger: LEDGER_COLUMNS,
    models.session_state: STATE_COLUMNS,
    models.session_items: SESSION_ITEM_COLUMNS,
}
# How DELETE … RETURNING gives rows back is not defined: they are put in key order, by
# so many columns behind the session's id.
_ORDER = {
    models.turns: 1,
    models.tool_sets: 1,
    models.interactions: 1,
    models.graph_states: 2,
    models.session_ledger: 0,
    models.session_state: 1,
    models.session_items: 2,
    **{kind.table: len(order_of(kind)) for kind in CHECKPOINT_ROWS.values()},
}


def take(unit: Unit, tenant: str, heads: Sequence[Head]) -> list[SessionRows]:
    """Delete the rows of sessions and give them back, in the order of the heads.

    The heads are locked and stay as they are.
    """
    connection, ids = unit.connection, [head.row["session_id"] for head in heads]
    given = about(tenant, ids)
    # A row that comes after this look stays, as one that came after a DELETE would.
    tables = sizes.possible(connection, tenant, ids)

    def taken(table: Table) -> dict[str, list[SelectedRow]]:
        return _taken(connection, table, given) if table.name in tables else {}

    def kept(table: Table, statement: Prepared) -> dict[str, list[SelectedRow]]:
        found = statement.all(connection, given) if table.name in tables else []
        return by_session(found)

    groups = [taken(table) for table in _TAKEN]
    groups.append(kept(models.legal_holds, HOLDS))
    checkpoints = [taken(kind.table) for kind in CHECKPOINT_ROWS.values()]
    # These stay: an archived session names them as well.
    attached = kept(models.session_attachments, ATTACHMENTS)
    return [
        SessionRows(
            head.record,
            *(group.get(head.row["session_id"], []) for group in groups),
            checkpoints=[g.get(head.row["session_id"], []) for g in checkpoints],
            attachments=attached.get(head.row["session_id"], []),
        )
        for head in heads
    ]


def there(
    unit: Unit, keys: Sequence[Key], must_exist: bool, expected_version: int | None
) -> list[tuple[Key, Head]]:
    """Those of the sessions that there are.

    Raises:
        SessionNotFoundError: One is not there that must be.
        VersionConflictError: One is at another version than expected.
    """
    found = []
    for key in keys:
        head = unit.find(key)
        if head is None and must_exist:
            raise SessionNotFoundError(key[1])
        if head is None:
            continue
        if head.row["state"] != "deleted":
            check_version(head, expected_version)
        found.append((key, head))
    return found


def destroy(connection: Connection, keys: Sequence[Key]) -> dict[str, int]:
    """Delete every row of sessions but the sessions' own; how many of which table."""
    counts: dict[str, int] = {}
    tables = (
        *(*_GONE_WITH_SESSION, *_SAID_AGAIN),
        *(models.legal_holds, models.archived_actors),
    )
    given = about_keys(keys)
    for table in tables:
        name = str.__str__(table.name)  # SQLAlchemy's is a subclass of str
        of_these = of_sessions(dialect_of(connection), table)
        done = connection.execute(delete(table).where(of_these), given)
        counts[name] = done.rowcount
    return counts | attachments.release(connection, keys)


def blank(head: Head, state: str, now: int) -> None:
    """Leave of a session's row only what refuses its id: no title, user or metadata."""
    head.row.update(
        state=state,
        user_id=None,
        title=None,
        language=None,
        tags="[]",
        metadata="{}",
        expires_at=None,
        head_seq=None,
        branched=False,
        turn_count=0,
        interaction_count=0,
        graph_state_count=0,
        feedback_counts="{}",
        current_slots="{}",
        current_template_id=None,
        hold_count=0,
        archived_at=None,
        segment_id=None,
        imported_at=None,
        forked_from=None,
        forked_at_seq=None,
        forked_turns=None,
        root_session_id=None,
    )
    head.cold = True
    head.touch(now, activity=False)


@dataclass(slots=True)
class RestoreSession:
    """Put an archived session's rows back, if it is still archived in that segment.

    Of any number of callers one inserts; the others find the session live.
    """

    key: Key
    rows: DocumentRows
    segment_id: str
    now: int
    deleted_too: bool = False
    size: int = 0

    def apply(self, unit: Unit) -> Session:
        head = unit.find(self.key)
        if head is None:
            raise SessionNotFoundError(self.key[1])
        state = head.row["state"]
        if state == "erased":
            raise SessionErasedError(self.key[1])
        if state == "deleted" and not self.deleted_too:
            raise SessionDeletedError(self.key[1])
        if state == "active" or head.row["segment_id"] != self.segment_id:
            return head.record
        unit.put_back(self.key, self.rows)
        if state == "deleted":
            for label, count in decode_json(head.row["feedback_counts"]).items():
                unit.set_label(self.key, label, count)
        archive_entries.note_restored(unit, self.key, self.segment_id)
        head.move(self.now, "active", None)
        return head.record


def adopt(
    unit: Unit, documents: Sequence[SessionDocument], segment_id: str, now: int
) -> None:
    """Make the stubs of sessions that only the archive knows, as their purge left them.

    Of all with few statements. To be flushed.
    """
    connection = unit.connection
    rows = [_stub(document, segment_id, now) for document in documents]
    INSERT_SESSION.many(connection, rows)
    if holds := [hold for document in documents for hold in hold_rows(document)]:
        connection.execute(insert(models.legal_holds), holds)
    attachments.adopt(connection, documents, now)
    _note_stubs(unit, documents, rows)


def adopt_again(
    unit: Unit, document: SessionDocument, segment_id: str, now: int
) -> None:
    """As `adopt`, in place of the stub that was made from another copy."""
    connection, row = unit.connection, _stub(document, segment_id, now)
    key = (row["tenant_id"], row["session_id"])
    for table in (*_SAID_AGAIN, models.legal_holds, models.sessions):
        of_session = (table.c.tenant_id == key[0], table.c.session_id == key[1])
        if table is models.sessions:
            connection.execute(update(table).where(*of_session).values(row))
        else:
            connection.execute(delete(table).where(*of_session))
    if holds := hold_rows(document):
        connection.execute(insert(models.legal_holds), holds)
    attachments.release(connection, [key])
    attachments.adopt(connection, [document], now)
    _note_stubs(unit, [document], [row])


def _stub(document: SessionDocument, segment_id: str, now: int) -> Row:
    return session_row(document.session) | {
        "state": "archived",
        "version": document.session.version + 1,
        "segment_id": segment_id,
        "archived_at": now,
    }


def _note_stubs(
    unit: Unit, documents: Sequence[SessionDocument], rows: Sequence[Row]
) -> None:
    for document, row in zip(documents, rows, strict=True):
        key = (row["tenant_id"], row["session_id"])
        for label, count in document.session.feedback_counts.items():
            unit.set_label(key, label, count)
        unit.forget(key)
        unit.note_made(key, row)
    if search_mode_of(unit.connection) != "off":
        marks = [(r["tenant_id"], r["session_id"], r["version"]) for r in rows]
        search_marks.add(unit.connection, marks)


def ids_of_user(
    connection: Connection, tenant: str, user_id: str, *, begun_by: int | None = None
) -> list[Key]:
    """Every session of a user, in any state; with `begun_by`, begun until then."""
    statement = (
        select(S.session_id)
        .where(S.tenant_id == tenant, S.user_id == user_id)
        .order_by(S.session_id)
    )
    if begun_by is not None:
        statement = statement.where(S.created_at <= begun_by)
    rows = connection.execute(statement)
    return [(tenant, session_id) for session_id in rows.scalars()]


def user_ids(connection: Connection, tenant: str) -> list[str]:
    """Every user of a tenant that has a session."""
    return list(
        connection.execute(
            select(S.user_id)
            .where(S.tenant_id == tenant, S.user_id.is_not(None))
            .distinct()
        ).scalars()
    )


def make_refusals(
    connection: Connection, tenant: str, session_ids: Sequence[str]
) -> None:
    """Give ids that must be refused for ever a row, where the database has none."""
    rows = [
        new_row((tenant, session_id), 0) | {"state": "erased"}
        for session_id in session_ids
    ]
    if rows:
        connection.execute(dialect_of(connection).insert_ignore(models.sessions), rows)


def note_problem(connection: Connection, keys: Iterable[Key], problem: str) -> None:
    """Say why sessions could not be archived; not of one that somebody holds now, for
    that comes round again."""
    free, _ = session_locks.free(connection, list(keys))
    changes = [
        {"b_tenant": t, "b_session": s, "b_problem": problem} for t, s in sorted(free)
    ]
    if changes:
        connection.execute(
            update(models.sessions)
            .where(
                S.tenant_id == bindparam("b_tenant"),
                S.session_id == bindparam("b_session"),
            )
            .values(problem=bindparam("b_problem")),
            changes,
        )


def forget_problems(connection: Connection, keys: Sequence[Key]) -> None:
    """Sessions that were archived after all have no problem any more."""
    if keys:
        _FORGET_PROBLEMS.run(connection, about_keys(keys))


def _taken(
    connection: Connection, table: Table, given: dict[str, str]
) -> dict[str, list[SelectedRow]]:
    groups = by_session(_deleted(connection, table, given))
    width = _ORDER[table]
    if width:
        place = itemgetter(*range(1, 1 + width))
        for rows in groups.values():
            rows.sort(key=place)
    return groups


def _deleted(
    connection: Connection, table: Table, given: dict[str, str]
) -> list[SelectedRow]:
    if dialect_of(connection).has_row_locks:
        return _TAKE[table].all(connection, given)
    # Nobody else writes until this transaction ends. RETURNING would put each row aside
    # whole: more than to read them all, and then to delete as many.
    rows = _READ[table].all(connection, given)
    if rows and _DELETE[table].count(connection, given) != len(rows):
        raise CorruptionError(f"{table.name}: not the rows went that were read")
    return rows


_FORGET_PROBLEMS = Prepared(
    lambda dialect: (
        update(models.sessions)
        .where(of_sessions(dialect, models.sessions), S.problem.is_not(None))
        .values(problem=null())
    )
)


def _take(table: Table, columns: Sequence[Any]) -> Prepared:
    return Prepared(
        lambda dialect: (
            delete(table)
            .where(of_sessions(dialect, table))
            .returning(*selected(table, columns))
        )
    )


def _read(table: Table, columns: Sequence[Any]) -> Prepared:
    return Prepared(
        lambda dialect: select(*selected(table, columns)).where(
            of_sessions(dialect, table)
        )
    )


def _delete(table: Table) -> Prepared:
    return Prepared(lambda dialect: delete(table).where(of_sessions(dialect, table)))


_ALL_TAKEN = {
    **_TAKEN,
    **{kind.table: kind.columns for kind in CHECKPOINT_ROWS.values()},
}
_TAKE = {table: _take(table, columns) for table, columns in _ALL_TAKEN.items()}
_READ = {table: _read(table, columns) for table, columns in _ALL_TAKEN.items()}
_DELETE = {table: _delete(table) for table in _ALL_TAKEN}
