"""Events of the framework as turns, and turns as events."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from typing import Final

from google.adk.events.event import Event
from google.adk.sessions.state import State
from pydantic_core import PydanticSerializationError, ValidationError

from convstore.adapters.google_adk.copied import plain_event
from convstore.adapters.google_adk.keys import marked, unmarked
from convstore.messages.adk_events import event_of, named, turns_of
from convstore.messages.own import is_count, json_of, with_payload
from convstore.vocabulary.records import JsonObject, Turn, TurnInput

FORMAT: Final = "google-adk"
"""Of the payloads: JSON text with `turns`, how many turns the event is, and `event`."""

_OURS = {"turns", "event"}


def lasting(event: Event) -> Event:
    """The event without what it says for the time of a run."""
    delta = event.actions.state_delta
    if not any(key.startswith(State.TEMP_PREFIX) for key in delta):
        return event
    kept = {k: v for k, v in delta.items() if not k.startswith(State.TEMP_PREFIX)}
    actions = event.actions.model_copy(update={"state_delta": kept})
    return event.model_copy(update={"actions": actions})


def turns_of_event(event: Event) -> list[TurnInput]:
    """The turns of an event, the last of them with the event itself."""
    told, text = _told(event)
    turns = turns_of(told)
    text = f'{{"turns":{len(turns)},"event":{text}}}'
    return [*turns[:-1], with_payload(turns[-1], text.encode(), FORMAT)]


def _told(event: Event) -> tuple[JsonObject, str]:
    """An event as JSON, and that as ASCII: any text that JSON can tell fits, lone
    surrogates too."""
    try:
        told = event.model_dump(mode="json", exclude_none=True)
        text = json.dumps(told, separators=(",", ":"))
        known = "\\ufffd" not in text  # perhaps in the place of some of a key
    except PydanticSerializationError:
        known = False
    if not known:
        again = Event.model_validate(marked(event.model_dump(exclude_none=True)))
        told = unmarked(again.model_dump(mode="json", exclude_none=True))
        text = json.dumps(told, separators=(",", ":"))
    return told, text


def renamed(turns: Sequence[TurnInput]) -> list[TurnInput]:
    """The turns of an event whose id is another's: with a name of its own, so that it
    is known when it is delivered again."""
    payload = turns[-1].payload
    assert isinstance(payload, bytes)
    return named(turns, f"google-adk:{hashlib.sha256(payload).hexdigest()}")


def events_of(turns: Sequence[Turn], agent_name: str) -> list[Event]:
    """The events of turns that follow one another."""
    events: list[Event] = []
    place = len(turns)
    while place:
        turn = turns[place - 1]
        place -= 1
        if (own := _own(turn)) is not None:
            event, count = own
            events.append(event)
            place = max(place - count + 1, 0)
            continue
        told = event_of(turn, agent_name, turns[:place] if turn.role == "tool" else ())
        if told is not None:
            events.append(Event.model_validate(told))
    return events[::-1]


def _own(turn: Turn) -> tuple[Event, int] | None:
    """The event that was kept with the last turn of one of ours, and how many turns it
    is. An import gives the framework's name to what its own file says of an event,
    which has another form, and others may give it to anything."""
    whole = json_of(turn, FORMAT)
    if not isinstance(whole, dict) or whole.keys() != _OURS:
        return None
    count = whole["turns"]
    if not is_count(count):
        return None
    if (plain := plain_event(whole["event"])) is not None:
        return plain, count
    try:
        return Event.model_validate(whole["event"]), count
    except ValidationError:
        return None
