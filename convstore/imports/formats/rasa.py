"""`rasa`: trackers of Rasa, as its API gives them, and its SQL tracker store.

What users and bots say are turns, in the order of the list: times run backwards in real
files. Slots go to the user's turn that they were set after.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from itertools import count

from convstore.imports.fields import need_object, text_or_none, time_or_none
from convstore.imports.material import Found, Material
from convstore.imports.model import ImportedSession
from convstore.imports.reader import each_record
from convstore.imports.rowsets import bounded, by_key, made
from convstore.imports.talk import Said, Talk
from convstore.vocabulary.errors import InvalidInputError
from convstore.vocabulary.records import Json, JsonObject

NAME = "rasa"


def read(material: Material) -> Iterator[Found]:
    """A conversation for each sender."""
    tables = material.tables
    if tables is None:
        yield from each_record(material, material.names, parse)
        return
    groups = by_key(tables, "events", ["sender_id"], ["id"])
    for number, ((sender,), rows) in enumerate(groups, 1):
        yield made(
            number,
            lambda sender=sender, rows=rows: _session(  # type: ignore[misc]
                str(sender),
                [
                    material.decoded(row.get("data"), field="data")
                    for row in bounded(rows)
                ],
            ),
        )


def parse(record: Json) -> ImportedSession:
    """The session of one tracker.

    Raises:
        InvalidInputError: It has no sender, or no events.
    """
    tracker = need_object("record", record)
    sender, events = tracker.get("sender_id"), tracker.get("events")
    if not isinstance(sender, str) or not sender:
        raise InvalidInputError("sender_id", "is missing")
    if not isinstance(events, list):
        raise InvalidInputError("events", "must be a list")
    return _session(sender, events)


def _session(sender: str, events: Iterable[Json]) -> ImportedSession:
    talk = Talk(NAME, sender, ("event",))
    talk.user_id = sender
    line: list[Said] = []
    asked: list[Said] = []
    numbers = count(1)
    for value in events:
        event = need_object("events", value)
        kind, number = event.get("event"), next(numbers)
        name = text_or_none(event.get("message_id")) or f"event-{number}"
        if kind in ("user", "bot"):
            said = _said(name, str(kind), event)
            said.parent = line[-1].id if line else None
            talk.source([said], event)
            line.append(talk.say(said))
            asked += [said] if said.role == "user" else []
        elif kind == "slot":
            _fill(asked, event)
        elif kind in ("rewind", "undo"):
            _back(line, asked)
        elif kind == "restart":
            line.clear()
            asked.clear()
        elif kind not in ("action", "session_started", "followup"):
            talk.drop(f"event:{kind}" if isinstance(kind, str) else "event")
    talk.head = line[-1].id if line else None
    return talk.session()


def _said(name: str, kind: str, event: JsonObject) -> Said:
    role = "user" if kind == "user" else "assistant"
    said = Said(name, role, text_or_none(event.get("text")) or "")
    said.at = time_or_none(event.get("timestamp"))
    for key in ("parse_data", "input_channel", "metadata", "data"):
        if event.get(key):
            said.metadata[key] = event[key]
    return said


def _fill(asked: list[Said], event: JsonObject) -> None:
    name, value = event.get("name"), event.get("value")
    if not asked or not isinstance(name, str) or value is None:
        return
    asked[-1].slots[name] = value if isinstance(value, str) else json.dumps(value)


def _back(line: list[Said], asked: list[Said]) -> None:
    """Take the last question and what followed it off the line."""
    while line:
        if line.pop().role == "user":
            asked.pop()
            return
