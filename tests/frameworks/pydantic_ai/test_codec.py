"""Messages of Pydantic AI become turns, and come back as they were; turns of others are
messages that say the same."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic_ai.conversation_store import ConversationEntry
from pydantic_ai.messages import (
    BinaryContent,
    DocumentUrl,
    FilePart,
    ImageUrl,
    ModelMessage,
    ModelMessagesTypeAdapter,
    ModelRequest,
    ModelResponse,
    SystemPromptPart,
    TextPart,
    ThinkingPart,
    ToolCallPart,
    ToolReturnPart,
    UserPromptPart,
)
from pydantic_ai.usage import RequestUsage

from convstore.adapters.pydantic_ai.entries import entries_of, turns_of_entry
from convstore.db.codec.inputs import encode_turn
from convstore.messages.model_messages import FORMAT
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
leaves = st.none() | st.booleans() | st.integers() | text
objects = st.dictionaries(text, leaves | st.lists(leaves, max_size=2), max_size=3)
times = st.datetimes(
    datetime(1960, 1, 1),  # noqa: DTZ001 (the zone is drawn, too)
    datetime(2100, 1, 1),  # noqa: DTZ001
    timezones=st.sampled_from([UTC, timezone(timedelta(hours=2))]),
)
binary = st.builds(
    BinaryContent,
    st.binary(max_size=6),
    media_type=st.sampled_from(["image/png", "audio/wav", "application/pdf"]),
)
pieces = st.one_of(
    text, binary, st.builds(ImageUrl, text), st.builds(DocumentUrl, text)
)
asked = st.one_of(
    st.builds(SystemPromptPart, text, timestamp=times),
    st.builds(UserPromptPart, text | st.lists(pieces, max_size=3), timestamp=times),
    st.builds(
        ToolReturnPart,
        text,
        text | objects | st.lists(leaves, max_size=3),
        text,
        timestamp=times,
    ),
)
answered = st.one_of(
    st.builds(TextPart, text, id=names),
    st.builds(ThinkingPart, text, signature=names, provider_name=names),
    st.builds(ToolCallPart, text, st.none() | text | objects, text),
    st.builds(FilePart, binary),
)
counts = st.integers(0, 2**40)
messages = st.one_of(
    st.builds(
        ModelRequest,
        st.lists(asked, max_size=4),
        instructions=names,
        run_id=names,
        metadata=st.none() | objects,
    ),
    st.builds(
        ModelResponse,
        st.lists(answered, max_size=4),
        model_name=names,
        timestamp=times,
        finish_reason=st.none() | st.sampled_from(["stop", "length", "tool_call"]),
        usage=st.builds(RequestUsage, input_tokens=counts, output_tokens=counts),
        provider_details=st.none() | objects,
    ),
)


def entry(message: ModelMessage, number: int = 1) -> ConversationEntry:
    return ConversationEntry(id=f"e-{number}", parent_id=None, message=message)


def kept(given: list[ModelMessage]) -> list[Any]:
    """As the framework's own adapter gives them back: what else it makes of an object
    that is no JSON, ours need not know."""
    told = ModelMessagesTypeAdapter.dump_python(given, mode="json")
    return list(ModelMessagesTypeAdapter.validate_python(told))


@settings(max_examples=60, deadline=None)
@given(st.lists(messages, max_size=4))
def test_messages_come_back_as_they_were(given_messages: list[ModelMessage]) -> None:
    entries = [entry(message, n) for n, message in enumerate(given_messages)]
    turns = [turn for one in entries for turn in turns_of_entry(one)]
    for turn in turns:
        encode_turn(Limits(), turn, 0)

    read = entries_of([stored(turn, seq) for seq, turn in enumerate(turns, 1)])
    assert [one.message for one in read] == kept(given_messages)
    assert [one.id for one in read] == [one.id for one in entries]


@settings(max_examples=60, deadline=None)
@given(branches)
def test_what_others_said_is_in_the_messages(turns: list[Turn]) -> None:
    roles = {"system-prompt": "system", "user-prompt": "user", "text": "assistant"}
    found: list[Word] = []
    for one in entries_of(turns):
        for part in one.message.parts:
            if isinstance(part, ToolCallPart):
                given_to = json.loads(part.args_as_json_str())
                found.append(("called", part.tool_call_id, part.tool_name, given_to))
            elif isinstance(part, ToolReturnPart):
                found.append(("gave", part.tool_call_id, part.content))
            else:
                assert isinstance(part, SystemPromptPart | UserPromptPart | TextPart)
                found.append(("said", roles[part.part_kind], part.content))

    assert joined(found) == told(turns)


@settings(max_examples=30, deadline=None)
@given(branches, messages)
def test_messages_among_turns_of_others_come_back(
    turns: list[Turn], message: ModelMessage
) -> None:
    own = turns_of_entry(entry(message))
    path = [*turns, *(stored(t, len(turns) + n) for n, t in enumerate(own, 1))]

    read = entries_of(path)
    assert [read[-1].message] == kept([message])
    assert [one.message for one in read[:-1]] == [
        one.message for one in entries_of(turns)
    ]


@settings(max_examples=60, deadline=None)
@given(branches, payloads_of_others)
def test_a_payload_of_others_is_not_taken_for_a_message(
    turns: list[Turn], payload: bytes
) -> None:
    read = entries_of(named(turns, payload, FORMAT))

    assert [one.message for one in read] == [one.message for one in entries_of(turns)]
