"""JSONL of OpenAI's fine-tuning, which other providers take too. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from convstore.export.example import Dropped, Example, Message
from convstore.export.formats.base import Column, Format
from convstore.vocabulary.codec import dumps
from convstore.vocabulary.records import JsonObject


def openai_messages(messages: Sequence[Message]) -> list[JsonObject]:
    """Messages with arguments as JSON text and an id on every call and result.

    Calls that were stored without an id get one by position, and results without one
    answer the open calls in order.
    """
    told: list[JsonObject] = []
    open_ids: list[str] = []
    for number, message in enumerate(messages):
        role = message["role"]
        if role == "tool":
            call_id = message.get("tool_call_id") or (open_ids or [f"call_{number}"])[0]
            if call_id in open_ids:
                open_ids.remove(call_id)
            result = {"role": role, "tool_call_id": call_id}
            told.append({**result, "content": message["content"]})
            continue
        plain: JsonObject = {"role": role, "content": message["content"]}
        if "tool_calls" in message:
            plain["content"] = message["content"] or None
            plain["tool_calls"] = [
                _call(call, f"call_{number}_{index}")
                for index, call in enumerate(message["tool_calls"])
            ]
            open_ids = [call["id"] for call in plain["tool_calls"]]
        told.append(plain)
    return told


def _call(call: JsonObject, spare_id: str) -> JsonObject:
    function = call["function"]
    return {
        "id": call.get("id") or spare_id,
        "type": "function",
        "function": {
            "name": function["name"],
            "arguments": dumps(function["arguments"]).decode(),
        },
    }


def _sft(row: Example) -> JsonObject | Dropped:
    messages = openai_messages(row.prompt + row.answer)
    if row.silent:
        speaking = [
            i
            for i, message in enumerate(messages)
            if message["role"] == "assistant" and i not in row.silent
        ]
        if not speaking:
            return Dropped("disliked-only")
        for index, message in enumerate(messages):
            if message["role"] == "assistant":
                message["weight"] = int(index in speaking)
    line: JsonObject = {"messages": messages}
    if row.tools:
        line["tools"] = row.tools
        line["parallel_tool_calls"] = any(
            len(message.get("tool_calls", ())) > 1 for message in messages
        )
    return line


def _dpo(row: Example) -> JsonObject | Dropped:
    if len(row.answer) != 1 or len(row.rejected) != 1:
        return Dropped("more-than-one-message")
    if "tool_calls" in row.answer[0] or "tool_calls" in row.rejected[0]:
        return Dropped("calls-in-answer")
    given: JsonObject = {"messages": openai_messages(row.prompt)}
    if row.tools:
        given["tools"] = row.tools
        given["parallel_tool_calls"] = True
    return {
        "input": given,
        "preferred_output": openai_messages(row.answer),
        "non_preferred_output": openai_messages(row.rejected),
    }


OPENAI_SFT = Format(
    "openai-sft",
    "conversation",
    "OpenAI chat fine-tuning (also Azure, Fireworks, Mistral, Together without tools)",
    (
        Column("messages", "messages"),
        Column("tools", "messages"),
        Column("parallel_tool_calls", "bool"),
    ),
    _sft,
    provenance="sidecar",
    parquet=False,
    tags=("openai", "sft"),
    notes="`weight` 0 marks answers that people disliked or that failed: they stay as "
    "context. OpenAI wants 10 examples at least.",
)
OPENAI_DPO = Format(
    "openai-dpo",
    "pair",
    "OpenAI preference fine-tuning (also Together, Fireworks)",
    (
        Column("input", "json"),
        Column("preferred_output", "messages"),
        Column("non_preferred_output", "messages"),
    ),
    _dpo,
    provenance="sidecar",
    parquet=False,
    tags=("openai", "dpo", "preference"),
)
