"""Messages of a graph as turns, and turns as messages."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any, Final, NamedTuple

from langchain_core.messages import BaseMessage, message_to_dict, messages_from_dict
from langgraph.checkpoint.serde.base import SerializerProtocol

from convstore import types
from convstore.adapters.langgraph.messages import messages_of_turns, turn_of
from convstore.messages.neutral import plain_id, unsaved

FORMAT: Final = "langgraph"
"""Of the payloads: a message as the saver's serialiser writes it, behind the name of
its format and a NUL; or, where the turn's columns say all else, its id as JSON."""


class Kept(NamedTuple):
    """A message of a branch: the turn that it ends with, and what tells it from any
    other message."""

    message: BaseMessage
    seq: int
    digest: bytes


def are_messages(value: object) -> bool:
    """Whether a channel holds messages and nothing else."""
    return type(value) is list and all(isinstance(one, BaseMessage) for one in value)


def digest_of(serde: SerializerProtocol, message: BaseMessage) -> bytes:
    """What tells a message from any other."""
    type_, data = serde.dumps_typed(message)
    return _digest(type_.encode() + b"\0" + bytes(data))


def turn_of_message(serde: SerializerProtocol, message: BaseMessage) -> types.TurnInput:
    """The turn of a message: with the message itself, where the columns say less."""
    told = message_to_dict(message)
    turn = turn_of(told["type"], told["data"])
    plain = [one.message for one in messages_of_turns([unsaved(turn)])]
    if len(plain) == 1 and _native(plain[0], message.id) == message:
        payload = json.dumps({"id": message.id}).encode()
    else:
        type_, data = serde.dumps_typed(message)
        payload = type_.encode() + b"\0" + bytes(data)
    external_id = plain_id(message.id)
    return replace(
        turn, payload=payload, payload_format=FORMAT, external_id=external_id
    )


def kept_in(serde: SerializerProtocol, turns: Sequence[types.Turn]) -> list[Kept]:
    """The messages of turns that follow one another."""
    kept: list[Kept] = []
    for run in _runs(turns):
        payload = run[0].payload
        if run[0].payload_format == FORMAT and payload is not None:
            kept += _own(serde, run[0], payload)
            continue
        for told in messages_of_turns(run):
            message = _native(told.message, told.message["data"]["id"])
            seq = run[max(told.turns, 1) - 1].seq
            kept.append(Kept(message, seq, digest_of(serde, message)))
    return kept


def _own(serde: SerializerProtocol, turn: types.Turn, payload: bytes) -> Iterator[Kept]:
    if not payload.startswith(b"{"):
        type_, _, data = payload.partition(b"\0")
        message = serde.loads_typed((type_.decode(), data))
        yield Kept(message, turn.seq, _digest(payload))
        return
    for told in messages_of_turns([turn]):
        message = _native(told.message, json.loads(payload)["id"])
        yield Kept(message, turn.seq, digest_of(serde, message))


def _runs(turns: Sequence[types.Turn]) -> Iterator[Sequence[types.Turn]]:
    """Each turn of ours alone, those of others as they follow one another."""
    start = 0
    for end, turn in enumerate(turns):
        if turn.payload_format == FORMAT:
            if start < end:
                yield turns[start:end]
            yield turns[end : end + 1]
            start = end + 1
    if start < len(turns):
        yield turns[start:]


def _native(told: dict[str, Any], message_id: str | None) -> BaseMessage:
    data = {**told["data"], "id": message_id}
    return messages_from_dict([{"type": told["type"], "data": data}])[0]


def _digest(data: bytes) -> bytes:
    return hashlib.sha256(data).digest()
