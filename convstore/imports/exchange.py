"""A prompt and its completion, as messages or text, as turns and back."""

from __future__ import annotations

from collections.abc import Sequence

from convstore.imports.chat import messages_of, turns_of
from convstore.imports.prompts import gather, spread
from convstore.vocabulary.records import JsonObject, TurnInput

KEYS = frozenset({"prompt", "completion"})
"""The fields of a record that `read_exchange` takes."""


def read_exchange(record: JsonObject) -> tuple[list[TurnInput], JsonObject]:
    """The turns of `prompt` and `completion`, and notes about their form.

    Raises:
        InvalidInputError: One of them is missing, or no messages; names the field.
    """
    asked, form = spread("prompt", record.get("prompt"), "user")
    answer, answer_form = spread("completion", record.get("completion"), "assistant")
    turns = turns_of(asked, field="prompt")
    turns += turns_of(answer, field="completion", first_seq=len(asked) + 1)
    return turns, {"prompt": len(asked), "forms": [form, answer_form]}


def write_exchange(turns: Sequence[TurnInput], notes: JsonObject) -> JsonObject:
    """The fields that `read_exchange` took."""
    messages = messages_of(turns)
    asked, (form, answer_form) = notes["prompt"], notes["forms"]
    return {
        "prompt": gather(messages[:asked], form),
        "completion": gather(messages[asked:], answer_form),
    }
