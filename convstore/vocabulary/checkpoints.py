"""Checkpoints: the state of a graph's run at each step, as a framework stores it.

What a framework makes is opaque here: bytes with a type that only it reads. Nothing of
it is ever decoded.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, TypeAlias

from convstore.vocabulary.record import Record, field, names_of

JsonObject: TypeAlias = dict[str, Any]


class CheckpointValue(Record, frozen=True):
    """Bytes as a framework wrote them, and what it calls their format."""

    type: str
    data: bytes


class CheckpointWrite(Record, frozen=True):
    """What one task has written that no step has taken up yet."""

    task_id: str
    idx: int
    channel: str
    value: CheckpointValue
    task_path: str = ""


class CheckpointInput(Record, frozen=True):
    """What a caller gives for one checkpoint; the fields are those of
    `checkpoints.put`."""

    checkpoint_id: str
    body: CheckpointValue
    values: Mapping[str, CheckpointValue] = field(default_factory=dict)
    lists: Mapping[str, Sequence[CheckpointValue]] = field(default_factory=dict)
    namespace: str = ""
    parent_id: str | None = None
    run_id: str | None = None
    metadata: Mapping[str, Any] = field(default_factory=dict)


class Checkpoint(Record, frozen=True):
    """The state of a run at one step. Later ids are greater, as text.

    `values` are the channels that hold one value, `lists` those that grow: what
    versions of a list have in common is stored once. `writes` are in the order of
    `(task_path, task_id, idx)`.
    """

    session_id: str
    namespace: str
    checkpoint_id: str
    parent_id: str | None
    run_id: str | None
    metadata: JsonObject
    body: CheckpointValue
    values: dict[str, CheckpointValue]
    lists: dict[str, tuple[CheckpointValue, ...]]
    writes: tuple[CheckpointWrite, ...]
    created_at: datetime


# As they are stored, and as a session document has them.


class StoredCheckpoint(Record, frozen=True):
    """A checkpoint whose `channels` say where the values are.

    Of a channel they hold `{"value": HASH}`, or the value itself if it is small, as
    `{"type": …, "data": …}`; of a list `{"list": [[log, from, to], …]}`, the stretches
    that follow one another.
    """

    session_id: str
    namespace: str
    checkpoint_id: str
    parent_id: str | None
    run_id: str | None
    metadata: JsonObject
    channels: JsonObject
    type: str
    body: bytes
    created_at: datetime


class StoredValue(Record, frozen=True):
    """A value of any number of checkpoints, by the hash of type and bytes."""

    session_id: str
    hash: str
    type: str
    data: bytes


class StoredElement(Record, frozen=True):
    """One element of a list. `chain` is a hash of it and of all before it."""

    session_id: str
    log: int
    idx: int
    type: str
    data: bytes
    chain: str


class StoredWrite(Record, frozen=True):
    """What one task has written."""

    session_id: str
    namespace: str
    checkpoint_id: str
    task_id: str
    idx: int
    channel: str
    type: str
    data: bytes
    task_path: str


class CheckpointEnd(Record, frozen=True):
    """Up to and with this id the checkpoints of a session were ended."""

    session_id: str
    through: str


class StoredCheckpoints(Record, frozen=True):
    """All that a session holds of checkpoints, each kind in the order of its keys."""

    checkpoints: tuple[StoredCheckpoint, ...] = ()
    values: tuple[StoredValue, ...] = ()
    elements: tuple[StoredElement, ...] = ()
    writes: tuple[StoredWrite, ...] = ()
    ends: tuple[CheckpointEnd, ...] = ()

    def __bool__(self) -> bool:
        # Not a loop over the names: asked for each session that is read or written.
        some = self.checkpoints or self.values or self.elements
        return bool(some or self.writes or self.ends)


NO_CHECKPOINTS = StoredCheckpoints()


def hash_of(value: CheckpointValue) -> str:
    """What tells one value from another: SHA-256 in hexadecimal."""
    return _hashed("", value.type, value.data)


def chains_of(values: Iterable[CheckpointValue]) -> list[str]:
    """For each element of a list a hash of it and of all before it."""
    chains, last = [], ""
    for value in values:
        last = _hashed(last, value.type, value.data)
        chains.append(last)
    return chains


def _hashed(before: str, type_: str, data: bytes) -> str:
    name = type_.encode()
    head = f"{before}:{len(name)}:".encode() + name
    return hashlib.sha256(head + b":" + data).hexdigest()


def agrees(stored: StoredCheckpoints, session_id: str) -> bool:
    """Whether these can be all that one session holds."""
    kinds = [getattr(stored, name) for name in names_of(stored)]
    owners = {record.session_id for records in kinds for record in records}
    return owners <= {session_id} and is_whole(stored) and _has_one_each(stored)


def _has_one_each(stored: StoredCheckpoints) -> bool:
    """Whether no two records have one place."""
    places = (
        [(c.namespace, c.checkpoint_id) for c in stored.checkpoints],
        [value.hash for value in stored.values],
        [(element.log, element.idx) for element in stored.elements],
        [(w.namespace, w.checkpoint_id, w.task_id, w.idx) for w in stored.writes],
        [end.session_id for end in stored.ends],
    )
    return all(len(set(kind)) == len(kind) for kind in places)


def is_whole(stored: StoredCheckpoints) -> bool:
    """Whether all is there that the checkpoints name; False if they name it wrongly."""
    hashes = {value.hash for value in stored.values}
    places = {(element.log, element.idx) for element in stored.elements}
    try:
        return all(
            where["value"] in hashes
            if "value" in where
            else all(
                places.issuperset((log, idx) for idx in range(first, end))
                for log, first, end in where.get("list", ())
            )
            for checkpoint in stored.checkpoints
            for where in checkpoint.channels.values()
        )
    except (TypeError, ValueError, AttributeError):
        return False
