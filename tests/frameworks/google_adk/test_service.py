"""The session service for Google's ADK on both databases: what its own tests ask of
services, in our words, and what only ours can."""

from __future__ import annotations

import asyncio
import json
import time
from typing import Any

import pytest
from google.adk.agents import BaseAgent
from google.adk.errors import StaleSessionError
from google.adk.errors.already_exists_error import AlreadyExistsError
from google.adk.errors.session_not_found_error import SessionNotFoundError
from google.adk.events.event import Event
from google.adk.events.event_actions import EventActions
from google.adk.runners import Runner
from google.adk.sessions import Session
from google.adk.sessions.base_session_service import GetSessionConfig
from google.genai import types

import convstore.blocking
from convstore import SessionErasedError, Store
from convstore.adapters.google_adk import ConvstoreSessionService
from tests.frameworks.google_adk.talk import BEGIN, asked, event, talk

WHERE: dict[str, Any] = {"app_name": "shop", "user_id": "ann", "session_id": "s"}


@pytest.fixture
def service(store: Store) -> ConvstoreSessionService:
    return ConvstoreSessionService(store)


async def loaded(service: ConvstoreSessionService, **config: Any) -> Session:
    given = GetSessionConfig(**config) if config else None
    session = await service.get_session(**WHERE, config=given)
    assert session is not None
    return session


def saying(delta: dict[str, Any], **given: Any) -> Event:
    return Event(
        author="guide",
        actions=EventActions(state_delta=delta),
        timestamp=BEGIN,
        **given,
    )


async def test_state_belongs_to_session_user_and_app(
    service: ConvstoreSessionService,
) -> None:
    state = {"a": 1, "user:b": {"x": 1, "y": 2}, "app:c": 3, "temp:d": 4}
    session = await service.create_session(**WHERE, state=state)
    assert session.state == {"a": 1, "user:b": {"x": 1, "y": 2}, "app:c": 3}
    await service.append_event(
        session, saying({"user:b": {"x": 5}, "temp:d": 6, "a": None})
    )
    assert session.state == {"a": None, "user:b": {"x": 5}, "app:c": 3, "temp:d": 6}

    other = await service.create_session(app_name="shop", user_id="ann")
    assert other.state == {"user:b": {"x": 5}, "app:c": 3}
    third = await service.create_session(app_name="shop", user_id="bob")
    assert third.state == {"app:c": 3}
    assert await service.get_user_state(app_name="shop", user_id="ann") == {
        "b": {"x": 5}
    }
    again = await loaded(service)
    assert again.state == {"a": None, "user:b": {"x": 5}, "app:c": 3}
    assert again.events[0].actions.state_delta == {"user:b": {"x": 5}, "a": None}
    assert again.last_update_time == BEGIN


async def test_two_users_may_have_one_id_and_blanks_do_not_count(
    service: ConvstoreSessionService,
) -> None:
    session = await service.create_session(**(WHERE | {"session_id": " s\n"}))
    assert session.id == "s"
    await service.create_session(**(WHERE | {"user_id": "bob"}))
    for taken in ("s", " s"):
        with pytest.raises(AlreadyExistsError):
            await service.create_session(
                **(WHERE | {"session_id": taken}), state={"app:x": 1}
            )
    assert (await loaded(service)).state == {}
    await service.delete_session(**(WHERE | {"session_id": "s "}))
    assert await service.get_session(**WHERE) is None
    assert await service.get_session(**(WHERE | {"user_id": "bob"})) is not None


async def test_an_object_that_others_have_left_behind_is_stale(
    service: ConvstoreSessionService, store: Store
) -> None:
    first = await service.create_session(**WHERE)
    second = await loaded(service)
    await service.append_event(first, asked("One."))
    with pytest.raises(StaleSessionError, match="modified in storage"):
        await service.append_event(second, saying({"app:x": 1}))
    assert (second.events, second.state) == ([], {})

    second = await loaded(service, num_recent_events=0)
    await store.interactions.record(
        "shop/ann/s", action="feedback", turn_seq=1, feedback="correct"
    )
    await store.sessions.update("shop/ann/s", title="Weather")
    await service.append_event(second, asked("Two."))
    assert [one.id for one in (await loaded(service)).events] == [
        "asked-One.",
        "asked-Two.",
    ]


async def test_an_object_without_a_mark_is_taken_when_its_events_are_current(
    service: ConvstoreSessionService,
) -> None:
    given = WHERE | {"id": WHERE["session_id"]}
    del given["session_id"]
    with pytest.raises(SessionNotFoundError):
        await service.append_event(Session(**given), asked("One."))
    await service.create_session(**WHERE)
    made = Session(**given)
    await service.append_event(made, asked("One."))
    await service.append_event(made, asked("Two."))
    with pytest.raises(StaleSessionError):
        await service.append_event(Session(**given), asked("Three."))
    known = Session(**given, events=(await loaded(service)).events)
    await service.append_event(known, asked("Three."))
    assert len((await loaded(service)).events) == 3


async def test_branches_of_one_run_append_at_once_to_one_object(
    service: ConvstoreSessionService,
) -> None:
    session = await service.create_session(**WHERE)
    said = [asked(f"{n}") for n in range(20)]
    await asyncio.gather(*[service.append_event(session, one) for one in said])
    assert session.events == (await loaded(service)).events
    assert {one.id for one in session.events} == {one.id for one in said}
    assert service._appending == {}


async def test_what_is_made_is_what_is_read(service: ConvstoreSessionService) -> None:
    assert await service.get_session(**WHERE) is None
    made = await service.create_session(app_name="shop", user_id="ann", state={"a": 1})
    where = WHERE | {"session_id": made.id}
    assert made.id
    assert made.last_update_time <= time.time()
    assert await service.get_session(**where) == made

    full = Event(
        author="guide",
        invocation_id="run-1",
        id="e-1",
        content=types.Content(
            role="model", parts=[types.Part.from_bytes(data=b"\xff", mime_type="x/y")]
        ),
        actions=EventActions(
            artifact_delta={"file": 0}, transfer_to_agent="other", escalate=True
        ),
        long_running_tool_ids={"call-1"},
        partial=False,
        turn_complete=True,
        interrupted=True,
        error_code="code",
        error_message="message",
        grounding_metadata=types.GroundingMetadata(
            web_search_queries=["rain"],
            search_entry_point=types.SearchEntryPoint(sdk_blob=b"\x00\xff"),
        ),
        usage_metadata=types.GenerateContentResponseUsageMetadata(
            prompt_token_count=1, candidates_token_count=1, total_token_count=2
        ),
        citation_metadata=types.CitationMetadata(),
        custom_metadata={"key": ["value"]},
        input_transcription=types.Transcription(text="in", finished=True),
        output_transcription=types.Transcription(text="out", finished=True),
        timestamp=made.last_update_time + 10,
    )
    await service.append_event(made, full)
    assert made.last_update_time == pytest.approx(full.timestamp, abs=1e-6)
    assert await service.get_session(**where) == made
    await service.delete_session(**where)
    assert await service.get_session(**where) is None


async def test_a_key_of_one_run_is_with_the_caller_and_nowhere_else(
    service: ConvstoreSessionService,
) -> None:
    session = await service.create_session(**WHERE)
    said = saying({"temp:out": "found", "kept": 1}, id="e-1")
    await service.append_event(session, said)
    await service.append_event(session, saying({"n": 1}, id="e-2"))

    assert session.state == {"temp:out": "found", "kept": 1, "n": 1}
    assert said.actions.state_delta == {"kept": 1}
    again = await loaded(service)
    assert again.state == {"kept": 1, "n": 1}
    assert again.events[0].actions.state_delta == {"kept": 1}


async def test_of_two_copies_that_append_at_once_one_is_stale(
    service: ConvstoreSessionService,
) -> None:
    await service.create_session(**WHERE)
    for number in range(4):
        latest = await loaded(service)
        copies = [latest.model_copy(deep=True) for _ in range(2)]
        done = await asyncio.gather(
            *[
                service.append_event(copy, saying({f"{number}-{place}": number}))
                for place, copy in enumerate(copies)
            ],
            return_exceptions=True,
        )
        (error,) = [one for one in done if isinstance(one, Exception)]
        assert isinstance(error, StaleSessionError)
        assert "modified in storage" in str(error)

    told = await loaded(service)
    assert len(told.events) == 4
    assert sorted(told.state.values()) == [0, 1, 2, 3]


async def test_a_time_that_was_rounded_on_the_way_makes_nobody_stale(
    service: ConvstoreSessionService,
) -> None:
    session = await service.create_session(**WHERE)
    await service.append_event(session, asked("One."))
    session.last_update_time -= 0.0001
    await service.append_event(session, asked("Two."))

    told = await loaded(service)
    assert [one.id for one in told.events] == ["asked-One.", "asked-Two."]


async def test_an_event_that_comes_again_changes_nothing(
    service: ConvstoreSessionService,
) -> None:
    session = await service.create_session(**WHERE)
    lost = await loaded(service)
    for given in [*talk(), saying({"n": 1, "user:n": 1}, id="e-1")]:
        await service.append_event(session, given)
        await service.append_event(session, given)
    # Whose answer was lost on the way knows of it when it is said again.
    await service.append_event(lost, talk()[0])
    told = await loaded(service)
    assert told.events == session.events
    assert [one.id for one in told.events] == ["e-1", "e-2", "e-3", "e-4", "e-1"]
    assert lost.events == []


async def test_an_answer_that_was_lost_is_made_good_by_another_call(
    service: ConvstoreSessionService,
) -> None:
    session = await service.create_session(**WHERE)
    behind = await loaded(service)
    await service.append_event(session, talk()[0])
    await service.append_event(behind, talk()[0])
    assert behind.events == session.events
    await service.append_event(behind, talk()[1])
    assert len((await loaded(service)).events) == 2


async def test_what_another_wrote_is_the_agents_own_and_context(
    store: Store,
) -> None:
    service = ConvstoreSessionService(store, agent_name="guide", shared_ids=True)
    chat = store.conversation("s", user_id="ann")
    await chat.append_system_message("The user opened the map view")
    await chat.append(role="user", content="Weather?")
    await chat.append(role="assistant", content="Rain.", model="m-1")

    session = await loaded(service)
    assert [one.author for one in session.events] == ["system", "user", "guide"]
    await service.append_event(session, asked("Thanks"))
    listed = await service.list_sessions(app_name="shop", user_id="ann")
    assert [one.id for one in listed.sessions] == ["s"]
    assert await service.get_session(**(WHERE | {"app_name": "other"})) is None
    assert await service.get_session(**(WHERE | {"user_id": "bob"})) is None
    with pytest.raises(AlreadyExistsError):
        await service.create_session(**WHERE)
    with pytest.raises(AlreadyExistsError):
        await service.create_session(**(WHERE | {"user_id": "bob"}))


async def test_sessions_are_listed_oldest_update_first(
    service: ConvstoreSessionService, store: Store
) -> None:
    for number, name in enumerate("cab"):
        session = await service.create_session(
            app_name="shop", user_id="ann", session_id=name
        )
        await service.append_event(
            session, event("user", types.Part(text=name), timestamp=BEGIN - number)
        )
    await service.create_session(app_name="other", user_id="ann", session_id="z")
    await store.run_retention(older_than_s=0)
    listed = (await service.list_sessions(app_name="shop")).sessions
    assert [one.id for one in listed] == ["b", "a", "c"]
    assert [one.events for one in listed] == [[], [], []]
    nobody = await service.list_sessions(app_name="shop", user_id="")
    assert nobody.sessions == []


async def test_erasing_a_user_takes_what_lies_beside_the_sessions(
    service: ConvstoreSessionService, store: Store
) -> None:
    session = await service.create_session(**WHERE, state={"user:name": "Ann"})
    await service.append_event(session, asked("Hello"))
    await store.erase(user_id="ann")
    assert await service.get_user_state(app_name="shop", user_id="ann") == {}
    assert await service.get_session(**WHERE) is None
    with pytest.raises(SessionErasedError):
        await service.create_session(**WHERE)
    with pytest.raises((SessionNotFoundError, SessionErasedError)):
        await service.append_event(session, asked("Back?"))


class Echo(BaseAgent):
    async def _run_async_impl(self, ctx: Any) -> Any:
        said = [one for one in ctx.session.events if one.author == "user"]
        yield event(self.name, types.Part(text=f"{len(said)}"), invocation_id="i")


def test_a_runner_goes_on_from_any_loop(database_url: str) -> None:
    with convstore.blocking.open_store(database_url) as store:
        service = ConvstoreSessionService(store.awaitable)

        async def run(text: str) -> list[Any]:
            runner = Runner(
                app_name="shop",
                agent=Echo(name="guide"),
                session_service=service,
                auto_create_session=True,
            )
            new = types.Content(role="user", parts=[types.Part(text=text)])
            given = {k: WHERE[k] for k in ("user_id", "session_id")}
            said = runner.run_async(**given, new_message=new)
            return [one.content.parts[0].text async for one in said]

        assert asyncio.run(run("Hello")) == ["1"]
        assert asyncio.run(run("And again")) == ["2"]
        turns = store.turns.branch("shop/ann/s")
        assert [turn.content for turn in turns] == ["Hello", "1", "And again", "2"]
        assert json.loads(turns[0].payload or b"")["turns"] == 1
