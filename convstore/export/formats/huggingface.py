"""Formats that TRL trains on as they are. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from convstore.export.example import Dropped, Example, Message
from convstore.export.formats.base import Column, Format, until_disliked
from convstore.export.formats.pictures import pictured, with_placeholders
from convstore.vocabulary.records import Json, JsonObject

_TOOLS = Column("tools", "messages")
_IMAGES = Column("images", "images")


def _with_tools(columns: JsonObject, tools: list[Json] | None) -> JsonObject:
    if tools:
        columns["tools"] = tools
    return columns


def _wanted(row: Example) -> Example | Dropped:
    """What one person liked and another disliked is not imitated."""
    return Dropped("contradiction", fault=False) if row.silent else row


def _named(messages: Sequence[Message], before: Sequence[Message] = ()) -> list[Json]:
    """The messages, each result with the name of the tool that was called for it.

    Some chat templates print the name and some the id. `before` holds earlier calls.
    """
    names: dict[Json, str] = {}
    told: list[Json] = []
    for message in (*before, *messages):
        for call in message.get("tool_calls", ()):
            names[call.get("id")] = call["function"]["name"]
        name = names.get(message.get("tool_call_id"))
        if message["role"] == "tool" and "name" not in message and name is not None:
            message = {**message, "name": name}
        told.append(message)
    return told[len(before) :]


def _sides(row: Example, **sides: Sequence[Message]) -> JsonObject:
    """Columns of messages, of which the first is what was said before the others."""
    if row.tools is None:
        return {name: list(messages) for name, messages in sides.items()}
    before: Sequence[Message] = ()
    columns: JsonObject = {}
    for name, messages in sides.items():
        columns[name] = _named(messages, before)
        before = before or messages
    return columns


def _with_images(columns: JsonObject, row: Example) -> JsonObject:
    """The columns of messages, with their images in a column beside them, if any."""
    if pictured(row):
        told, images = with_placeholders(*columns.values())
        columns = {**dict(zip(columns, told, strict=True)), "images": images}
    return _with_tools(columns, row.tools)


def _messages(row: Example) -> JsonObject:
    return _with_images(_sides(row, messages=row.prompt + row.answer), row)


def _prompt_completion(row: Example) -> JsonObject:
    columns = _sides(row, prompt=row.prompt, completion=row.answer)
    return _with_images(columns, row)


def _preference(row: Example) -> JsonObject:
    columns = _sides(row, prompt=row.prompt, chosen=row.answer, rejected=row.rejected)
    return _with_images(columns, row)


def _reward(row: Example) -> JsonObject:
    sides = (row.prompt + row.answer, row.prompt + row.rejected)
    chosen, rejected = (_sides(row, messages=side)["messages"] for side in sides)
    columns = {"chosen": chosen, "rejected": rejected, "margin": float(row.margin)}
    return _with_tools(columns, row.tools)


def _kto(row: Example) -> JsonObject:
    columns = _prompt_completion(row)
    rest = [key for key in ("images", "tools") if key in columns]
    beside: JsonObject = {key: columns.pop(key) for key in rest}
    return {**columns, "label": bool(row.label), **beside}


def _prompt(row: Example) -> JsonObject:
    columns = _sides(row, prompt=row.prompt)
    columns["reference"] = row.reference
    return _with_tools(columns, row.tools)


def _stepwise(row: Example) -> JsonObject:
    return {
        "prompt": row.prompt[0]["content"],
        "completions": list(row.steps),
        "labels": list(row.step_labels),
    }


MESSAGES = Format(
    "messages",
    "conversation",
    "conversations for supervised fine-tuning (SFTTrainer)",
    (Column("messages", "messages"), _TOOLS, _IMAGES),
    _messages,
    trim=until_disliked,
    tags=("trl", "sft"),
    notes="The loss covers every message unless `assistant_only_loss` is set; for "
    "answers that people approved take `prompt-completion`.",
)
PROMPT_COMPLETION = Format(
    "prompt-completion",
    "demonstration",
    "approved answers, one a row (SFTTrainer, loss on the answer)",
    (Column("prompt", "messages"), Column("completion", "messages"), _TOOLS, _IMAGES),
    _prompt_completion,
    trim=_wanted,
    tags=("trl", "sft"),
)
PREFERENCE = Format(
    "preference",
    "pair",
    "chosen and rejected answers to one prompt (DPOTrainer, RewardTrainer)",
    (
        Column("prompt", "messages"),
        Column("chosen", "messages"),
        Column("rejected", "messages"),
        _TOOLS,
        _IMAGES,
    ),
    _preference,
    tags=("trl", "dpo", "preference"),
)
REWARD = Format(
    "reward",
    "pair",
    "whole chosen and rejected conversations with a margin (RewardTrainer)",
    (
        Column("chosen", "messages"),
        Column("rejected", "messages"),
        Column("margin", "float64"),
        _TOOLS,
    ),
    _reward,
    tags=("trl", "reward-model", "preference"),
    notes="`margin` is the difference of mean scores; 0 where nothing was scored.",
)
KTO = Format(
    "kto",
    "label",
    "single answers, good or bad (KTOTrainer)",
    (
        Column("prompt", "messages"),
        Column("completion", "messages"),
        Column("label", "bool"),
        _TOOLS,
        _IMAGES,
    ),
    _kto,
    tags=("trl", "kto"),
)
PROMPT = Format(
    "prompt",
    "prompt",
    "prompts for online methods (GRPOTrainer, RLOOTrainer)",
    (Column("prompt", "messages"), Column("reference", "string"), _TOOLS),
    _prompt,
    tags=("trl", "grpo"),
    notes="`reference` is an approved answer, or empty.",
)
STEPWISE = Format(
    "stepwise",
    "steps",
    "reasoning steps, right or wrong (process reward models)",
    (
        Column("prompt", "string"),
        Column("completions", "strings"),
        Column("labels", "bools"),
    ),
    _stepwise,
    tags=("trl", "prm", "stepwise"),
    notes="Read by TRL up to 1.13 (PRMTrainer) and by Axolotl "
    "(`type: stepwise_supervised`).",
)
