"""Turns as the history that DSPy modules take: exchanges under a signature's names."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from importlib import import_module
from importlib.util import find_spec
from typing import Any

from convstore.messages.message import Message, messages_of
from convstore.messages.parts import Result
from convstore.messages.results import result_text
from convstore.vocabulary.errors import InvalidInputError
from convstore.vocabulary.records import Turn

DEFAULT_FIELDS = {"user": "question", "assistant": "answer"}


def to_dspy_messages(
    turns: Iterable[Turn], field_map: Mapping[str, str] | None = None
) -> list[dict[str, str]]:
    """One message per answered question, under the names of a signature's fields.

    Every user turn begins an exchange; of several messages of one role in it the last
    one with text counts, so an answer after tool calls is the final one. Text in parts
    counts as content does. An exchange that lacks a mapped role that the map names is
    left out: a question without an answer is the module's input and not its history.
    Turns of other roles are left out.

    Args:
        turns: Of one branch, oldest first.
        field_map: From role to field; user to `question` and assistant to `answer`
            unless told otherwise.

    Raises:
        InvalidInputError: The map has no user, or names one field twice.
    """
    fields = DEFAULT_FIELDS if field_map is None else dict(field_map)
    if "user" not in fields or len(set(fields.values())) < len(fields):
        raise InvalidInputError("field_map", "must name user, and each field once")
    messages: list[dict[str, str]] = []
    for message in messages_of(turns, []):
        if message.role == "user":
            messages.append({})
        text = _text(message)
        if messages and message.role in fields and text.strip():
            messages[-1][fields[message.role]] = text
    order = list(fields.values())
    return [
        {name: message[name] for name in order}
        for message in messages
        if len(message) == len(order)
    ]


def to_dspy_history(
    turns: Iterable[Turn], field_map: Mapping[str, str] | None = None
) -> Any:
    """`dspy.History` of the turns; where DSPy is not installed, a dict of its shape.

    `{"messages": [...]}` with the messages of `to_dspy_messages`. Importing DSPy takes
    seconds, the first time.
    """
    messages = to_dspy_messages(turns, field_map)
    if find_spec("dspy") is None:
        return {"messages": messages}
    return import_module("dspy").History(messages=messages)


def _text(message: Message) -> str:
    results = [block for block, _ in message.blocks if isinstance(block, Result)]
    if results:
        return "\n".join(result_text(result, message.seq, []) for result in results)
    return message.texts()
