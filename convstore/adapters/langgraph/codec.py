"""Between LangGraph's checkpoints and the store's: pure functions.

What LangGraph makes is written by its own serialiser, and read by nothing else. Beside
it stands what the store looks into: ids, and metadata to filter by.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, cast

from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.base import (
    WRITES_IDX_MAP,
    Checkpoint,
    CheckpointMetadata,
    CheckpointTuple,
    get_checkpoint_metadata,
)
from langgraph.checkpoint.serde.base import SerializerProtocol

from convstore import types
from convstore.messages.neutral import plain_id, plain_text

_DEEPEST = 32
_LONGEST = 4_096
_INT64 = 2**63


class Place(NamedTuple):
    """Where a config points to."""

    session_id: str
    namespace: str
    checkpoint_id: str | None


def place_of(config: RunnableConfig) -> Place:
    """The session, graph and checkpoint of a config: the latest, where it names none
    or an empty one, as for LangGraph's own.

    Raises:
        KeyError: It names no thread.
    """
    named = config["configurable"]
    return Place(
        session_of(named["thread_id"]),
        named.get("checkpoint_ns") or "",
        named.get("checkpoint_id") or None,
    )


def session_of(thread_id: object) -> str:
    """The session of a thread: its id, or a hash of one that can be none."""
    text = str(thread_id)
    if plain_id(text) is not None:
        return text
    clean = text.encode("utf-8", "surrogatepass")
    return "sha256:" + hashlib.sha256(clean).hexdigest()


def config_of(thread_id: object, namespace: str, checkpoint_id: str) -> RunnableConfig:
    """What names a checkpoint to LangGraph."""
    return {
        "configurable": {
            "thread_id": thread_id,
            "checkpoint_ns": namespace,
            "checkpoint_id": checkpoint_id,
        }
    }


def value_of(serde: SerializerProtocol, value: object) -> types.CheckpointValue:
    """A value as LangGraph's serialiser writes it."""
    type_, data = serde.dumps_typed(value)
    return types.CheckpointValue(type_, bytes(data))


def native(serde: SerializerProtocol, value: types.CheckpointValue) -> Any:
    """The value that was written."""
    return serde.loads_typed((value.type, value.data))


def encoded(
    serde: SerializerProtocol,
    config: RunnableConfig,
    checkpoint: Checkpoint,
    metadata: CheckpointMetadata,
    named: tuple[str, int] | None = None,
) -> types.CheckpointInput:
    """A checkpoint as the store takes it.

    A channel that holds a list is kept element by element, so that one which grows
    stores what is new.

    Args:
        named: A channel whose messages are turns, and the last of these; 0 for none.
    """
    place = place_of(config)
    told = get_checkpoint_metadata(config, metadata)
    body = {name: v for name, v in checkpoint.items() if name != "channel_values"}
    values: dict[str, types.CheckpointValue] = {}
    lists: dict[str, list[types.CheckpointValue]] = {}
    for name, value in checkpoint["channel_values"].items():
        if named is not None and name == named[0]:
            continue
        if type(value) is list:
            lists[name] = [value_of(serde, element) for element in value]
        else:
            values[name] = value_of(serde, value)
    run_id = told.get("run_id")
    whole: dict[str, Any] = {"checkpoint": body, "metadata": told}
    if named is not None:
        whole["messages"] = list(named)
    return types.CheckpointInput(
        checkpoint["id"],
        value_of(serde, whole),
        values,
        lists,
        place.namespace,
        place.checkpoint_id,
        plain_id(str(run_id)) if run_id is not None else None,
        neutral(cast(Mapping[str, Any], told)),
    )


def named_turn(
    serde: SerializerProtocol, found: types.Checkpoint, channel: str
) -> int | None:
    """The turn that the messages of a channel end with, 0 where there are none; None
    where the channel is stored with the checkpoint."""
    name, turn = native(serde, found.body).get("messages") or ("", 0)
    return int(turn) if name == channel else None


def decoded(
    serde: SerializerProtocol,
    found: types.Checkpoint,
    thread_id: object,
    more: Mapping[str, Any] | None = None,
) -> CheckpointTuple:
    """The checkpoint as LangGraph had it, with channels that are elsewhere."""
    body = native(serde, found.body)
    values: dict[str, Any] = {n: native(serde, v) for n, v in found.values.items()}
    for name, elements in found.lists.items():
        values[name] = [native(serde, element) for element in elements]
    values |= more or {}
    parent = found.parent_id
    return CheckpointTuple(
        config=config_of(thread_id, found.namespace, found.checkpoint_id),
        checkpoint=cast(Checkpoint, {**body["checkpoint"], "channel_values": values}),
        metadata=body["metadata"],
        parent_config=None
        if parent is None
        else config_of(thread_id, found.namespace, parent),
        pending_writes=[
            (write.task_id, write.channel, native(serde, write.value))
            for write in found.writes
        ],
    )


def encoded_writes(
    serde: SerializerProtocol,
    writes: Sequence[tuple[str, Any]],
    task_id: str,
    task_path: str,
) -> tuple[list[types.CheckpointWrite], bool]:
    """What a task has written, and whether it replaces what is there: what a task says
    of itself, such as an error, does."""
    kept = [
        types.CheckpointWrite(
            task_id,
            WRITES_IDX_MAP.get(channel, place),
            channel,
            value_of(serde, value),
            task_path,
        )
        for place, (channel, value) in enumerate(writes)
    ]
    return kept, all(channel in WRITES_IDX_MAP for channel, _ in writes)


def neutral(metadata: Mapping[str, Any]) -> dict[str, Any]:
    """The part of metadata that can be filtered by: what is JSON for every database.

    Nothing is refused: the checkpoint's body has the whole of it.
    """
    kept: dict[str, Any] = {}
    room = 48 * 1024
    for key, value in metadata.items():
        if type(key) is not str or not _is_text(key):
            continue
        size = _size(value, 0)
        if size is not None and size + len(key) <= room:
            kept[key] = value
            room -= size + len(key)
    return kept


def _size(value: object, depth: int) -> int | None:
    """Characters of a value, roughly; None if it is no JSON that fits."""
    if value is None or type(value) is bool:
        return 5
    if type(value) is str:
        return 6 * len(value) + 3 if _is_text(value) else None
    if type(value) is int:
        return 20 if -_INT64 <= value < _INT64 else None
    if type(value) is float:
        return 25 if math.isfinite(value) else None
    if depth == _DEEPEST or type(value) not in (dict, list):
        return None
    sizes = [_size(item, depth + 1) for item in value]  # type: ignore[attr-defined]
    if isinstance(value, dict):
        if not all(type(key) is str for key in value):
            return None
        sizes += [_size(item, depth + 1) for item in value.values()]
    if None in sizes or len(sizes) > _LONGEST:
        return None
    return sum(size or 0 for size in sizes) + 3 * len(sizes)


def _is_text(text: str) -> bool:
    """Whether every database holds it."""
    return plain_text(text) == text
