"""Records of `preference`."""

from __future__ import annotations

from collections.abc import Sequence

from convstore.imports.extras import kept
from convstore.imports.model import ImportedSession
from convstore.imports.prompts import Form
from convstore.vocabulary.records import Json, JsonObject, TurnInput
from tests.unit.imports.inverse.chat import gather, messages_of, offered_tools
from tests.unit.imports.inverse.sharegpt import write_conversation, write_message

_Turns = Sequence[TurnInput]


def to_record(session: ImportedSession) -> JsonObject:
    """The record that `parse` took."""
    left_over, notes = kept(session.metadata)
    turns, end = session.turns, _end_of_chosen(session)
    fork = turns[end].parent_seq or 0
    parts = turns[:fork], turns[fork:end], turns[end:]
    return {**offered_tools(turns), **left_over, **_write(notes, *parts)}


def _write(
    notes: JsonObject, prompt: _Turns, chosen: _Turns, rejected: _Turns
) -> JsonObject:
    layout = notes["layout"]
    if layout == "sharegpt":
        first, second = (
            _write_answer(turns, form)
            for turns, form in zip((chosen, rejected), notes["forms"], strict=True)
        )
        conversation = write_conversation(list(prompt), notes)
        return {**conversation, "chosen": first, "rejected": second}
    asked, one, other = messages_of(prompt), messages_of(chosen), messages_of(rejected)
    if layout == "implicit":
        return {"chosen": asked + one, "rejected": asked + other}
    if layout == "transcript":
        return {
            "chosen": _transcript(asked + one),
            "rejected": _transcript(asked + other),
        }
    given, first, second = (
        gather(messages, form)
        for messages, form in zip((asked, one, other), notes["forms"], strict=True)
    )
    if layout == "openai":
        return {
            "input": {"messages": given, **notes["input"]},
            "preferred_output": first,
            "non_preferred_output": second,
        }
    return {layout: given, "chosen": first, "rejected": second}


def _write_answer(turns: _Turns, form: Form) -> Json:
    messages = [write_message(turn) for turn in turns]
    return messages[0]["value"] if form == "text" else gather(messages, form)


def _transcript(messages: list[JsonObject]) -> str:
    names = {"user": "Human", "assistant": "Assistant"}
    return "".join(f"\n\n{names[m['role']]}: {m['content']}" for m in messages)


def _end_of_chosen(session: ImportedSession) -> int:
    for act in session.interactions:
        if act.choice is not None and act.choice.chosen is not None:
            return act.choice.chosen
    raise AssertionError("no choice")
