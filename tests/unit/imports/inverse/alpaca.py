"""Records of `alpaca`."""

from __future__ import annotations

from convstore.imports.extras import kept
from convstore.imports.model import ImportedSession
from convstore.vocabulary.records import JsonObject


def to_record(session: ImportedSession) -> JsonObject:
    """The record that `parse` took."""
    record, notes = kept(session.metadata)
    said = [turn.content for turn in session.turns]
    fork, given = notes["prompt"], notes["given"]
    answers, asked = said[fork:], said[:fork]
    question = asked.pop() or ""
    cut = notes.get("instruction_chars", len(question))
    record["instruction"] = question[:cut]
    record["output"] = answers if notes.get("ranked") else answers[0]
    if "input" in given:
        record["input"] = question[cut + 1 :]
    if "system" in given:
        record["system"] = asked.pop(0)
    if "history" in given:
        pairs = zip(asked[::2], asked[1::2], strict=True)
        record["history"] = [list(pair) for pair in pairs]
    return record
