"""Lists of messages of which LangGraph keeps what each step added.

A checkpoint of such a channel has no value of it, but for a snapshot now and then: it
is that of the checkpoint before, and what was written from there on.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import count
from typing import TypeAlias

from convstore.imports.formats.langgraph_values import value_of
from convstore.imports.material import Material, Row
from convstore.imports.rowsets import bounded
from convstore.messages.langchain_messages import plain
from convstore.vocabulary.records import Json, JsonObject

_MOST_KEPT = 2_000_000
"""Places of messages in the lists that are remembered."""
_MOST_CHANNELS = 20
_OURS_ALONE = ("__", "branch:")
_TABLES = {"writes": "value", "checkpoint_writes": "blob"}
"""Where steps are written, and in which column: of a file and of a server."""
_Keyed: TypeAlias = dict[str, Json]
"""Messages by their ids, or by their places where they have none, in order."""
_REMOVE_ALL = "__remove_all__"


@dataclass(slots=True)
class Deltas:
    """The lists of one thread, as its checkpoints come by, parents first."""

    material: Material
    thread: str
    space: str
    _lists: OrderedDict[str, list[Json] | _Keyed] = field(default_factory=OrderedDict)
    _size: int = 0
    _rebuilt: bool = False

    def note(self, checkpoint_id: Json, messages: list[Json] | _Keyed) -> None:
        """Remember the list of a checkpoint: what follows may tell it no more."""
        if not self._rebuilt:
            # Whole lists tell themselves: only the next one may need this.
            self._lists.clear()
            self._size = 0
        self._lists[str(checkpoint_id)] = messages
        self._size += len(messages)
        while self._size > _MOST_KEPT and len(self._lists) > 1:
            self._size -= len(self._lists.popitem(last=False)[1])

    def rebuilt(self, row: Row, checkpoint: JsonObject) -> list[Json] | None:
        """The list of a checkpoint that does not have it; None where there is none."""
        versions = _object(checkpoint.get("channel_versions"))
        values = _object(checkpoint.get("channel_values"))
        parent = str(row.get("parent_checkpoint_id"))
        before = self._lists.get(parent)
        for channel in _channels(versions, values):
            written = list(self._written(parent, channel))
            if before is None and not written:
                continue
            messages = _applied(before or [], written)
            if messages is not None:
                self._rebuilt = True
                self.note(row.get("checkpoint_id"), messages)
                return list(messages.values())
        return None

    def _written(self, checkpoint_id: str, channel: str) -> Iterator[Json]:
        tables = self.material.tables
        if tables is None:
            return
        where = {"thread_id": self.thread, "checkpoint_ns": self.space}
        where |= {"checkpoint_id": checkpoint_id, "channel": channel}
        for table, column in _TABLES.items():
            rows = tables.rows(
                table, where=where, order=["task_path", "task_id", "idx"]
            )
            for row in bounded(rows):
                data, name = row.get(column), f"{table}.{column}"
                yield value_of(self.material, row.get("type"), data, name)


def _channels(versions: Mapping[str, Json], values: Mapping[str, Json]) -> list[str]:
    """Channels that may hold messages and have no value, the usual one first."""
    absent = [name for name in versions if name not in values]
    absent = [name for name in absent if not name.startswith(_OURS_ALONE)]
    absent.sort(key=lambda name: name != "messages")
    return absent[:_MOST_CHANNELS]


def _applied(before: list[Json] | _Keyed, written: Iterable[Json]) -> _Keyed | None:
    """The list with what was written to it; None where that is no message."""
    places = count(len(before))
    found = (
        dict(before)
        if isinstance(before, dict)
        else {_key(value, place): value for place, value in enumerate(before)}
    )
    for value in written:
        anew = _overwritten(value)
        if anew is not None:
            found.clear()
            value = anew
        for item in value if isinstance(value, list) else [value]:
            if item is None:
                continue
            told = plain(item)
            if told is None:
                return None
            if told[0] != "remove":
                found[_key(item, next(places))] = item
            elif told[1].get("id") == _REMOVE_ALL:
                found.clear()
            else:
                found.pop(_key(item, -1), None)
    return found


def _key(value: Json, place: int) -> str:
    told = plain(value)
    named = None if told is None else told[1].get("id")
    return f"id:{named}" if isinstance(named, str) and named else f"place:{place}"


def _object(value: Json) -> JsonObject:
    return value if isinstance(value, dict) else {}


def _overwritten(value: Json) -> Json:
    """What a write puts in place of all before it; None where it adds."""
    if not isinstance(value, dict):
        return None
    if "__overwrite__" in value:
        return value["__overwrite__"] or []
    named = value.get("type") in ("Overwrite", "__overwrite__")
    return (value.get("value") or []) if named else None
