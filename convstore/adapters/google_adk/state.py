"""What is kept beside the events: state, by its scopes, and where a session stood."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, NamedTuple

import pydantic_core
from google.adk.sessions.state import State

from convstore.adapters.google_adk.keys import marked, unmarked
from convstore.adapters.google_adk.places import Place
from convstore.messages.adk_names import (
    STATE,
    app_item,
    kept_state,
    session_name,
    user_item,
)
from convstore.vocabulary.records import ItemInput, Json, JsonObject, Session


class Delta(NamedTuple):
    """A change of state, by who it belongs to; what is temporary belongs to nobody."""

    app: dict[str, Json]
    user: dict[str, Json]
    session: dict[str, Json]

    def items(self, place: Place) -> list[ItemInput]:
        """The changes of what lies outside the session."""
        changes = []
        if self.app:
            changes.append(ItemInput(*app_item(place.app_name), patch=self.app))
        if self.user:
            where = user_item(place.app_name, place.user_id)
            changes.append(ItemInput(*where, patch=self.user, user_id=place.owner))
        return changes


class Mark(NamedTuple):
    """Which history a session object knows, and at which version it was read."""

    generation: int
    turn_count: int
    head_seq: int
    version: int

    @property
    def history(self) -> tuple[int, int, int]:
        """What feedback, titles and tags do not move."""
        return self[:3]

    def __str__(self) -> str:
        return ".".join(map(str, self))


def mark_of(session: Session) -> Mark:
    """Where a session stands."""
    generation, head = session.generation or 1, session.head_seq or 0
    return Mark(generation, session.turn_count, head, session.version)


def mark_from(text: str | None) -> Mark | None:
    """The mark that this text is; None if it is another store's."""
    fields = (text or "").split(".")
    if len(fields) != len(Mark._fields) or not all(f.isdecimal() for f in fields):
        return None
    return Mark(*map(int, fields))


def delta_of(state: Mapping[str, Any] | None) -> Delta:
    """A change of state, by its scopes.

    What is no JSON is kept as Pydantic writes it, and else as its `repr`.
    """
    delta = Delta({}, {}, {})
    for key, value in (state or {}).items():
        if key.startswith(State.TEMP_PREFIX):
            continue
        scope, name = delta.session, key
        if key.startswith(State.APP_PREFIX):
            scope, name = delta.app, key.removeprefix(State.APP_PREFIX)
        elif key.startswith(State.USER_PREFIX):
            scope, name = delta.user, key.removeprefix(State.USER_PREFIX)
        scope.update(kept_state({name: _plain(value)}))
    return delta


def _plain(value: Any) -> Any:
    try:
        return pydantic_core.to_jsonable_python(value, serialize_unknown=True)
    except UnicodeEncodeError:  # in a key
        told = pydantic_core.to_jsonable_python(marked(value), serialize_unknown=True)
        return unmarked(told)


def state_of(kept: Json, prefix: str = "") -> dict[str, Any]:
    """State as the framework has it."""
    told = kept if isinstance(kept, dict) else {}
    return {
        prefix + json.loads(f'"{name}"'): json.loads(text)
        for name, text in told.items()
    }


def beside(
    place: Place, delta: Delta, time_s: float | None, turn_count: int
) -> dict[str, JsonObject]:
    """What is merged into what is kept beside the session."""
    kept: JsonObject = {
        "app": json.dumps(place.app_name),
        "user": json.dumps(place.user_id),
        "id": json.dumps(place.id),
        "turn_count": turn_count,
        "time": None if time_s is None else json.dumps(time_s),
    }
    return {STATE: kept | ({"state": delta.session} if delta.session else {})}


def names_of(kept: JsonObject | None) -> tuple[str, str, str] | None:
    """App, user and id of a session; None of one that the framework has not kept."""
    if kept is None or "app" not in kept:
        return None
    return json.loads(kept["app"]), json.loads(kept["user"]), json.loads(kept["id"])


def names_in(session: Session) -> tuple[str, str, str] | None:
    """App, user and id of a session that was imported from the framework's own
    database, whose metadata and name say them; None of any other."""
    told = session.metadata
    app_name, own_id = told.get("app_name"), told.get("session_id")
    if not isinstance(app_name, str) or not isinstance(own_id, str):
        return None
    user_id = told.get("user_id")
    if isinstance(user_id, str):
        known = session.id == session_name(app_name, user_id, own_id)
    else:  # an import of before: names are put together as they are
        user_id = session.id.removeprefix(f"{app_name}/").removesuffix(f"/{own_id}")
        known = session.id == f"{app_name}/{user_id}/{own_id}"
    return (app_name, user_id, own_id) if known else None


def time_of(session: Session, kept: JsonObject | None) -> float:
    """When the session changed last: as its last event says, or, where others have
    gone on with it, as the store does. Seconds since 1970."""
    known = kept is not None and kept.get("turn_count") == session.turn_count
    if known and kept is not None and kept.get("time") is not None:
        return float(json.loads(kept["time"]))
    return session.last_activity_at.timestamp()
