"""Whole sessions out of the database, many with one statement a table."""

from __future__ import annotations

import hashlib
import re
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from operator import itemgetter
from typing import Any, Generic, TypeVar

from sqlalchemy import Connection, Select, Table, and_, select

from convstore.codec import decode_json, digest, dumps
from convstore.db import models
from convstore.db.dialects.base import Dialect
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
    session_from_row,
    turn_from_row,
)
from convstore.db.statements import Prepared, Values
from convstore.errors import CorruptionError, RowCorruptError
from convstore.records import Session, SessionDocument

T = TypeVar("T")
Rows = dict[str, list[Sequence[Any]]]
_KEY = ("tenant_id", "session_id")
_SHA256 = re.compile(r"[0-9a-f]{64}", re.ASCII)


@dataclass(frozen=True, slots=True)
class _Part:
    """The rows of one table that belong to a session, each led by the session's id."""

    statement: Prepared
    order: Callable[[Sequence[Any]], Any]

    def of_sessions(self, connection: Connection, given: Values) -> Rows:
        """The rows by session, in order."""
        groups: Rows = defaultdict(list)
        for row in self.statement.all(connection, given):
            groups[row[0]].append(row)
        for rows in groups.values():
            # They nearly always are, but no database promises it.
            rows.sort(key=self.order)
        return groups


def _part(table: Table, columns: Sequence[Any], *order: str) -> _Part:
    names = [column.name for column in columns]
    extra = [table.c.digest] if "digest" in table.c else []

    def word(dialect: Dialect) -> Select[Any]:
        return _of_asked(dialect, table, [table.c.session_id, *columns, *extra])

    return _Part(Prepared(word), itemgetter(*(names.index(name) + 1 for name in order)))


def _of_asked(dialect: Dialect, table: Table, columns: Sequence[Any]) -> Select[Any]:
    # Both columns of the key are asked for: with a tenant that is bound by itself,
    # SQLite reads all rows of the tenant and looks each of them up among the asked.
    asked = dialect.asked(*_KEY)
    same = and_(*(table.c[name] == asked.c[name] for name in _KEY))
    return select(*columns).select_from(asked.join(table, same))


_SESSIONS = Prepared(lambda d: _of_asked(d, models.sessions, SESSION_COLUMNS))
_PARTS = (
    _part(models.turns, TURN_COLUMNS, "seq"),
    _part(
        models.tool_sets,
        [models.tool_sets.c.tools_hash, models.tool_sets.c.tools],
        "tools_hash",
    ),
    _part(models.interactions, INTERACTION_COLUMNS, "seq"),
    _part(models.graph_states, GRAPH_STATE_COLUMNS, "namespace", "version"),
    _part(models.session_ledger, LEDGER_COLUMNS, "created_at"),
    _part(models.legal_holds, HOLD_COLUMNS, "number"),
)


@dataclass(frozen=True, slots=True)
class _Kind(Generic[T]):
    """A kind of row that has a checksum; `covered` picks the columns under it."""

    name: str
    covered: Callable[[Sequence[Any]], tuple[Any, ...]]
    build: Callable[[str, Sequence[Any]], T]

    def checked(self, session_id: str, rows: Sequence[Sequence[Any]]) -> tuple[T, ...]:
        """The records of the rows; errors as `assemble`."""
        covered, build, records = self.covered, self.build, list[T]()
        try:
            for row in rows:
                if digest(*covered(row)) != bytes(row[-1]):
                    raise RowCorruptError(session_id, f"{self.name} {row[1]}")
                records.append(build(session_id, row[1:-1]))
        except (CorruptionError, ValueError, TypeError):
            raise RowCorruptError(session_id, self.name) from None
        return tuple(records)


def _kind(
    name: str,
    columns: Sequence[Any],
    covered: list[str],
    build: Callable[[str, Sequence[Any]], T],
) -> _Kind[T]:
    names = [column.name for column in columns]
    return _Kind(name, itemgetter(*(names.index(n) + 1 for n in covered)), build)


_TURN = _kind("turn", TURN_COLUMNS, TURN_DIGEST, turn_from_row)
_INTERACTION = _kind(
    "interaction", INTERACTION_COLUMNS, INTERACTION_DIGEST, interaction_from_row
)
_GRAPH_STATE = _kind(
    "graph state", GRAPH_STATE_COLUMNS, GRAPH_STATE_DIGEST, graph_state_from_row
)


def read(
    connection: Connection, tenant: str, session_ids: Sequence[str]
) -> dict[str, SessionDocument | CorruptionError]:
    """The documents of those sessions that have a row, by id.

    Every row's checksum is compared: a session with a damaged row gives its error in
    place of a document. Call in a snapshot, or under the sessions' locks.
    """
    given = {"asked": dumps([[tenant, one] for one in session_ids]).decode()}
    sessions = {
        session.id: session
        for session in map(session_from_row, _SESSIONS.all(connection, given))
    }
    tables = [part.of_sessions(connection, given) for part in _PARTS]
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
    found = _TURN.checked(sid, turns)
    if {turn.tools_hash for turn in found} - {None} - tool_sets.keys():
        raise RowCorruptError(sid, "the list of tool sets")
    return SessionDocument(
        session=session,
        turns=found,
        tool_sets=tool_sets,
        interactions=_INTERACTION.checked(sid, interactions),
        graph_states=_GRAPH_STATE.checked(sid, graph_states),
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
