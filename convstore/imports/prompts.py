"""Prompts and answers of training rows: a list of messages, one message, or text."""

from __future__ import annotations

from typing import Literal, TypeAlias

from convstore.imports.fields import kind_of, need_list
from convstore.vocabulary.errors import InvalidInputError
from convstore.vocabulary.records import Json

Form: TypeAlias = Literal["list", "message", "text"]


def spread(field: str, value: Json, role: str) -> tuple[list[Json], Form]:
    """The messages of `value`, and the form they had; text is said by `role`.

    Raises:
        InvalidInputError: Null, a number, or an empty list; names the field.
    """
    if isinstance(value, str):
        return [{"role": role, "content": value}], "text"
    if isinstance(value, dict):
        return [value], "message"
    if isinstance(value, list):
        return list(need_list(field, value)), "list"
    raise InvalidInputError(field, f"must be messages or text, not {kind_of(value)}")
