"""Whatever can be stored, each client is given what it takes.

Held against the clients' own types, which say what a message may look like, and the
rules of their APIs, which say what may follow what and are written down here.
"""

from __future__ import annotations

import base64
import dataclasses
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from functools import cache
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from convstore import Turn
from convstore.gateway import (
    to_anthropic_messages,
    to_dspy_messages,
    to_openai_messages,
)
from convstore.messages.message import LeftOut
from tests.summary import needs

NOW = datetime(2026, 1, 1, tzinfo=UTC)
FIELDS = {field.name: None for field in dataclasses.fields(Turn)}
PNG = base64.b64encode(b"\x89PNG\r\n\x1a\n....").decode()
HEIC = base64.b64encode(b"....ftypheic....").decode()


def turn(seq: int, role: str, content: str | None = None, **fields: Any) -> Turn:
    given = {"session_id": "s", "seq": seq, "metadata": {}, "created_at": NOW, **fields}
    return Turn(**{**FIELDS, "role": role, "content": content, **given})


def told(*turns: dict[str, Any]) -> list[Turn]:
    return [turn(seq, **fields) for seq, fields in enumerate(turns, 1)]


# What the APIs refuse


@cache
def adapter(client: str, *names: str) -> Any:
    types = needs(client)
    from pydantic import ConfigDict, TypeAdapter

    union = getattr(types, names[0])
    for name in names[1:]:
        union |= getattr(types, name)
    # Of a list: the configuration of the type itself cannot be given from outside.
    return TypeAdapter(list[union], config=ConfigDict(arbitrary_types_allowed=True))


def check_openai(messages: list[dict[str, Any]]) -> None:
    one = adapter("openai.types.chat", "ChatCompletionMessageParam")
    call_types = adapter(
        "openai.types.chat",
        "ChatCompletionMessageFunctionToolCallParam",
        "ChatCompletionMessageCustomToolCallParam",
    )
    due: list[str] = []
    for message in messages:
        one.validate_python([message])
        if message["role"] == "tool":
            assert message["tool_call_id"] in due
            due.remove(message["tool_call_id"])
            assert isinstance(message["content"], str)
            continue
        assert not due, "each call is answered before anybody else speaks"
        calls = message.get("tool_calls", [])
        assert "tool_calls" not in message or calls
        for call in calls:  # `Iterable` of the types is validated lazily
            call_types.validate_python([call])
            named = call.get("function") or call["custom"]
            assert re.fullmatch(r"[a-zA-Z0-9_-]{1,64}", named["name"])
            assert 1 <= len(call["id"]) <= 40
        due = [call["id"] for call in calls]
        assert len(set(due)) == len(due)
        assert message["content"] or calls
        assert re.fullmatch(r"[^\s<|\\/>]{1,64}", message.get("name", "x"))
        for part in parts_of(message["content"]):
            check_openai_part(message["role"], part)
    assert not due


def check_openai_part(role: str, part: dict[str, Any]) -> None:
    kinds = {"user": "text image_url input_audio file", "assistant": "text refusal"}
    assert part["type"] in kinds.get(role, "text").split()
    if part["type"] == "image_url":
        url = part["image_url"]["url"]
        assert re.match(r"https?://|data:image/(png|jpeg|gif|webp);base64,.", url)
    if part["type"] == "file":
        assert {"file_id"} == part["file"].keys() or part["file"][
            "file_data"
        ].startswith("data:application/pdf;base64,")


def parts_of(content: Any) -> list[dict[str, Any]]:
    return content if isinstance(content, list) else []


def check_anthropic(messages: list[dict[str, Any]], system: list[Any]) -> None:
    one = adapter("anthropic.types", "MessageParam")
    for block in system:
        adapter("anthropic.types", "TextBlockParam").validate_python([block])
        assert block["text"].strip()
    assert [m["role"] for m in messages] == [
        ("user", "assistant")[n % 2] for n in range(len(messages))
    ]
    ids: list[str] = []
    due: list[str] = []
    for message in messages:
        one.validate_python([message])
        blocks = message["content"]
        assert blocks
        for block in blocks:
            check_anthropic_block(block, message["role"])
        kinds = [block["type"] for block in blocks]
        head = [b["tool_use_id"] for b in blocks if b["type"] == "tool_result"]
        assert sorted(head) == sorted(due)
        assert kinds[: len(head)] == ["tool_result"] * len(head)
        due = [block["id"] for block in blocks if block["type"] == "tool_use"]
        ids += due
        thinks = [kind.endswith("thinking") for kind in kinds]
        assert not thinks[-1]
        assert thinks[0] or not any(thinks)
    assert not due
    assert len(set(ids)) == len(ids)
    assert all(re.fullmatch(r"[a-zA-Z0-9_-]{1,64}", each) for each in ids)
    if messages and messages[-1]["role"] == "assistant":
        last = messages[-1]["content"][-1].get("text", "x")
        assert last == last.rstrip()


def check_anthropic_block(block: dict[str, Any], role: str) -> None:
    names = {
        "text": "TextBlockParam",
        "image": "ImageBlockParam",
        "document": "DocumentBlockParam",
        "thinking": "ThinkingBlockParam",
        "redacted_thinking": "RedactedThinkingBlockParam",
        "tool_use": "ToolUseBlockParam",
        "tool_result": "ToolResultBlockParam",
    }
    kind = block["type"]
    adapter("anthropic.types", names[kind]).validate_python([block])
    asks = {"thinking", "redacted_thinking", "tool_use"}
    assert kind == "text" or (kind in asks) == (role == "assistant")
    if kind == "text":
        assert block["text"].strip()
    if kind == "tool_use":
        assert re.fullmatch(r"[a-zA-Z0-9_-]{1,64}", block["name"])
    if kind == "tool_result":
        assert block["content"] or not block.get("is_error")
        for inner in parts_of(block["content"]):
            assert inner["type"] in ("text", "image", "document")
            check_anthropic_block(inner, "user")
    source = block.get("source", {})
    if source.get("type") == "url":
        assert source["url"].startswith("https://")
    if source.get("type") == "text":
        assert source["data"].strip()
    if kind == "image" and source["type"] == "base64":
        assert re.fullmatch("image/(png|jpeg|gif|webp)", source["media_type"])
        assert base64.b64decode(source["data"], validate=True)


# What can be stored

texts = st.sampled_from(["", " ", "\n", "Hi", "Bye \n", "\u200b", "{"]) | st.text(
    max_size=5
)
call_ids = st.sampled_from(
    ["c-1", "c-2", "", "functions.eval:301", "functions.eval:302", "é", "x" * 70]
)
tool_names = st.sampled_from(["find", "functions.find", "", "n" * 80, "日本"])
arguments = st.sampled_from(["{}", "", '{"a":1}', "{", "[1]", {"a": 1}, None, [1], 7])
urls = st.sampled_from(
    [
        "https://example.org/a.png",
        "http://example.org/a.png",
        "file:///etc/passwd",
        "",
        f"data:image/jpg;base64,{PNG}",
        f"data:image/heic;base64,{HEIC}",
        f"data:image/png;base64,{HEIC}",
        "data:image/jpg;base64,QUJD",
        "data:image/svg+xml;base64,QUJD",
        "data:image/png;base64,",
        "data:image/png;base64,?",
        "data:image/png,QUJD",
    ]
)


def shaped(kind: str, **fields: Any) -> st.SearchStrategy[dict[str, Any]]:
    return st.fixed_dictionaries({"type": st.just(kind)}, optional=fields)


calls = st.one_of(
    st.builds(
        lambda i, n, a: {
            "type": "function",
            "id": i,
            "function": {"name": n, "arguments": a},
        },
        call_ids,
        tool_names,
        arguments,
    ),
    shaped("tool_use", id=call_ids, name=tool_names, input=arguments),
    shaped(
        "function_call", id=texts, call_id=call_ids, name=tool_names, arguments=texts
    ),
    shaped("tool_call", id=call_ids, name=tool_names, args=arguments),
    st.builds(
        lambda i, n, t: {"type": "custom", "id": i, "custom": {"name": n, "input": t}},
        call_ids,
        tool_names,
        texts,
    ),
)
media = st.one_of(
    shaped(
        "image_url", image_url=urls | st.fixed_dictionaries({"url": urls}), detail=texts
    ),
    shaped("input_image", image_url=urls, file_id=texts, detail=st.just("high")),
    shaped(
        "image",
        source=shaped(
            "base64",
            media_type=st.sampled_from(["image/jpg", "image/png", "image/heic", ""]),
            data=st.sampled_from([PNG, HEIC, "QUJD", "", "?"]),
        )
        | shaped("url", url=urls)
        | shaped("file", file_id=texts),
    ),
    shaped(
        "document",
        source=shaped(
            "base64", media_type=st.just("application/pdf"), data=st.just("QUJD")
        )
        | shaped("text", media_type=st.just("text/plain"), data=texts)
        | shaped("url", url=urls),
        title=texts,
    ),
    shaped("file", file=st.fixed_dictionaries({}, optional={"file_id": texts})),
    shaped(
        "input_file",
        filename=texts,
        file_data=st.sampled_from(
            ["data:application/pdf;base64,QUJD", "data:text/plain;base64,QUJD", "QUJD"]
        ),
    ),
    shaped(
        "input_audio",
        input_audio=st.fixed_dictionaries(
            {"data": texts, "format": st.sampled_from(["wav", "mp3", "ogg"])}
        ),
    ),
)
spoken = st.one_of(
    shaped("text", text=texts),
    shaped("input_text", text=texts),
    shaped("output_text", text=texts, annotations=st.just([])),
    shaped("refusal", refusal=texts),
    texts,
)
thoughts = st.one_of(
    shaped("thinking", thinking=texts, signature=st.sampled_from(["s", ""])),
    shaped("redacted_thinking", data=texts),
    shaped("reasoning", text=texts, summary=st.just([{"text": "hm"}])),
)
contents = texts | st.none() | st.lists(spoken | media, max_size=2) | arguments
results = st.one_of(
    shaped(
        "tool_result", tool_use_id=call_ids, content=contents, is_error=st.booleans()
    ),
    shaped("function_call_output", call_id=call_ids, output=contents),
)
parts = st.one_of(
    spoken,
    media,
    thoughts,
    calls,
    results,
    shaped("server_tool_use", id=texts),
    st.sampled_from([7, None, {}, [1], {"a": {"b": 1}}, {"type": 5}]),
)
turns = st.lists(
    st.one_of(
        st.fixed_dictionaries(
            {"role": st.sampled_from(["user", "assistant", "system", "developer"])},
            optional={"content": texts},
        ),
        st.fixed_dictionaries(
            {"role": st.just("assistant"), "parts": st.lists(calls, max_size=2)},
            optional={"content": texts},
        ),
        st.fixed_dictionaries(
            {"role": st.sampled_from(["tool", "function"])},
            optional={"content": texts, "tool_call_id": call_ids},
        ),
        st.fixed_dictionaries(
            {
                "role": st.sampled_from(["user", "assistant", "tool", "narrator"]),
                "parts": st.none() | st.lists(parts, max_size=4),
            },
            optional={
                "content": texts,
                "name": texts,
                "resolved_question": texts,
                "tool_call_id": call_ids,
            },
        ),
    ),
    max_size=9,
).map(lambda drawn: told(*drawn))


@settings(max_examples=200, deadline=None)
@given(turns)
def test_openai_is_given_what_it_takes(turns: list[Turn]) -> None:
    request = to_openai_messages(turns)

    check_openai(request.messages)
    check_accounts(turns, request.left_out)


@settings(max_examples=200, deadline=None)
@given(turns)
def test_anthropic_is_given_what_it_takes(turns: list[Turn]) -> None:
    request = to_anthropic_messages(turns)

    check_anthropic(request.messages, request.system)
    check_accounts(turns, request.left_out)


@given(turns)
def test_dspy_is_given_exchanges_of_text(turns: list[Turn]) -> None:
    for message in to_dspy_messages(turns):
        assert message.keys() == {"question", "answer"}
        assert all(text.strip() for text in message.values())


def check_accounts(turns: list[Turn], left_out: tuple[LeftOut, ...]) -> None:
    known = {turn.seq for turn in turns}
    assert all(each.reason and each.seq in known for each in left_out)


# What becomes of each kind

ASK = {"role": "user", "content": "Hi"}


def calling(*ids: str, **fields: Any) -> dict[str, Any]:
    function = {"name": "functions.find", "arguments": "{}"}
    made = [{"type": "function", "id": i, "function": function} for i in ids]
    return {"role": "assistant", "parts": made, **fields}


def answering(call_id: str, content: str = "3") -> dict[str, Any]:
    return {"role": "tool", "content": content, "tool_call_id": call_id}


def test_turns_of_one_answer_are_one_message_with_its_results_behind_it() -> None:
    thought = {"type": "reasoning", "summary": [{"type": "summary_text", "text": "?"}]}
    stored = told(
        ASK,
        {"role": "assistant", "parts": [thought]},
        {"role": "assistant", "content": "I look."},
        calling("c-1"),
        calling("c-2"),
        answering("c-2", "two"),
        answering("c-1", "one"),
        {"role": "assistant", "content": "Done."},
    )

    messages = to_openai_messages(stored).messages

    assert [m["role"] for m in messages] == [
        "user",
        "assistant",
        "tool",
        "tool",
        "assistant",
    ]
    assert messages[1]["content"] == "I look."
    assert [call["id"] for call in messages[1]["tool_calls"]] == ["c-1", "c-2"]
    assert [m["content"] for m in messages[2:4]] == ["two", "one"]
    anthropic = to_anthropic_messages(stored).messages
    assert [b["type"] for b in anthropic[1]["content"]] == [
        "text",
        "tool_use",
        "tool_use",
    ]


def test_ids_that_anthropic_refuses_are_told_alike_for_call_and_result() -> None:
    ids = ["functions.eval:301", "functions.eval_301", "functions_eval_301", "é" * 80]
    stored = told(ASK, calling(*ids), *map(answering, ids))

    _, calls, results = to_anthropic_messages(stored).messages

    used = [block["id"] for block in calls["content"]]
    assert [block["tool_use_id"] for block in results["content"]] == used
    assert len(set(used)) == len(ids)
    assert used[2] == ids[2]
    assert used[0].startswith("functions_eval_301_")
    again = to_anthropic_messages(told(ASK, calling(ids[0]), answering(ids[0])))
    assert again.messages[1]["content"][0]["id"] == used[0]


def test_an_id_that_is_used_again_is_told_apart() -> None:
    stored = told(
        ASK, calling("c"), answering("c", "1"), calling("c"), answering("c", "2")
    )

    messages = to_anthropic_messages(stored).messages

    blocks = [block for m in messages for block in m["content"]]
    used = [b["id"] for b in blocks if b["type"] == "tool_use"]
    answered = [b["tool_use_id"] for b in blocks if b["type"] == "tool_result"]
    assert used == answered
    assert len(set(used)) == 2


def test_a_late_result_stands_behind_its_call_and_a_second_one_nowhere() -> None:
    stored = told(
        ASK,
        calling("c-1", "c-2"),
        answering("c-2"),
        {"role": "user", "content": "Still there?"},
        answering("c-1"),
        answering("c-1"),
    )

    for request in (to_openai_messages(stored), to_anthropic_messages(stored)):
        assert request.left_out == (LeftOut("double-result", 6),)
        assert request.moved == (5,)


@pytest.mark.parametrize(
    ("part", "openai", "anthropic"),
    [
        (
            {"type": "input_image", "image_url": f"data:image/jpg;base64,{PNG}"},
            f"data:image/png;base64,{PNG}",
            "image/png",
        ),
        (
            {"type": "image_url", "image_url": {"url": "data:image/jpg;base64,QUJD"}},
            "data:image/jpeg;base64,QUJD",
            "image/jpeg",
        ),
        ({"type": "image_url", "image_url": f"data:image/png;base64,{HEIC}"}, 0, 0),
        ({"type": "image_url", "image_url": "data:image/heic;base64,QUJD"}, 0, 0),
        ({"type": "input_image", "file_id": "f-1"}, 0, 0),
    ],
)
def test_pictures_are_told_in_types_that_are_seen(
    part: dict[str, Any], openai: Any, anthropic: Any
) -> None:
    stored = told({"role": "user", "content": "Look", "parts": [part]})

    seen, other = to_openai_messages(stored), to_anthropic_messages(stored)

    urls = [p["image_url"]["url"] for p in parts_of(seen.messages[0]["content"])[1:]]
    kinds = [b["source"]["media_type"] for b in other.messages[0]["content"][1:]]
    assert urls == ([openai] if openai else [])
    assert kinds == ([anthropic] if anthropic else [])
    assert bool(seen.left_out) == bool(other.left_out) == (not openai)


def test_sounds_files_and_refusals_are_told_or_counted() -> None:
    sound = {"type": "input_audio", "input_audio": {"data": "QUJD", "format": "wav"}}
    page = {"type": "file", "file": {"file_data": "data:application/pdf;base64,QUJD"}}
    ours = {"type": "file", "file": {"file_id": "file-1"}}
    no = {"type": "refusal", "refusal": "I will not."}
    stored = told(
        {"role": "user", "content": "Hear", "parts": [sound, page, ours]},
        {"role": "assistant", "parts": [no]},
    )

    request = to_anthropic_messages(stored)

    assert [block["type"] for block in request.messages[0]["content"]] == [
        "text",
        "document",
    ]
    assert request.messages[1]["content"] == [{"type": "text", "text": "I will not."}]
    assert [each.reason for each in request.left_out] == [
        "unsupported-part",
        "media-not-stored",
    ]
    asked, refused = to_openai_messages(stored).messages
    assert [p["type"] for p in asked["content"]] == [
        "text",
        "input_audio",
        "file",
        "file",
    ]
    assert refused["content"] == [{"type": "refusal", "refusal": "I will not."}]


def test_thoughts_go_back_only_with_their_signature_and_before_the_rest() -> None:
    signed = {"type": "thinking", "thinking": "hm", "signature": "x"}
    unsigned = {"type": "thinking", "thinking": "hm"}
    stored = told(
        ASK,
        {"role": "assistant", "content": "I look."},
        {"role": "assistant", "parts": [unsigned, signed]},
        calling("c-1"),
        answering("c-1"),
        {"role": "assistant", "parts": [signed]},
    )

    request = to_anthropic_messages(stored)

    assert request.messages[1]["content"][:2] == [
        signed,
        {"type": "text", "text": "I look."},
    ]
    assert len(request.messages) == 3
    assert request.left_out == (
        LeftOut("thought-unsigned", 3),
        LeftOut("thought-without-answer", 6),
    )


def test_what_anthropics_own_tools_did_goes_back_in_pairs() -> None:
    asked = {
        "type": "server_tool_use",
        "id": "srvtoolu_1",
        "name": "web_search",
        "input": {"query": "archives"},
    }
    found = {
        "type": "web_search_tool_result",
        "tool_use_id": "srvtoolu_1",
        "content": [],
    }
    whole = [asked, found, {"type": "text", "text": "Three."}]
    stored = told(ASK, {"role": "assistant", "parts": whole})
    torn = told(ASK, {"role": "assistant", "parts": whole[1:]})

    assert to_anthropic_messages(stored).messages[1]["content"] == whole
    assert to_anthropic_messages(torn).messages[1]["content"] == whole[2:]
    assert to_anthropic_messages(torn).left_out == (LeftOut("unsupported-part", 2),)


def names_of(message: dict[str, Any]) -> Iterator[str]:
    for call in message["tool_calls"]:
        yield call["function"]["name"]


def test_names_of_tools_hold_what_the_apis_allow() -> None:
    stored = told(ASK, calling("c-1"), answering("c-1"))

    assert list(names_of(to_openai_messages(stored).messages[1])) == ["functions_find"]
    used = to_anthropic_messages(stored).messages[1]["content"][0]
    assert used["name"] == "functions_find"
