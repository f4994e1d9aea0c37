"""What is kept beside a session: the framework's record, and where it stood."""

from __future__ import annotations

import json
from typing import Final

import pydantic
from pydantic_ai.conversation_store import ConversationRecord

from convstore.adapters.pydantic_ai.entries import JSON
from convstore.vocabulary.records import JsonObject, Session

NAME: Final = "pydantic-ai"
"""Of what the adapter keeps; see `Sessions.adapter_state`."""

_RECORDS = pydantic.TypeAdapter(list[ConversationRecord], config=JSON)


def state_of(
    record: ConversationRecord, count: int, added: int, at: int
) -> dict[str, JsonObject]:
    """What is kept beside the session: the record as text, which holds any JSON, and
    where the history stood when it was saved."""
    told = _RECORDS.dump_python([record], mode="json")[0]
    return {
        NAME: {
            "revision": record.revision,
            "turn_count": count + added,
            "head_seq": count + added if added else at,
            "record": json.dumps(told, separators=(",", ":")),
        }
    }


def is_current(state: JsonObject | None, session: Session) -> bool:
    """Whether the history is as the last save left it."""
    stood = None if state is None else (state["turn_count"], state["head_seq"])
    return stood == (session.turn_count, session.head_seq or 0)


def record_of(session: Session, state: JsonObject | None) -> ConversationRecord:
    """The record as it was saved. Where the history has moved on since, its revision
    says where to, and nothing is waited for any more."""
    if state is None:
        record = ConversationRecord(conversation_id=session.id, head_id=None)
        record.revision = record_revision = ""
    else:
        record = _RECORDS.validate_python([json.loads(state["record"])])[0]
        record_revision = record.revision
    record.conversation_id, record.scope = session.id, session.user_id
    if not is_current(state, session):
        moved = (session.generation or 1, session.turn_count, session.head_seq or 0)
        record.revision = f"{record_revision}@{'.'.join(map(str, moved))}"
        record.deferred_tool_requests = None
        last = session.last_activity_at
        record.updated_at = last if state is None else max(record.updated_at, last)
    return record
