"""Records of `session-json`."""

from __future__ import annotations

from convstore.imports.extras import NOTES
from convstore.imports.model import ImportedSession
from convstore.vocabulary.records import InteractionInput, JsonObject
from tests.unit.imports.inverse.chat import message_of


def to_record(session: ImportedSession) -> JsonObject:
    """The record that `parse` took."""
    own = dict(session.metadata)
    record = dict(own.pop(NOTES)["fields"])
    sections: JsonObject = {
        "metadata": own,
        "chat_history": [message_of(turn) for turn in session.turns],
        "interactions": [_act(act) for act in session.interactions],
        "graph_state": session.graph_states[-1].state if session.graph_states else None,
    }
    return {**record, **{key: value for key, value in sections.items() if value}}


def _act(act: InteractionInput) -> JsonObject:
    own = dict(act.metadata)
    given: JsonObject = dict(own.pop(NOTES, {}))
    texts = {name: getattr(act, name) for name in ("node_id", "content", "feedback")}
    given.update({name: text for name, text in texts.items() if text is not None})
    if own:
        given["metadata"] = own
    return {**given, "action_type": act.action}
