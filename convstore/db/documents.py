"""Whole sessions out of the database, many with one statement a table."""

from __future__ import annotations

import hashlib
import re
from collections import defaultdict
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from sqlalchemy import Connection, Table, bindparam, select
from sqlalchemy import Row as ResultRow

from convstore.codec import decode_json
from convstore.db import models
from convstore.db.rows import (
    GRAPH_STATE_COLUMNS,
    GRAPH_STATE_DIGEST,
    HOLD_COLUMNS,
    INTERACTION_COLUMNS,
    INTERACTION_DIGEST,
    LEDGER_COLUMNS,
    SESSION_COLUMNS,
    TURN_COLUMNS,
    TURN_DIGEST,
    graph_state_from_row,
    hold_from_row,
    interaction_from_row,
    ledger_from_row,
    row_digest,
    session_from_row,
    turn_from_row,
)
from convstore.errors import CorruptionError, RowCorruptError
from convstore.records import Session, SessionDocument

T = TypeVar("T")
Rows = dict[str, list[ResultRow[Any]]]
_SHA256 = re.compile(r"[0-9a-f]{64}", re.ASCII)


def _of_sessions(table: Table, columns: Sequence[Any], *order: str) -> Any:
    extra = [table.c.digest] if "digest" in table.c else []
    return (
        select(table.c.session_id, *columns, *extra)
        .where(
            table.c.tenant_id == bindparam("tenant"),
            table.c.session_id.in_(bindparam("ids", expanding=True)),
        )
        .order_by(table.c.session_id, *(table.c[name] for name in order))
    )


_SESSIONS = select(*SESSION_COLUMNS).where(
    models.sessions.c.tenant_id == bindparam("tenant"),
    models.sessions.c.session_id.in_(bindparam("ids", expanding=True)),
)
_TURNS = _of_sessions(models.turns, TURN_COLUMNS, "seq")
_TOOLS = _of_sessions(
    models.tool_sets,
    [models.tool_sets.c.tools_hash, models.tool_sets.c.tools],
    "tools_hash",
)
_INTERACTIONS = _of_sessions(models.interactions, INTERACTION_COLUMNS, "seq")
_GRAPHS = _of_sessions(models.graph_states, GRAPH_STATE_COLUMNS, "namespace", "version")
_LEDGER = _of_sessions(models.session_ledger, LEDGER_COLUMNS)
_HOLDS = _of_sessions(models.legal_holds, HOLD_COLUMNS, "number")


def read(
    connection: Connection, tenant: str, session_ids: Sequence[str]
) -> dict[str, SessionDocument | CorruptionError]:
    """The documents of those sessions that have a row, by id.

    Every row's checksum is compared: a session with a damaged row gives its error in
    place of a document. Call in a snapshot, or under the sessions' locks.
    """
    given = {"tenant": tenant, "ids": list(session_ids)}
    sessions = {
        row.session_id: session_from_row(row)
        for row in connection.execute(_SESSIONS, given)
    }
    tables = [
        _grouped(connection, statement, given)
        for statement in (_TURNS, _TOOLS, _INTERACTIONS, _GRAPHS, _LEDGER, _HOLDS)
    ]
    found: dict[str, SessionDocument | CorruptionError] = {}
    for session_id, session in sessions.items():
        parts = [table.get(session_id, []) for table in tables]
        try:
            found[session_id] = assemble(session, *parts)
        except CorruptionError as error:
            found[session_id] = error
    return found


def assemble(
    session: Session,
    turns: Sequence[Sequence[Any]],
    tools: Sequence[Sequence[Any]],
    interactions: Sequence[Sequence[Any]],
    graph_states: Sequence[Sequence[Any]],
    ledger: Sequence[Sequence[Any]],
    holds: Sequence[Sequence[Any]],
) -> SessionDocument:
    """The document of a session and its rows, each row led by the session's id.

    Raises:
        RowCorruptError: A row's checksum does not match, or rows are missing.
    """
    sid = session.id
    if session.state == "active":
        _check_counts(session, turns, interactions, graph_states)
    tool_sets = _tool_sets(sid, tools)
    found = _checked(sid, turns, "turn", TURN_COLUMNS, TURN_DIGEST, turn_from_row)
    if {turn.tools_hash for turn in found} - {None} - tool_sets.keys():
        raise RowCorruptError(sid, "the list of tool sets")
    return SessionDocument(
        session=session,
        turns=found,
        tool_sets=tool_sets,
        interactions=_checked(
            sid,
            interactions,
            "interaction",
            INTERACTION_COLUMNS,
            INTERACTION_DIGEST,
            interaction_from_row,
        ),
        graph_states=_checked(
            sid,
            graph_states,
            "graph state",
            GRAPH_STATE_COLUMNS,
            GRAPH_STATE_DIGEST,
            graph_state_from_row,
        ),
        ledger=ledger_from_row(sid, ledger[0][1:]) if ledger else None,
        holds=tuple(hold_from_row(sid, row[1:]) for row in holds),
    )


def _check_counts(
    session: Session,
    turns: Sequence[Sequence[Any]],
    interactions: Sequence[Sequence[Any]],
    graph_states: Sequence[Sequence[Any]],
) -> None:
    """What is numbered has no gaps: a row that is missing is noticed by its number."""
    for what, rows, count in (
        ("turns", turns, session.turn_count),
        ("interactions", interactions, session.interaction_count),
    ):
        if len(rows) != count or (rows and (rows[0][1], rows[-1][1]) != (1, count)):
            raise RowCorruptError(session.id, f"the list of {what}")
    if len(graph_states) != session.graph_state_count:
        raise RowCorruptError(session.id, "the list of graph states")


def _tool_sets(session_id: str, tools: Sequence[Sequence[Any]]) -> dict[str, Any]:
    for _, name, text in tools:
        # An imported document may name its sets otherwise; then there is no checksum.
        known = _SHA256.fullmatch(name) is not None
        if known and hashlib.sha256(text.encode()).hexdigest() != name:
            raise RowCorruptError(session_id, "tool set")
    return {name: decode_json(text) for _, name, text in tools}


def _checked(
    session_id: str,
    rows: Sequence[Sequence[Any]],
    what: str,
    columns: Sequence[Any],
    covered: list[str],
    build: Callable[[str, Sequence[Any]], T],
) -> tuple[T, ...]:
    names = [column.name for column in columns]
    places = [names.index(name) + 1 for name in covered]
    records = []
    for row in rows:
        values = {name: row[place] for name, place in zip(covered, places, strict=True)}
        try:
            if row_digest(values, covered) != bytes(row[-1]):
                raise RowCorruptError(session_id, f"{what} {row[1]}")
            records.append(build(session_id, row[1:-1]))
        except (CorruptionError, ValueError, TypeError):
            raise RowCorruptError(session_id, what) from None
    return tuple(records)


def _grouped(connection: Connection, statement: Any, given: dict[str, Any]) -> Rows:
    groups: Rows = defaultdict(list)
    for row in connection.execute(statement, given):
        groups[row[0]].append(row)
    return groups
