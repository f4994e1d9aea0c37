"""Sessions that were imported from ADK's own database go on in the service, with their
state and that of their users and apps, whatever they are called."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from google.adk.errors.already_exists_error import AlreadyExistsError
from google.adk.events.event import Event
from google.adk.events.event_actions import EventActions
from google.adk.sessions import DatabaseSessionService

from convstore import Store
from convstore.adapters.google_adk import ConvstoreSessionService
from tests.frameworks.google_adk.talk import BEGIN, asked

ANN: dict[str, Any] = {"app_name": "shop", "user_id": "ann"}
STATE = {"n": 1, "user:lang": "nl", "app:open": True}


async def brought(store: Store, folder: Path, *places: dict[str, Any]) -> None:
    """Sessions of ADK's own service with some state each, imported."""
    path = folder / "sessions.db"
    theirs = DatabaseSessionService(f"sqlite+aiosqlite:///{path}")
    for place in places:
        session = await theirs.create_session(**place, state=dict(STATE))
        await theirs.append_event(session, asked(f"Of {place['session_id']}?"))
    await theirs.close()
    report = await store.import_("google-adk", path)
    assert (report.sessions, dict(report.rejected)) == (len(places), {}), report


def changing(**delta: Any) -> Event:
    actions = EventActions(state_delta=delta)
    return Event(author="guide", actions=actions, timestamp=BEGIN)


async def test_state_comes_over_and_what_is_said_of_it_later_counts_more(
    store: Store, tmp_path: Path
) -> None:
    await brought(store, tmp_path, ANN | {"session_id": "s"})
    service = ConvstoreSessionService(store, agent_name="guide")

    known = await service.get_session(**ANN, session_id="s")
    assert known is not None
    assert known.state == STATE
    (listed,) = (await service.list_sessions(**ANN)).sessions
    assert listed.state == known.state
    await service.append_event(known, changing(**{"n": 2, "user:tz": "CET"}))
    other = await service.create_session(**ANN, state={"user:lang": "fy"})
    assert other.state == {"user:lang": "fy", "user:tz": "CET", "app:open": True}
    assert await service.get_user_state(**ANN) == {"lang": "fy", "tz": "CET"}
    bob = await service.create_session(app_name="shop", user_id="bob")
    assert bob.state == {"app:open": True}

    # An import that is repeated takes nothing back.
    report = await store.import_("google-adk", tmp_path / "sessions.db")
    assert (report.sessions, dict(report.rejected)) == (0, {})
    again = await service.get_session(**ANN, session_id="s")
    assert again is not None
    assert again.state == {"n": 2, **other.state}


async def test_state_is_archived_with_its_session_and_erased_with_its_user(
    store: Store, tmp_path: Path
) -> None:
    await brought(store, tmp_path, ANN | {"session_id": "s"})
    service = ConvstoreSessionService(store)
    assert (await store.run_retention(older_than_s=0)).purged == 1

    known = await service.get_session(**ANN, session_id="s")
    assert known is not None
    assert known.state["n"] == 1
    await store.erase(user_id="ann")
    assert await service.get_user_state(**ANN) == {}


ODD_NAMES = [
    {"app_name": "a/b", "user_id": "c", "session_id": "d"},
    {"app_name": "a", "user_id": "b/c", "session_id": "d"},
    {"app_name": "a", "user_id": "b", "session_id": "c/d"},
    {"app_name": "a%2Fb", "user_id": "c", "session_id": "d"},
    {"app_name": "a", "user_id": "u/" * 300, "session_id": "d\x00"},
]


async def test_names_that_only_together_are_the_same_are_several_sessions(
    store: Store, tmp_path: Path
) -> None:
    # ADK's own columns are too short for the last one.
    await brought(store, tmp_path, *ODD_NAMES[:-1])
    service = ConvstoreSessionService(store)
    await service.create_session(**ODD_NAMES[-1])

    for place in ODD_NAMES:
        known = await service.get_session(**place)
        assert known is not None, place
        assert (known.app_name, known.user_id, known.id) == tuple(place.values())
        with pytest.raises(AlreadyExistsError):
            await service.create_session(**place)
        await service.append_event(known, changing(own=place["session_id"]))
    for place in ODD_NAMES:
        listed = await service.list_sessions(app_name=place["app_name"])
        assert place["session_id"] in [one.id for one in listed.sessions]
        await service.delete_session(**place)
        assert await service.get_session(**place) is None


async def test_what_an_import_of_before_has_called_otherwise_is_found(
    store: Store,
) -> None:
    place = {"app_name": "a/b", "user_id": "50%", "session_id": "d"}
    metadata = {"app_name": "a/b", "session_id": "d"}
    await store.sessions.get_or_create("a/b/50%/d", user_id="50%", metadata=metadata)
    await store.turns.append("a/b/50%/d", role="user", content="Which?")
    await store.graph_states.put(
        "a/b/50%/d", state={"n": 1, "user:lang": "nl"}, namespace="adk-state"
    )
    service = ConvstoreSessionService(store)

    known = await service.get_session(**place)
    assert known is not None
    assert (len(known.events), known.state) == (1, {"n": 1, "user:lang": "nl"})
    await service.append_event(known, changing(n=2))
    again = await service.get_session(**place)
    assert again is not None
    assert (len(again.events), again.state["n"]) == (2, 2)
    with pytest.raises(AlreadyExistsError):
        await service.create_session(**place)
    # Another one has the name that it was given.
    other = {"app_name": "a", "user_id": "b", "session_id": "50%/d"}
    assert await service.get_session(**other) is None
    await service.delete_session(**place)
    assert await service.get_session(**place) is None
