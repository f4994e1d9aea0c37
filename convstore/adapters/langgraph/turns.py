"""Messages of a graph as turns, and turns as messages."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any, Final, NamedTuple

from langchain_core.messages import (
    AIMessage,
    BaseMessage,
    HumanMessage,
    SystemMessage,
    message_to_dict,
    messages_from_dict,
)
from langgraph.checkpoint.serde.base import SerializerProtocol
from msgspec.structs import replace

from convstore import types
from convstore.messages.langchain_messages import (
    message_of,
    messages_of_turns,
    turn_of,
    without_bytes,
)
from convstore.messages.langchain_text import maker_of
from convstore.messages.message import runs, says_only_text
from convstore.messages.neutral import plain_id, plain_text, unsaved
from convstore.messages.own import (
    has_id,
    is_with_id,
    json_of,
    with_id,
    with_payload,
)
from convstore.messages.plain import told as each_or_between

FORMAT: Final = "langgraph"
"""Of the payloads: a message as the saver's serialiser writes it, behind the name of
its format and a NUL; or, where the turn's columns say all else, its id (`with_id`)."""


_SPEAKERS: Final[dict[str, type[BaseMessage]]] = {
    "user": HumanMessage,
    "assistant": AIMessage,
    "system": SystemMessage,
}
_ROLES: Final = {made: role for role, made in _SPEAKERS.items()}


class Kept(NamedTuple):
    """A message of a branch, the turn that it ends with, and whether it was made as
    one that is nothing but text."""

    message: BaseMessage
    seq: int
    is_text: bool = False


def are_messages(value: object) -> bool:
    """Whether a channel holds messages and nothing else."""
    return type(value) is list and all(isinstance(one, BaseMessage) for one in value)


def turn_of_message(serde: SerializerProtocol, message: BaseMessage) -> types.TurnInput:
    """The turn of a message: with the message itself, where the columns say less."""
    return _plain_turn(message) or _whole_turn(serde, message)


def _whole_turn(serde: SerializerProtocol, message: BaseMessage) -> types.TurnInput:
    told = message_to_dict(message)
    turn = turn_of(told["type"], told["data"])
    plain = message_of(unsaved(turn))
    given = serde.dumps_typed(message)
    # To the last bit, with the order of its keys: two that are only equal would have
    # two digests, and the branch would look changed.
    if plain and serde.dumps_typed(_native(plain, message.id)) == given:
        payload = with_id(message.id)
    else:
        payload = given[0].encode() + b"\0" + bytes(given[1])
        turn = replace(turn, parts=without_bytes(turn))
    turn = replace(turn, external_id=plain_id(message.id))
    return with_payload(turn, payload, FORMAT)


def _plain_turn(message: BaseMessage) -> types.TurnInput | None:
    """The turn of a message that is nothing but text: nearly all that people say, and
    what models do. It is the same as the long way gives."""
    role, text = _ROLES.get(type(message)), message.content
    if role is None or type(text) is not str or not text or plain_text(text) != text:
        return None
    made = _SPEAKERS[role](content=text, id=message.id)
    if (
        message.__pydantic_extra__
        or made.__dict__ != message.__dict__
        or [*made.__dict__] != [*message.__dict__]
    ):
        return None
    return types.TurnInput(
        role,
        text,
        external_id=plain_id(message.id),
        payload=with_id(message.id),
        payload_format=FORMAT,
    )


def kept_in(serde: SerializerProtocol, turns: Sequence[types.Turn]) -> list[Kept]:
    """The messages of turns that follow one another."""
    return each_or_between(turns, _kept_plain, partial(_kept_in, serde))


def _kept_plain(turn: types.Turn) -> Kept | None:
    made = _plain_message(turn)
    return None if made is None else Kept(made, turn.seq, True)


def _plain_message(turn: types.Turn) -> BaseMessage | None:
    """The message of a turn of ours that is nothing but text: nearly all that people
    say, and most of what a thread is read for."""
    payload = turn.payload
    if payload is None or turn.payload_format != FORMAT or not _is_only_text(turn):
        return None
    if is_with_id(payload, turn.external_id):
        return maker_of(_SPEAKERS[turn.role])(turn.content or "", turn.external_id)
    told = None if b"\0" in payload else json_of(turn, FORMAT)
    return (
        maker_of(_SPEAKERS[turn.role])(turn.content or "", told["id"])
        if has_id(told, turn)
        else None
    )


def _kept_in(serde: SerializerProtocol, turns: Sequence[types.Turn]) -> list[Kept]:
    kept: list[Kept] = []
    for own, run in runs(turns, partial(_own, serde)):
        if own is not None:
            kept += own
            continue
        for told in messages_of_turns(run):
            message = _native(told.message, told.message["data"]["id"])
            kept.append(Kept(message, run[max(told.turns, 1) - 1].seq))
    return kept


def _own(serde: SerializerProtocol, turn: types.Turn) -> Sequence[Kept] | None:
    """The message of a turn of ours, if it says anything; None where the payload is
    another's."""
    payload = turn.payload
    if payload is None or turn.payload_format != FORMAT:
        return None
    if b"\0" in payload:  # no JSON has one
        message = _written(serde, payload)
        return None if message is None else [Kept(message, turn.seq)]
    told = json_of(turn, FORMAT)
    if not has_id(told, turn):
        return None
    plain = message_of(turn)
    return [] if plain is None else [Kept(_native(plain, told["id"]), turn.seq)]


def _written(serde: SerializerProtocol, payload: bytes) -> BaseMessage | None:
    """The message that a serialiser wrote; None where it can read none."""
    type_, _, data = payload.partition(b"\0")
    try:
        message = serde.loads_typed((type_.decode(), data))
    except Exception:  # noqa: BLE001  # each serialiser has errors of its own
        return None
    return message if isinstance(message, BaseMessage) else None


def _is_only_text(turn: types.Turn) -> bool:
    """Whether a turn says nothing that a message would have beside its text."""
    named = turn.name is turn.model is turn.finish_reason is None
    return named and says_only_text(turn)


def _native(told: dict[str, Any], message_id: str | None) -> BaseMessage:
    data = {**told["data"], "id": message_id}
    return messages_from_dict([{"type": told["type"], "data": data}])[0]
