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
from convstore.imports.rowsets import bounded, by_key, made, other_columns
from convstore.imports.talk import Said, Talk
from convstore.vocabulary.errors import InvalidInputError
from convstore.vocabulary.records import Json, JsonObject

NAME = "rasa"
_COLUMNS = frozenset(
    "id sender_id type_name timestamp intent_name action_name data".split()
)
"""Of the tracker store: `data` says what the others do."""


def read(material: Material) -> Iterator[Found]:
    """A conversation for each sender."""
    tables = material.tables
    if tables is None:
        yield from each_record(material, material.names, parse)
        return
    yield from other_columns(tables, {"events": _COLUMNS})
    groups = by_key(tables, "events", ["sender_id"], ["id"])
    for number, ((sender,), rows) in enumerate(groups, 1):
        yield made(
            number,
            lambda sender=sender, rows=rows: _told(  # type: ignore[misc]
                _talk(str(sender)),
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
    talk = _talk(sender)
    talk.keep_rest(tracker, "sender_id", "events")
    return _told(talk, events)


def _talk(sender: str) -> Talk:
    talk = Talk(NAME, sender, ("event",))
    talk.user_id = sender
    return talk


def _told(talk: Talk, events: Iterable[Json]) -> ImportedSession:
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
            _fill(talk, asked, event)
        elif kind in ("rewind", "undo", "restart"):
            talk.name_rest(str(kind), event, "event", "timestamp")
            _back(line, asked, whole=kind == "restart")
        else:
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


def _fill(talk: Talk, asked: list[Said], event: JsonObject) -> None:
    name, value = event.get("name"), event.get("value")
    if not asked or not isinstance(name, str) or value is None:
        # One that is emptied, or is filled before anybody asked.
        talk.drop("event:slot")
        return
    talk.name_rest("slot", event, "event", "timestamp", "name", "value")
    asked[-1].slots[name] = value if isinstance(value, str) else json.dumps(value)


def _back(line: list[Said], asked: list[Said], *, whole: bool) -> None:
    """Take the last question and what followed it off the line, or all of it."""
    while line:
        if line.pop().role == "user":
            asked.pop()
            if not whole:
                return
