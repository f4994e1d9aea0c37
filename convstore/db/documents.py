"""Whole sessions out of the database, many with one statement a table."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from operator import itemgetter
from types import MappingProxyType
from typing import Any

from sqlalchemy import BigInteger, Connection, Select, Table, and_, bindparam, select

from convstore.db import models, sizes
from convstore.db.codec.checkpoints import CHECKPOINT_ROWS, order_of
from convstore.db.codec.records import (
    GRAPH_STATE_COLUMNS,
    HOLD_COLUMNS,
    INTERACTION_COLUMNS,
    LEDGER_COLUMNS,
    SESSION_COLUMNS,
    SESSION_ITEM_COLUMNS,
    STATE_COLUMNS,
    TURN_COLUMNS,
    SelectedRow,
    session_from_row,
)
from convstore.db.dialects.base import Dialect
from convstore.db.session_ids import about, by_session, of_sessions
from convstore.db.session_rows import SessionRows
from convstore.db.statements import Prepared
from convstore.vocabulary.errors import CorruptionError
from convstore.vocabulary.records import Session, SessionDocument

_number = itemgetter(1)
TOOL_SET_COLUMNS = [models.tool_sets.c.tools_hash, models.tool_sets.c.tools]


def selected(table: Table, columns: Sequence[Any]) -> list[Any]:
    """What `SessionRows` wants of a table: session, columns, and checksum if any."""
    extra = [table.c.digest] if "digest" in table.c else []
    return [table.c.session_id, *columns, *extra]


def _unordered(table: Table, columns: Sequence[Any]) -> Prepared:
    """Of rows that have a number, by which they are put in order here: they come so
    from the index, and a database that is asked for it sorts all their text."""
    return Prepared(
        lambda dialect: select(*selected(table, columns)).where(
            of_sessions(dialect, table)
        )
    )


def _rows_of(table: Table, columns: Sequence[Any], *order: str) -> Prepared:
    return Prepared(
        lambda dialect: (
            select(*selected(table, columns))
            .where(of_sessions(dialect, table))
            .order_by(table.c.session_id, *(table.c[name] for name in order))
        )
    )


def _small(table: Table, columns: Sequence[Any]) -> Prepared:
    def word(dialect: Dialect) -> Select[Any]:
        most = bindparam("most", type_=BigInteger)
        return select(*selected(table, columns)).where(
            of_sessions(dialect, table), sizes.row_size(dialect, table) <= most
        )

    return Prepared(word)


_SESSIONS = Prepared(
    lambda dialect: select(*SESSION_COLUMNS).where(
        of_sessions(dialect, models.sessions)
    )
)


def _attached(dialect: Dialect) -> Any:
    """What `SessionRows` wants of attachments: session, hash, media type and bytes."""
    names, kept = models.session_attachments, models.attachments
    same = and_(kept.c.tenant_id == names.c.tenant_id, kept.c.hash == names.c.hash)
    return (
        select(names.c.session_id, kept.c.hash, kept.c.media_type, kept.c.data)
        .select_from(names.join(kept, same))
        .where(of_sessions(dialect, names))
        .order_by(names.c.session_id, kept.c.hash)
    )


ATTACHMENTS = Prepared(_attached)
HOLDS = _rows_of(models.legal_holds, HOLD_COLUMNS, "number")
_NUMBERED = frozenset({"turns", "interactions"})
_ROWS = {
    "turns": _unordered(models.turns, TURN_COLUMNS),
    "tool_sets": _rows_of(models.tool_sets, TOOL_SET_COLUMNS, "tools_hash"),
    "interactions": _unordered(models.interactions, INTERACTION_COLUMNS),
    "graph_states": _rows_of(
        models.graph_states, GRAPH_STATE_COLUMNS, "namespace", "version"
    ),
    "session_ledger": _rows_of(models.session_ledger, LEDGER_COLUMNS),
    "session_state": _rows_of(models.session_state, STATE_COLUMNS, "name"),
    "session_items": _rows_of(
        models.session_items, SESSION_ITEM_COLUMNS, "namespace", "key"
    ),
    "legal_holds": HOLDS,
}
_SMALL = {
    "turns": _small(models.turns, TURN_COLUMNS),
    "interactions": _small(models.interactions, INTERACTION_COLUMNS),
}
_CHECKPOINTS = {
    kind.table.name: _rows_of(kind.table, kind.columns, *order_of(kind))
    for kind in CHECKPOINT_ROWS.values()
}


def read(
    connection: Connection,
    tenant: str,
    session_ids: Sequence[str],
    tables: Collection[str] | None = None,
) -> dict[str, SessionDocument | CorruptionError]:
    """The documents of those sessions that have a row, by id; `tables` as `read_rows`.

    Every row's checksum is compared: a session with a damaged row gives its error in
    place of a document. Call in a snapshot, or under the sessions' locks.
    """
    found: dict[str, SessionDocument | CorruptionError] = {}
    for rows in read_rows(connection, tenant, session_ids, tables):
        try:
            found[rows.session.id] = rows.document()
        except CorruptionError as error:
            found[rows.session.id] = error
    return found


def read_rows(
    connection: Connection,
    tenant: str,
    session_ids: Sequence[str],
    tables: Collection[str] | None = None,
) -> list[SessionRows]:
    """The rows of those sessions that have one; call as `read`.

    `tables` are those with rows of any of them, where that is known in the snapshot:
    see `sizes.held`. The others are not asked.
    """
    if tables is None:
        tables = sizes.possible(connection, tenant, session_ids)
    found = heads(connection, tenant, session_ids)
    return _rows(connection, about(tenant, session_ids), found, tables)


def heads(
    connection: Connection, tenant: str, session_ids: Sequence[str]
) -> list[Session]:
    """Those sessions that have a row, without what is in them."""
    rows = _SESSIONS.all(connection, about(tenant, session_ids))
    return [session_from_row(row) for row in rows]


def read_small(
    connection: Connection,
    tenant: str,
    sessions: Sequence[Session],
    tables: Collection[str],
    most: int,
) -> list[SessionRows]:
    """The rows of sessions, as `read_rows`, but for turns and interactions of more than
    `most` characters or bytes: they are not sent, and their session lacks them."""
    given = about(tenant, (session.id for session in sessions)) | {"most": most}
    return _rows(connection, given, sessions, tables, _SMALL)


def _rows(
    connection: Connection,
    given: Mapping[str, Any],
    sessions: Sequence[Session],
    tables: Collection[str],
    instead: Mapping[str, Prepared] = MappingProxyType({}),
) -> list[SessionRows]:
    def rows_of(name: str, statement: Prepared) -> dict[str, list[SelectedRow]]:
        if name not in tables:
            return {}
        found = by_session(instead.get(name, statement).all(connection, given))
        if name in _NUMBERED:
            for rows in found.values():
                rows.sort(key=_number)
        return found

    groups = [rows_of(*each) for each in _ROWS.items()]
    checkpoints = [rows_of(*each) for each in _CHECKPOINTS.items()]
    attached = rows_of(models.session_attachments.name, ATTACHMENTS)
    return [
        SessionRows(
            session,
            *(group.get(session.id, []) for group in groups),
            checkpoints=[group.get(session.id, []) for group in checkpoints],
            attachments=attached.get(session.id, []),
        )
        for session in sessions
    ]
