"""From a session document back to rows: the inverse of `db/documents.py`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from sqlalchemy import Table

from convstore.clock import to_micros
from convstore.codec import dumps
from convstore.db import models
from convstore.db.interactions import target_hash
from convstore.db.rows import (
    graph_state_digest,
    interaction_digest,
    turn_digest,
)
from convstore.db.unit import Row
from convstore.records import (
    NEW_CHAT,
    GraphState,
    Interaction,
    LedgerEntry,
    LegalHold,
    Session,
    SessionDocument,
    Turn,
)

Stored = Callable[[Any], Any]

_JSON = frozenset(
    "tags metadata feedback_counts current_slots parts slots results choice shown "
    "recent_hashes".split()
)


def document_rows(document: SessionDocument) -> list[tuple[Table, list[Row]]]:
    """The rows of everything but the session itself and its holds, by table."""
    tenant, session_id = document.session.tenant_id, document.session.id
    turns = [_row(models.turns, tenant, turn) for turn in document.turns]
    for row in turns:
        row["digest"] = turn_digest(row)
    acts = [_row(models.interactions, tenant, act) for act in document.interactions]
    for row in acts:
        row["target_hash"] = target_hash(row)
        row["digest"] = interaction_digest(row)
    graphs = [_row(models.graph_states, tenant, g) for g in document.graph_states]
    for row, graph in zip(graphs, document.graph_states, strict=True):
        row["state"] = _text(graph.state)
        row["digest"] = graph_state_digest(row)
    tools = [
        {
            "tenant_id": tenant,
            "session_id": session_id,
            "tools_hash": tools_hash,
            "tools": _text(tools),
        }
        for tools_hash, tools in document.tool_sets.items()
    ]
    ledger = []
    if document.ledger is not None:
        row = _row(models.session_ledger, tenant, document.ledger)
        ledger.append(row | {"user_id": document.session.user_id})
    return [
        (models.turns, turns),
        (models.tool_sets, tools),
        (models.interactions, acts),
        (models.graph_states, graphs),
        (models.session_ledger, ledger),
    ]


def hold_rows(document: SessionDocument) -> list[Row]:
    """The rows of the legal holds that the session was ever under."""
    tenant = document.session.tenant_id
    return [_row(models.legal_holds, tenant, hold) for hold in document.holds]


def session_row(session: Session) -> Row:
    """The session's row as it was when the record was read."""
    row = _row(models.sessions, session.tenant_id, session)
    row["session_id"] = session.id
    if session.title == NEW_CHAT:
        row["title"] = None
    return row


def _row(table: Table, tenant: str, record: object) -> Row:
    empty, filled = _PLANS[table.name]
    row = dict(empty)
    for name, stored in filled:
        value = getattr(record, name)
        if value is not None:
            row[name] = value if stored is None else stored(value)
    row["tenant_id"] = tenant
    return row


def _text(value: Any) -> str:
    return dumps(value).decode()


def _plan(table: Table, kind: type) -> tuple[Row, list[tuple[str, Stored | None]]]:
    """A row of nulls, and the fields of the record with what makes columns of them."""
    filled: list[tuple[str, Stored | None]] = []
    for column in table.c:
        if not hasattr(kind, column.name):
            continue
        stored: Stored | None = None
        if column.name in _JSON:
            stored = _text
        elif column.name.endswith("_at") or column.name == "cache_sticky_until":
            stored = to_micros
        filled.append((column.name, stored))
    return dict.fromkeys(table.c.keys()), filled


_PLANS = {
    table.name: _plan(table, kind)
    for table, kind in (
        (models.sessions, Session),
        (models.turns, Turn),
        (models.interactions, Interaction),
        (models.graph_states, GraphState),
        (models.session_ledger, LedgerEntry),
        (models.legal_holds, LegalHold),
    )
}
