"""Events of ADK become turns, and come back as they were; turns of others are events
that say the same."""

from __future__ import annotations

import json
from typing import Any

from google.adk.events.event import Event
from google.adk.events.event_actions import EventActions
from google.genai import types
from hypothesis import given, settings
from hypothesis import strategies as st

from convstore.adapters.google_adk.copied import plain_event
from convstore.adapters.google_adk.events import (
    FORMAT,
    events_of,
    lasting,
    renamed,
    turns_of_event,
)
from convstore.adapters.google_adk.state import delta_of, state_of
from convstore.db.codec.inputs import encode_turn
from convstore.vocabulary.limits import Limits
from convstore.vocabulary.records import Turn
from tests.frameworks.neutral_turns import (
    Word,
    branches,
    joined,
    named,
    payloads_of_others,
    stored,
    told,
)

text = st.text(st.characters(codec=None), max_size=9)
names = st.none() | text
leaves = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | text
objects = st.dictionaries(text, leaves | st.lists(leaves, max_size=2), max_size=3)
data = st.binary(max_size=6)
kinds = st.sampled_from(["image/png", "audio/wav", "application/pdf", ""]) | text
parts = st.one_of(
    st.builds(types.Part, text=text, thought=st.none() | st.booleans()),
    st.builds(types.Part, text=text, thought_signature=data),
    st.builds(
        types.Part,
        function_call=st.builds(
            types.FunctionCall, id=names, name=names, args=st.none() | objects
        ),
    ),
    st.builds(
        types.Part,
        function_response=st.builds(
            types.FunctionResponse, id=names, name=names, response=st.none() | objects
        ),
    ),
    st.builds(
        types.Part, inline_data=st.builds(types.Blob, data=data, mime_type=kinds)
    ),
    st.builds(
        types.Part, file_data=st.builds(types.FileData, file_uri=text, mime_type=kinds)
    ),
    st.builds(
        types.Part,
        executable_code=st.builds(
            types.ExecutableCode, code=text, language=st.just(types.Language.PYTHON)
        ),
    ),
    st.builds(
        types.Part,
        code_execution_result=st.builds(
            types.CodeExecutionResult,
            output=names,
            outcome=st.just(types.Outcome.OUTCOME_OK),
        ),
    ),
)
counts = st.none() | st.integers(0, 2**31 - 1)
events = st.builds(
    Event,
    author=st.sampled_from(["user", "guide"]) | text,
    id=st.text(min_size=1, max_size=9),  # else ADK draws one
    invocation_id=text,
    timestamp=st.floats(allow_nan=False),
    content=st.none()
    | st.builds(
        types.Content,
        role=st.none() | st.sampled_from(["user", "model"]),
        parts=st.none() | st.lists(parts, max_size=4),
    ),
    actions=st.builds(
        EventActions, state_delta=objects, escalate=st.none() | st.booleans()
    ),
    branch=names,
    long_running_tool_ids=st.none() | st.sets(text, max_size=2),
    custom_metadata=st.none() | objects,
    error_message=names,
    model_version=names,
    turn_complete=st.none() | st.booleans(),
    usage_metadata=st.none()
    | st.builds(
        types.GenerateContentResponseUsageMetadata,
        prompt_token_count=counts,
        candidates_token_count=counts,
    ),
)


def path_of(given: list[Event]) -> list[Turn]:
    turns = [turn for event in given for turn in turns_of_event(event)]
    return [stored(turn, seq) for seq, turn in enumerate(turns, 1)]


@settings(max_examples=40, deadline=None)
@given(st.lists(events, max_size=3))
def test_events_come_back_as_they_were(given_events: list[Event]) -> None:
    known = [lasting(event) for event in given_events]

    assert events_of(path_of(known), "guide") == known


@settings(max_examples=40, deadline=None)
@given(events)
def test_no_event_is_refused(event: Event) -> None:
    turns = turns_of_event(event)

    for given_turns in (turns, renamed(turns)):
        for turn in given_turns:
            encode_turn(Limits(), turn, 0)
        assert events_of(
            [stored(turn, n) for n, turn in enumerate(given_turns, 1)], "x"
        ) == [event]


@settings(max_examples=60, deadline=None)
@given(branches)
def test_what_others_said_is_in_the_events(turns: list[Turn]) -> None:
    roles = {"user": "user", "system": "system", "guide": "assistant"}
    found: list[Word] = []
    for event in events_of(turns, "guide"):
        assert event.content is not None
        for part in event.content.parts or ():
            call, result = part.function_call, part.function_response
            if call is not None:
                found.append(("called", call.id, call.name, call.args))
            elif result is not None:
                given_back: Any = result.response
                found.append(("gave", result.id, given_back["result"]))
            else:
                found.append(("said", roles[event.author], part.text))

    assert joined(found) == told(turns)


@settings(max_examples=30, deadline=None)
@given(branches, events)
def test_events_among_turns_of_others_come_back(
    turns: list[Turn], event: Event
) -> None:
    own = [
        stored(turn, len(turns) + number)
        for number, turn in enumerate(turns_of_event(event), 1)
    ]

    read = events_of([*turns, *own], "guide")
    assert read[-1] == event
    assert json.dumps(read[-1].model_dump(mode="json")) == json.dumps(
        event.model_dump(mode="json")
    )
    assert read[:-1] == events_of(turns, "guide")


def test_keys_with_half_of_a_pair_stay_two_keys() -> None:
    first, second = "\ud800", "\ud801"
    state = {first: 1, second: {"\udfff": None}, "\ufffdjson:": first}
    delta = {"user:\ud800": [state], "app:x": state, **state}
    event = Event(author="user", actions=EventActions(state_delta=delta))

    assert events_of(path_of([event]), "guide") == [event]
    told = delta_of(delta)
    assert state_of(told.session) == state
    assert state_of(told.user, "user:") == {"user:\ud800": [state]}
    assert state_of(told.app, "app:") == {"app:x": state}


spoken = st.builds(
    Event,
    author=text,
    id=text,
    invocation_id=text,
    timestamp=st.floats(0, 1e9) | st.just(7.0),
    content=st.builds(
        types.Content,
        role=st.sampled_from(["user", "model", None]),
        parts=st.lists(st.builds(types.Part, text=text), max_size=2),
    ),
)


@settings(max_examples=60, deadline=None)
@given(spoken)
def test_what_is_nothing_but_text_is_read_as_pydantic_reads_it(event: Event) -> None:
    written = json.loads(event.model_dump_json(exclude_none=True))

    for one in (written, written | {"timestamp": 7}, written | {"id": ""}):
        quick = plain_event(one)
        if quick is not None:
            slow = Event.model_validate(one)
            assert quick == slow
            assert repr(quick) == repr(slow)
            given_in = quick.model_dump(exclude_unset=True)
            assert given_in == slow.model_dump(exclude_unset=True)
    said = types.Content(role="user", parts=[types.Part(text="Hm.")])
    known = Event(author="user", id="e", invocation_id="i", content=said)
    dumped = known.model_dump(mode="json", exclude_none=True)
    first, second = plain_event(dumped), plain_event(dumped)
    assert first is not None
    assert second is not None
    assert first.actions.state_delta is not second.actions.state_delta


@settings(max_examples=60, deadline=None)
@given(branches, payloads_of_others)
def test_a_payload_of_others_is_not_taken_for_an_event(
    turns: list[Turn], payload: bytes
) -> None:
    read = events_of(named(turns, payload, FORMAT), "guide")

    assert read == events_of(turns, "guide")
