"""Formats of LLaMA-Factory (ShareGPT, three shapes) and of Axolotl. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from convstore.export.example import Dropped, Example, Message
from convstore.export.formats.base import Column, Format, until_disliked
from convstore.vocabulary.codec import dumps
from convstore.vocabulary.records import Json, JsonObject

_FROM = {"user": "human", "tool": "observation"}
_ODD = ("human", "observation")


def _turns(messages: Sequence[Message]) -> tuple[str, list[JsonObject]] | Dropped:
    """The system text and the rest as `from` / `value`; both ends of each exchange."""
    system = ""
    turns: list[JsonObject] = []
    for message in messages:
        role, text = message["role"], message["content"]
        if role == "system":
            system = text
            continue
        calls = message.get("tool_calls")
        if calls:
            if text.strip():
                return Dropped("text-beside-call")
            asked = [call["function"] for call in calls]
            value: Json = asked[0] if len(asked) == 1 else asked
            turns.append({"from": "function_call", "value": dumps(value).decode()})
        else:
            turns.append({"from": _FROM.get(role, "gpt"), "value": text})
    for index, turn in enumerate(turns):
        # LLaMA-Factory drops rows that break this with no more than a log line.
        if (turn["from"] in _ODD) != (index % 2 == 0):
            return Dropped("not-alternating")
    return system, turns


def _line(
    messages: Sequence[Message], tools: list[Json] | None, **more: Json
) -> JsonObject | Dropped:
    told = _turns(messages)
    if isinstance(told, Dropped):
        return told
    system, turns = told
    text = dumps([tool["function"] for tool in tools]).decode() if tools else ""
    return {"conversations": turns, **more, "system": system, "tools": text}


def _sharegpt(row: Example) -> JsonObject | Dropped:
    return _line(row.prompt + row.answer, row.tools)


def _sharegpt_dpo(row: Example) -> JsonObject | Dropped:
    ends = []
    for side in (row.answer, row.rejected):
        told = _turns(row.prompt + side)
        if isinstance(told, Dropped):
            return told
        if len(side) != 1:
            return Dropped("more-than-one-message")
        ends.append(told[1][-1])
    return _line(row.prompt, row.tools, chosen=ends[0], rejected=ends[1])


def _sharegpt_kto(row: Example) -> JsonObject | Dropped:
    return _line(row.prompt + row.answer, row.tools, kto_tag=bool(row.label))


def _axolotl_dpo(row: Example) -> JsonObject | Dropped:
    if len(row.answer) != 1 or len(row.rejected) != 1:
        return Dropped("more-than-one-message")
    if any("tool_calls" in m for m in (*row.prompt, *row.answer, *row.rejected)):
        return Dropped("calls-are-lost")
    plain = [_plain(message) for message in (row.answer[0], row.rejected[0])]
    prompt = [_plain(message) for message in row.prompt]
    return {"messages": prompt, "chosen": plain[0], "rejected": plain[1]}


def _plain(message: Message) -> Message:
    return {"role": message["role"], "content": message["content"]}


_SAID = ("role", "content")
_KEYS = ("from", "value")
_CONVERSATIONS = Column("conversations", "messages", _KEYS)
_BESIDE = (Column("system", "string"), Column("tools", "string"))
_NOTES = (
    "For LLaMA-Factory: `dataset_info.json` beside the data names the columns. TRL "
    "does not read these role names."
)

SHAREGPT = Format(
    "sharegpt",
    "conversation",
    "ShareGPT conversations (LLaMA-Factory)",
    (_CONVERSATIONS, *_BESIDE),
    _sharegpt,
    trim=until_disliked,
    tags=("llama-factory", "sharegpt", "sft"),
    notes=_NOTES,
)
SHAREGPT_DPO = Format(
    "sharegpt-dpo",
    "pair",
    "ShareGPT pairs (LLaMA-Factory DPO, reward models)",
    (
        _CONVERSATIONS,
        Column("chosen", "json", _KEYS, listed=False),
        Column("rejected", "json", _KEYS, listed=False),
        *_BESIDE,
    ),
    _sharegpt_dpo,
    tags=("llama-factory", "sharegpt", "dpo"),
    notes=_NOTES,
)
SHAREGPT_KTO = Format(
    "sharegpt-kto",
    "label",
    "ShareGPT with a good-or-bad tag (LLaMA-Factory KTO)",
    (_CONVERSATIONS, Column("kto_tag", "bool"), *_BESIDE),
    _sharegpt_kto,
    tags=("llama-factory", "sharegpt", "kto"),
    notes=_NOTES,
)
AXOLOTL_DPO = Format(
    "axolotl-dpo",
    "pair",
    "pairs for Axolotl (`type: chat_template.default`)",
    (
        Column("messages", "messages", _SAID),
        Column("chosen", "json", _SAID, listed=False),
        Column("rejected", "json", _SAID, listed=False),
    ),
    _axolotl_dpo,
    tags=("axolotl", "dpo", "preference"),
)
