"""What the rows of the tables are: sessions, turns and interactions, for analysts.

Columns are only added, and behind the others. What is JSON in a document is JSON text.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from convstore.vocabulary.codec import dumps
from convstore.vocabulary.records import SessionDocument

Row = dict[str, Any]

_WHOSE = {"tenant_id": "string", "session_id": "string", "user_id": "string"}

COLUMNS: dict[str, dict[str, str]] = {
    "sessions": {
        **_WHOSE,
        "title": "string",
        "language": "string",
        "tags": "strings",
        "metadata": "json",
        "created_at": "time",
        "last_activity_at": "time",
        "turn_count": "int",
        "interaction_count": "int",
        "feedback_counts": "json",
        "cost_micros": "int",
        "version": "int",
        "imported_at": "time",
        "forked_from": "string",
        "forked_at_seq": "int",
        "root_session_id": "string",
        "segment_id": "string",
    },
    "turns": {
        **_WHOSE,
        "seq": "int",
        "parent_seq": "int",
        "active": "bool",
        "role": "string",
        "content": "string",
        "parts": "json",
        "name": "string",
        "tool_call_id": "string",
        "model": "string",
        "finish_reason": "string",
        "tokens_in": "int",
        "tokens_out": "int",
        "cost_micros": "int",
        "language": "string",
        "resolved_question": "string",
        "template_id": "string",
        "slots": "json",
        "results": "json",
        "tools_hash": "string",
        "metadata": "json",
        "external_id": "string",
        "created_at": "time",
    },
    "interactions": {
        **_WHOSE,
        "seq": "int",
        "action": "string",
        "turn_seq": "int",
        "node_id": "string",
        "chosen": "int",
        "rejected": "ints",
        "actor_id": "string",
        "actor_kind": "string",
        "feedback": "string",
        "score": "float",
        "reason": "string",
        "content": "string",
        "shown": "json",
        "surface": "string",
        "supersedes": "int",
        "metadata": "json",
        "external_id": "string",
        "created_at": "time",
    },
}
"""The columns of each table, in order, and what they hold."""


def rows_of(document: SessionDocument, segment_id: str) -> Iterator[tuple[str, Row]]:
    """The rows of one session, each with the table that it belongs to."""
    session = document.session
    whose = {
        "tenant_id": session.tenant_id,
        "session_id": session.id,
        "user_id": session.user_id,
    }
    ledger = document.ledger
    derived: Row = {
        **whose,
        "segment_id": segment_id,
        "cost_micros": None if ledger is None else ledger.cost_micros,
    }
    yield "sessions", _row("sessions", session, derived)
    active = _active(document)
    for turn in document.turns:
        yield "turns", _row("turns", turn, {**whose, "active": turn.seq in active})
    for act in document.interactions:
        choice = act.choice
        derived = {
            **whose,
            "chosen": None if choice is None else choice.chosen,
            "rejected": None if choice is None else list(choice.rejected),
        }
        yield "interactions", _row("interactions", act, derived)


def _row(table: str, record: Any, derived: Row) -> Row:
    found: Row = {}
    for name, kind in COLUMNS[table].items():
        value = derived[name] if name in derived else getattr(record, name)
        if kind == "json" and value is not None:
            value = dumps(value).decode()
        elif kind == "strings":
            value = list(value)
        found[name] = value
    return found


def _active(document: SessionDocument) -> set[int]:
    """The turns of the active branch."""
    parents = {turn.seq: turn.parent_seq for turn in document.turns}
    found: set[int] = set()
    seq = document.session.head_seq
    while seq is not None and seq not in found:
        found.add(seq)
        seq = parents.get(seq)
    return found
