"""The statements that make rows go and come back. Only `retention` calls them.

Rows go only through `take`, which gives back exactly what it deleted; whoever calls it
compares that with the archived copy in the same transaction, and rolls back if the two
differ in any byte.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import (
    Connection,
    Table,
    bindparam,
    delete,
    insert,
    select,
    update,
)

from convstore.db import models
from convstore.db.dialects import dialect_of
from convstore.db.document_rows import document_rows, hold_rows, session_row
from convstore.db.documents import assemble
from convstore.db.rows import (
    GRAPH_STATE_COLUMNS,
    HOLD_COLUMNS,
    INTERACTION_COLUMNS,
    LEDGER_COLUMNS,
    TURN_COLUMNS,
)
from convstore.db.sessions import new_row, searchable, write_searchable
from convstore.db.unit import Head, Key, Unit
from convstore.errors import (
    CorruptionError,
    SessionDeletedError,
    SessionErasedError,
    SessionNotFoundError,
)
from convstore.records import Session, SessionDocument

S = models.sessions.c
_GONE_WITH_SESSION = (
    models.turns,
    models.tool_sets,
    models.interactions,
    models.graph_states,
    models.session_ledger,
)
_TAKEN = {
    models.turns: TURN_COLUMNS,
    models.tool_sets: [models.tool_sets.c.tools_hash, models.tool_sets.c.tools],
    models.interactions: INTERACTION_COLUMNS,
    models.graph_states: GRAPH_STATE_COLUMNS,
    models.session_ledger: LEDGER_COLUMNS,
}
# How DELETE … RETURNING gives rows back is not defined: they are put in key order.
_ORDER = {
    models.turns: 1,
    models.tool_sets: 1,
    models.interactions: 1,
    models.graph_states: 2,
    models.session_ledger: 0,
}


def take(
    unit: Unit, tenant: str, heads: Sequence[Head]
) -> dict[str, SessionDocument | CorruptionError]:
    """Delete the rows of sessions and give them back as documents, by session id.

    The heads are locked and stay as they are. A session whose rows are damaged gives
    its error; its rows are deleted all the same, so the caller must roll back.
    """
    given = {"tenant": tenant, "ids": [head.row["session_id"] for head in heads]}
    groups = [_delete_returning(unit.connection, table, given) for table in _TAKEN]
    holds: dict[str, list[Any]] = defaultdict(list)
    for row in unit.connection.execute(_HOLDS, given):
        holds[row[0]].append(row)
    documents: dict[str, SessionDocument | CorruptionError] = {}
    for head in heads:
        session_id = head.row["session_id"]
        parts = [group.get(session_id, []) for group in (*groups, holds)]
        try:
            documents[session_id] = assemble(head.record, *parts)
        except CorruptionError as error:
            documents[session_id] = error
    return documents


def destroy(connection: Connection, keys: Sequence[Key]) -> dict[str, int]:
    """Delete every row of sessions but the sessions' own; how many of which table."""
    counts: dict[str, int] = {}
    tables = (*_GONE_WITH_SESSION, models.session_metadata, models.legal_holds)
    for table in tables:
        name = str.__str__(table.name)  # SQLAlchemy's is a subclass of str
        statement = delete(table).where(
            table.c.tenant_id == bindparam("tenant"),
            table.c.session_id.in_(bindparam("ids", expanding=True)),
        )
        for tenant in sorted({key[0] for key in keys}):
            ids = [session_id for owner, session_id in keys if owner == tenant]
            done = connection.execute(statement, {"tenant": tenant, "ids": ids})
            counts[name] = counts.get(name, 0) + done.rowcount
    return counts


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
    )
    head.cold = True
    head.touch(now, activity=False)


@dataclass(slots=True)
class RestoreSession:
    """Put an archived session's rows back, if it is still archived in that segment.

    Of any number of callers one inserts; the others find the session live.
    """

    key: Key
    document: SessionDocument
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
        for table, rows in document_rows(self.document):
            if rows:
                unit.connection.execute(insert(table), rows)
        unit.connection.execute(
            update(models.archive_entries)
            .where(
                models.archive_entries.c.tenant_id == self.key[0],
                models.archive_entries.c.session_id == self.key[1],
                models.archive_entries.c.segment_id == self.segment_id,
            )
            .values(state="restored")
        )
        head.row.update(state="active", segment_id=None, archived_at=None)
        head.cold = True
        head.touch(self.now)
        return head.record


def adopt(
    unit: Unit,
    document: SessionDocument,
    segment_id: str,
    now: int,
    *,
    again: bool = False,
) -> None:
    """Make the stub of a session that only the archive knows, as its purge left it.

    With `again`, in place of the stub that was made from another copy.
    """
    session, connection = document.session, unit.connection
    key = (session.tenant_id, session.id)
    row = session_row(session) | {
        "state": "archived",
        "version": session.version + 1,
        "segment_id": segment_id,
        "archived_at": now,
    }
    if again:
        for table in (models.session_metadata, models.legal_holds, models.sessions):
            of_session = (table.c.tenant_id == key[0], table.c.session_id == key[1])
            if table is models.sessions:
                connection.execute(update(table).where(*of_session).values(row))
            else:
                connection.execute(delete(table).where(*of_session))
    else:
        connection.execute(insert(models.sessions), row)
    write_searchable(connection, key, searchable(session.metadata, list(session.tags)))
    holds = hold_rows(document)
    if holds:
        connection.execute(insert(models.legal_holds), holds)
    unit.forget(key)


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
    """Say why sessions could not be archived."""
    changes = [{"b_tenant": t, "b_session": s, "b_problem": problem} for t, s in keys]
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
    for tenant in sorted({key[0] for key in keys}):
        ids = [session_id for owner, session_id in keys if owner == tenant]
        connection.execute(
            update(models.sessions)
            .where(
                S.tenant_id == bindparam("b_tenant"),
                S.session_id.in_(bindparam("b_ids", expanding=True)),
                S.problem.is_not(None),
            )
            .values(problem=None),
            {"b_tenant": tenant, "b_ids": ids},
        )


def _delete_returning(
    connection: Connection, table: Table, given: dict[str, Any]
) -> dict[str, list[Any]]:
    columns = [table.c.session_id, *_TAKEN[table]]
    if "digest" in table.c:
        columns.append(table.c.digest)
    statement = (
        delete(table)
        .where(
            table.c.tenant_id == bindparam("tenant"),
            table.c.session_id.in_(bindparam("ids", expanding=True)),
        )
        .returning(*columns)
    )
    groups: dict[str, list[Any]] = defaultdict(list)
    for row in connection.execute(statement, given):
        groups[row[0]].append(row)
    width = _ORDER[table]
    for rows in groups.values():
        rows.sort(key=lambda row: tuple(row[1 : 1 + width]))
    return groups


_HOLDS = (
    select(models.legal_holds.c.session_id, *HOLD_COLUMNS)
    .where(
        models.legal_holds.c.tenant_id == bindparam("tenant"),
        models.legal_holds.c.session_id.in_(bindparam("ids", expanding=True)),
    )
    .order_by(models.legal_holds.c.session_id, models.legal_holds.c.number)
)
