"""Messages as clients have them go in, and come out the same."""

from __future__ import annotations

from typing import Any

import pytest

from convstore import InvalidInputError, Store
from convstore.gateway import to_anthropic_messages

CALL = {"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}
OPENAI: list[dict[str, Any]] = [
    {"role": "system", "content": "Kort."},
    {"role": "user", "content": [{"type": "text", "text": "Q"}]},
    {"role": "assistant", "content": None, "tool_calls": [CALL]},
    {"role": "tool", "tool_call_id": "c", "content": "1"},
    {"role": "assistant", "content": "Een."},
]
ANTHROPIC: list[dict[str, Any]] = [
    {"role": "user", "content": "Q"},
    {
        "role": "assistant",
        "content": [
            {"type": "thinking", "thinking": "hm", "signature": "s"},
            {"type": "text", "text": "Kijk."},
            {"type": "tool_use", "id": "t", "name": "f", "input": {"a": 1}},
        ],
    },
    {
        "role": "user",
        "content": [{"type": "tool_result", "tool_use_id": "t", "content": "1"}],
    },
]


async def test_messages_of_openai_come_out_as_they_went_in(store: Store) -> None:
    chat = store.conversation("s-1")

    for message in OPENAI:
        await chat.append_message(message)

    assert list(await chat.history(limit=9)) == OPENAI


@pytest.mark.parametrize(
    "message",
    [
        {"role": "assistant", "content": None, "refusal": "Nee."},
        {"role": "assistant", "content": "Half.", "refusal": "Nee."},
        {
            "role": "assistant",
            "content": [{"type": "text", "text": "H"}],
            "refusal": "N",
        },
        {"role": "assistant", "content": [{"type": "refusal", "refusal": "Nee."}]},
        {
            "role": "assistant",
            "content": None,
            "function_call": {"name": "f", "arguments": "{}"},
        },
        {"role": "assistant", "content": None, "audio": {"id": "a-1"}},
    ],
    ids=["refusal", "behind text", "behind a part", "as part", "function", "audio"],
)
async def test_fields_of_older_and_rarer_messages_come_out_where_they_were(
    store: Store, message: dict[str, Any]
) -> None:
    chat = store.conversation("s-1")

    await chat.append_message(message)

    assert list(await chat.history()) == [message]


async def test_messages_of_anthropic_come_out_as_they_went_in(store: Store) -> None:
    chat = store.conversation("s-1")

    for message in ANTHROPIC:
        await chat.append_message(message)

    told = to_anthropic_messages(await chat.window(limit=9))
    texts = [{"type": "text", "text": "Q"}]
    assert told.messages[0]["content"] in ("Q", texts)
    assert told.messages[1]["content"] == ANTHROPIC[1]["content"]
    result = told.messages[2]["content"][0]
    assert (result["type"], result["tool_use_id"]) == ("tool_result", "t")


async def test_what_a_client_got_is_kept_with_its_model_and_usage(store: Store) -> None:
    chat = store.conversation("s-1")
    answer = {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "model": "claude-x",
        "content": [{"type": "text", "text": "A"}],
        "stop_reason": "end_turn",
        "usage": {"input_tokens": 3, "output_tokens": 2},
    }

    turn = await chat.append_message(answer, external_id="msg_1")
    again = await chat.append_message(answer, external_id="msg_1")

    assert (turn.model, turn.finish_reason) == ("claude-x", "end_turn")
    assert (turn.tokens_in, turn.tokens_out, turn.content) == (3, 2, "A")
    assert turn.metadata["message"]["id"] == "msg_1"
    assert again == turn


@pytest.mark.parametrize(
    ("message", "field"),
    [
        ({"content": "x"}, "message.role"),
        ({"role": "user", "content": 1}, "message.content"),
        ({"role": "user", "content": ["x"]}, "message.content[0]"),
        ({"role": "assistant", "tool_calls": [{"id": 1}]}, "message.tool_calls[0]"),
        ([], "message"),
    ],
)
async def test_what_is_no_message_is_refused_by_field(
    store: Store, message: Any, field: str
) -> None:
    with pytest.raises(InvalidInputError) as told:
        await store.conversation("s-1").append_message(message)

    assert told.value.field == field
