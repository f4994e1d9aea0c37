"""Records of `messages`."""

from __future__ import annotations

from convstore.imports.extras import kept
from convstore.imports.model import ImportedSession
from convstore.vocabulary.records import JsonObject
from tests.unit.imports.inverse.chat import messages_of, offered_tools, write_exchange


def to_record(session: ImportedSession) -> JsonObject:
    """The record that `parse` took."""
    left_over, notes = kept(session.metadata)
    record = {**offered_tools(session.turns), **left_over}
    if "forms" in notes:
        return {**record, **write_exchange(session.turns, notes)}
    return {
        **record,
        notes.get("key", "messages"): messages_of(session.turns),
    }
