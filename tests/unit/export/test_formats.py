"""The formats: what each writes for what it is given, and what it refuses."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from convstore.export.formats import FORMATS
from convstore.export.options import ExportOptions
from convstore.export.stages.job import run_export
from convstore.vocabulary.documents import decode_document
from tests.unit.export.histories import histories
from tests.unit.export.samples import (
    WEATHER_TOOLS,
    Chat,
    documents,
    exported,
    reasons,
)


def weather(*, good: bool = True, **call: Any) -> Chat:
    chat = Chat()
    chat.user("Weather in Paris?", tools=WEATHER_TOOLS)
    chat.call("get_weather", '{"city": "Paris"}', tools=WEATHER_TOOLS, **call)
    chat.turn("tool", "sunny", tool_call_id="c1", name="get_weather")
    answer = chat.assistant("Sunny.", tools=WEATHER_TOOLS)
    (chat.up if good else chat.down)(answer)
    return chat


def one(chat: Chat, name: str, options: ExportOptions | None = None) -> dict[str, Any]:
    (row,) = exported([chat.document()], name, options)
    row.pop("convstore", None)
    return row


def chosen_of_two(good: str = "Blue.", bad: str = "Green.", **turn: Any) -> Chat:
    chat = Chat()
    chat.turn("developer", "Be brief.")
    question = chat.user("Colour of the sky?", **turn)
    kept = chat.assistant(good)
    other = chat.assistant(bad, parent_seq=question)
    chat.act("choose", chosen=kept, rejected=(other,))
    return chat


def test_messages_tell_calls_with_arguments_as_objects_and_no_empty_keys() -> None:
    row = one(weather(), "messages")

    call = row["messages"][1]
    assert call["content"] == ""
    assert call["tool_calls"][0]["function"]["arguments"] == {"city": "Paris"}
    assert row["messages"][2] == {
        "role": "tool",
        "content": "sunny",
        "tool_call_id": "c1",
        "name": "get_weather",
    }
    assert row["tools"] == WEATHER_TOOLS
    assert all(None not in message.values() for message in row["messages"])


def test_a_developer_turn_is_told_as_system() -> None:
    row = one(chosen_of_two(), "preference")

    assert [m["role"] for m in row["prompt"]] == ["system", "user"]


def test_openai_lines_have_arguments_as_text_and_ids_on_every_call() -> None:
    row = one(weather(), "openai-sft")

    call = row["messages"][1]
    assert call["content"] is None
    assert call["tool_calls"][0]["id"] == "c1"
    assert json.loads(call["tool_calls"][0]["function"]["arguments"]) == {
        "city": "Paris"
    }
    assert "name" not in row["messages"][2]
    assert set(row) == {"messages", "tools", "parallel_tool_calls"}


def test_calls_stored_without_ids_get_matching_ones_for_openai() -> None:
    chat = Chat()
    chat.user("Weather?", tools=WEATHER_TOOLS)
    part = {"type": "function_call", "name": "get_weather", "arguments": {}}
    chat.assistant(None, parts=[part], tools=WEATHER_TOOLS)
    chat.turn("tool", "sunny")
    chat.assistant("Sunny.", tools=WEATHER_TOOLS)

    row = one(chat, "openai-sft")

    called = row["messages"][1]["tool_calls"][0]["id"]
    assert row["messages"][2]["tool_call_id"] == called


def test_openai_pairs_are_one_message_a_side() -> None:
    row = one(chosen_of_two(), "openai-dpo")

    assert row["input"]["messages"][-1]["role"] == "user"
    assert row["preferred_output"] == [{"role": "assistant", "content": "Blue."}]
    assert row["non_preferred_output"] == [{"role": "assistant", "content": "Green."}]
    assert set(row) == {"input", "preferred_output", "non_preferred_output"}


def test_reward_rows_are_whole_conversations_with_a_number_as_margin() -> None:
    row = one(chosen_of_two(), "reward")

    assert row["chosen"][:2] == row["rejected"][:2]
    assert row["margin"] == 0.0
    assert isinstance(row["margin"], float)


def test_sharegpt_alternates_and_keeps_tools_as_text() -> None:
    row = one(weather(), "sharegpt")

    assert [turn["from"] for turn in row["conversations"]] == [
        "human",
        "function_call",
        "observation",
        "gpt",
    ]
    value = json.loads(row["conversations"][1]["value"])
    assert value == {"name": "get_weather", "arguments": {"city": "Paris"}}
    assert json.loads(row["tools"])[0]["name"] == "get_weather"


def test_sharegpt_pairs_hold_objects_and_kto_a_boolean_tag() -> None:
    pair = one(chosen_of_two(), "sharegpt-dpo")
    label = one(weather(good=False), "sharegpt-kto")

    assert pair["chosen"] == {"from": "gpt", "value": "Blue."}
    assert (pair["system"], len(pair["conversations"])) == ("Be brief.", 1)
    assert label["kto_tag"] is False


def test_axolotl_pairs_are_plain_objects_and_tools_are_refused() -> None:
    row = one(chosen_of_two(), "axolotl-dpo")

    assert row["chosen"] == {"role": "assistant", "content": "Blue."}
    assert row["messages"][-1]["role"] == "user"


def test_prompts_carry_an_approved_answer_as_reference() -> None:
    assert one(weather(), "prompt")["reference"] == "Sunny."
    assert one(weather(good=False), "prompt")["reference"] == ""


def test_oasst_trees_hold_every_branch_with_ranks_and_reactions() -> None:
    chat = Chat()
    question = chat.user("Colour of the sky?", language="en")
    good = chat.assistant("Blue.", model="m-a")
    bad = chat.assistant("Green.", parent_seq=question)
    chat.user("Why?", parent_seq=good)
    chat.act("choose", chosen=good, rejected=(bad,))
    chat.up(good)

    tree = one(chat, "oasst")

    first, second = tree["prompt"]["replies"]
    assert tree["message_tree_id"] == tree["prompt"]["message_id"]
    assert (first["text"], first["rank"], second["rank"]) == ("Blue.", 0, 1)
    assert first["emojis"] == {"+1": 1}
    assert first["replies"][0]["parent_id"] == first["message_id"]
    assert first["replies"][0]["role"] == "prompter"
    assert len(first) == 20


def test_rlhf_json_holds_the_record_of_a_session() -> None:
    chat = weather()
    chat.graph({"nodes": [1]}, turn_seq=1)

    row = one(chat, "rlhf-json")

    assert row["session_id"] == "s-1"
    assert row["chat_history"][0]["role"] == "user"
    assert row["feedback_summary"] == {"total": 1, "by_label": {"thumbs_up": 1}}
    assert row["graph_state"] == {"default": {"nodes": [1]}}
    assert row["interactions"][0]["action_type"] == "feedback"
    rated = row["interactions"][0]
    assert (rated["actor_id"], rated["actor_kind"]) == ("u-1", "human")


def test_convstore_lines_are_the_documents_themselves() -> None:
    chat = weather()
    (row,) = exported([chat.document()], "convstore")

    assert decode_document(json.dumps(row)) == chat.document()


def test_column_order_of_tools_and_arguments_is_kept() -> None:
    tools = [{"name": "f", "parameters": {"z": 1, "a": 2}, "description": "d"}]
    chat = Chat()
    chat.user("Q?", tools=tools)
    chat.call("f", '{"z": 1, "a": 2}', tools=tools)
    chat.turn("tool", "1", tool_call_id="c1")
    chat.assistant("One.", tools=tools)

    row = one(chat, "messages")

    function = row["tools"][0]["function"]
    assert list(function) == ["name", "parameters", "description"]
    assert list(function["parameters"]) == ["z", "a"]
    called = row["messages"][1]["tool_calls"][0]["function"]
    assert list(called["arguments"]) == ["z", "a"]


@pytest.mark.parametrize(
    ("parts", "reason"),
    [
        ([{"type": "image_url", "image_url": {"url": "x"}}], "not-text"),
        ([{"type": "input_audio", "data": "x"}], "not-text"),
        (
            [{"type": "function", "function": {"name": "f", "arguments": "{"}}],
            "call-a",
        ),
        ([{"type": "function", "function": {"arguments": "{}"}}], "call-malformed"),
        ([["text"]], "not-text"),
    ],
)
def test_turns_that_are_not_text_give_no_row_but_a_reason(
    parts: list[Any], reason: str
) -> None:
    chat = Chat()
    chat.user("Q?")
    chat.up(chat.assistant("A.", parts=parts))

    (found,) = reasons(chat, "R1")

    assert found.startswith(reason)


def test_calls_of_tools_never_stored_are_dropped_or_inferred() -> None:
    chat = Chat()
    chat.user("Weather in Paris?")
    chat.call("get_weather", '{"city": "Paris", "days": 2}')
    chat.turn("tool", "sunny", tool_call_id="c1")
    chat.up(chat.assistant("Sunny."))

    row = one(chat, "messages", ExportOptions(undefined_tools="infer"))

    assert reasons(chat, "R1") == ["calls-without-definitions"]
    properties = row["tools"][0]["function"]["parameters"]["properties"]
    assert properties == {"city": {"type": "string"}, "days": {"type": "integer"}}


@pytest.mark.parametrize(
    ("roles", "reason"),
    [
        (["assistant"], "starts-with-assistant"),
        (["user", "user", "assistant"], "two-user-turns"),
        (["user", "system", "assistant"], "system-in-the-middle"),
        (["user", "tool", "assistant"], "result-without-call"),
        (["narrator", "user", "assistant"], "unknown-role"),
    ],
)
def test_shapes_that_templates_refuse_or_distort_are_dropped(
    roles: list[str], reason: str
) -> None:
    chat = Chat()
    for role in roles:
        last = chat.turn(role, f"{role} says.")
    chat.up(last)

    assert reasons(chat, "R1") == [reason]


def test_a_conversation_is_cut_before_what_templates_refuse() -> None:
    chat = Chat()
    chat.user("One?")
    chat.assistant("First.")
    chat.turn("system", "The user opened the map.")
    chat.user("Two?")
    chat.assistant("Second.")

    assert [m["content"] for m in one(chat, "messages")["messages"]] == [
        "One?",
        "First.",
    ]


def test_every_format_leaves_json_that_reads_back() -> None:
    found = {name: exported(documents(12), name) for name in FORMATS}

    empty = {name for name, rows in found.items() if not rows}
    pairs = {name for name, fmt in FORMATS.items() if fmt.kind in ("pair", "steps")}
    assert empty == pairs


def test_text_is_exported_exactly() -> None:
    text = '  "123" \u2028 \u200f עברית 🎉\t\r\nend  '
    chat = Chat()
    chat.user("Q?")
    chat.up(chat.assistant(text))

    assert one(chat, "kto")["completion"][0]["content"] == text


@pytest.mark.parametrize(
    ("name", "beside"),
    [
        ("sharegpt", set()),
        ("sharegpt-dpo", {"chosen", "rejected"}),
        ("sharegpt-kto", {"kto_tag"}),
    ],
)
@pytest.mark.parametrize("shard_bytes", [1, 1_000_000])
def test_llama_factory_is_told_of_every_file(
    tmp_path: Path, name: str, beside: set[str], shard_bytes: int
) -> None:
    splits = {"train": 0.5, "validation": 0.5}
    options = ExportOptions(splits=splits, shard_bytes=shard_bytes)
    run_export(histories(48), [name], tmp_path / "out", options)

    info = json.loads((tmp_path / "out" / "dataset_info.json").read_bytes())

    files = {path.name for path in (tmp_path / "out" / "data").iterdir()}
    assert {entry["file_name"] for entry in info.values()} == {
        f"data/{name}" for name in files
    }
    assert len(info) == len(files)
    if shard_bytes > 1:
        assert info.keys() == {f"{name}_train", f"{name}_validation"}
    for entry in info.values():
        assert entry["formatting"] == "sharegpt"
        assert entry.get("ranking", False) == (name == "sharegpt-dpo")
        columns = {"messages", "system", "tools", *beside}
        assert entry["columns"].keys() == columns
        assert entry["columns"]["messages"] == "conversations"


@pytest.mark.parametrize("name", ["messages", "prompt-completion", "kto", "preference"])
def test_a_result_is_told_with_the_name_of_its_tool_for_hugging_face(name: str) -> None:
    chat = Chat()
    question = chat.user("Weather in Paris?", tools=WEATHER_TOOLS)
    for said, call_id in (("Sunny.", "c1"), ("Rain.", "c2")):
        at = {"parent_seq": question} if call_id == "c2" else {}
        chat.call(
            "get_weather", '{"city": "Paris"}', call_id, tools=WEATHER_TOOLS, **at
        )
        chat.turn("tool", "sunny", tool_call_id=call_id)
        answer = chat.assistant(said, tools=WEATHER_TOOLS)
        (chat.up if said == "Rain." else chat.down)(answer)

    found = exported([chat.document()], name)

    said_by_tools = [
        message
        for row in found
        for column in ("messages", "prompt", "completion", "chosen", "rejected")
        for message in row.get(column, ())
        if message["role"] == "tool"
    ]
    assert said_by_tools
    assert {message.get("name") for message in said_by_tools} == {"get_weather"}


def test_a_tree_holds_answers_that_were_thought_about() -> None:
    chat = Chat()
    question = chat.user("What is 2 + 2?")
    chat.turn("assistant", "4", parts=[{"type": "reasoning", "text": "Two and two."}])
    sound = {"type": "audio", "data": "…"}
    chat.turn("assistant", "5", parts=[sound], parent_seq=question)

    (tree,) = exported([chat.document()], "oasst")

    assert [node["text"] for node in tree["prompt"]["replies"]] == ["4"]
