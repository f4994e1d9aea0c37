"""Turns in whose payload a framework's own message is kept, one for each turn. Pure.

The payload is JSON text of the message, or of an empty object where the turn's columns
say all of it. Other turns are read as messages of that framework: neighbouring ones of
an assistant are one.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

from msgspec.structs import replace

from convstore.messages.message import speaks
from convstore.vocabulary.records import JsonObject, Turn, TurnInput


class Group(NamedTuple):
    """Turns that are read together, and the messages that they are."""

    turns: tuple[Turn, ...]
    messages: tuple[JsonObject, ...]


def with_own(turn: TurnInput, message: JsonObject | None, format_: str) -> TurnInput:
    """The turn of a message with the message itself, or None where the columns say all
    of it. Then only an assistant's is marked, as neighbours of others are put together.
    """
    if message is None and turn.role != "assistant":
        return turn
    # ASCII: any text that JSON can tell fits, lone surrogates too.
    text = json.dumps(message or {}, separators=(",", ":"))
    return replace(turn, payload=text.encode(), payload_format=format_)


def own_of(turn: Turn, format_: str) -> JsonObject | None:
    """The message that was kept with a turn; None where its columns say all of it."""
    if turn.payload is None or turn.payload_format != format_:
        return None
    whole: JsonObject = json.loads(turn.payload)
    return whole or None


def grouped_by_own(
    turns: Iterable[Turn],
    format_: str,
    messages_of: Callable[[Sequence[Turn]], list[JsonObject]],
) -> list[Group]:
    """The messages of a path, oldest first, with the turns that each is."""
    groups: list[list[Turn]] = []
    open_ = False
    for turn in turns:
        foreign = speaks(turn) and turn.payload_format != format_
        if foreign and open_:
            groups[-1].append(turn)
        else:
            groups.append([turn])
        open_ = foreign
    return [Group(tuple(group), tuple(messages_of(group))) for group in groups]
