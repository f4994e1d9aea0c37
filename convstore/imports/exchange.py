"""A prompt and its completion, as messages or text, as turns."""

from __future__ import annotations

from convstore.imports.chat import turns_of
from convstore.imports.prompts import spread
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
