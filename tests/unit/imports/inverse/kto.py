"""Records of `kto`."""

from __future__ import annotations

from convstore.imports.extras import kept
from convstore.imports.model import ImportedSession
from convstore.vocabulary.records import JsonObject
from tests.unit.imports.inverse.chat import messages_of, offered_tools, write_exchange
from tests.unit.imports.inverse.sharegpt import write_conversation


def to_record(session: ImportedSession) -> JsonObject:
    """The record that `parse` took."""
    left_over, notes = kept(session.metadata)
    record = {**offered_tools(session.turns), **left_over}
    label = session.interactions[0].feedback == "thumbs_up"
    if notes["layout"] == "sharegpt":
        return {**record, **write_conversation(session.turns, notes), "kto_tag": label}
    if notes["layout"] == "messages":
        return {**record, "messages": messages_of(session.turns), "label": label}
    return {**record, **write_exchange(session.turns, notes), "label": label}
