"""Turns that are nothing but text, read by an adapter without the long way. Pure.

Nearly all that is said is such a turn, and is told by a look at its fields.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

from convstore.messages.message import says_only_text
from convstore.messages.own import NOTHING
from convstore.vocabulary.records import Turn

T = TypeVar("T")


def is_plain(turn: Turn, format_: str) -> bool:
    """Whether a turn is a message by itself that is nothing but a text: one of ours
    with this format of payloads, or one of another's that no neighbour joins."""
    if turn.name is not None or not says_only_text(turn):
        return False
    if turn.payload_format != format_:
        return turn.role != "assistant"
    return turn.payload == NOTHING


def told(
    turns: Sequence[Turn],
    plain: Callable[[Turn], T | None],
    others: Callable[[Sequence[Turn]], list[T]],
) -> list[T]:
    """The messages of a path: each turn that `plain` knows by itself, and between them
    what `others` makes of those that follow one another."""
    found: list[T] = []
    start = 0
    for place, turn in enumerate(turns):
        message = plain(turn)
        if message is None:
            continue
        if start < place:
            found += others(turns[start:place])
        found.append(message)
        start = place + 1
    return found + others(turns[start:]) if start < len(turns) else found
