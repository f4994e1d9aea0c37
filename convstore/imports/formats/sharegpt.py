"""`sharegpt`: `conversations` of `from` and `value`, as LLaMA-Factory and others take.

A `function_call` value is JSON text with one call or a list of them; it becomes tool
calls with ids made from the turn's number, and the observation after it their result.
A label under `feedback`, of the record or of a message, is feedback.
"""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

from convstore.imports.chat import role_of
from convstore.imports.extras import build_session, external_id, keep
from convstore.imports.fields import need_list, need_object, need_text
from convstore.imports.labels import labels_of
from convstore.imports.model import ImportedSession
from convstore.imports.strict_json import parse_json
from convstore.imports.tools import offer_tools
from convstore.vocabulary.errors import InvalidInputError
from convstore.vocabulary.records import Json, JsonObject, TurnInput

NAME = "sharegpt"
_USUAL = {"user": "human", "assistant": "gpt", "tool": "observation"}
_CALL_ROLES = frozenset({"function_call", "tool_call"})
_MAX_DEPTH = 60


def parse(record: Json) -> ImportedSession:
    """The session of one record.

    Raises:
        InvalidInputError: No conversation, or a row with judged answers, which other
            formats take; names the field.
    """
    fields = need_object("record", record)
    for key, name in (("rejected", "preference"), ("kto_tag", "kto")):
        if key in fields:
            raise InvalidInputError(key, f"is a judgement: import it as {name}")
    turns, taken, notes = read_conversation(fields)
    offered, tools_key = offer_tools(turns, fields)
    return build_session(
        NAME,
        fields,
        tuple(offered),
        taken=taken | tools_key,
        notes=notes,
        interactions=tuple(labels_of(fields, offered)),
    )


def read_conversation(
    record: JsonObject,
) -> tuple[list[TurnInput], frozenset[str], JsonObject]:
    """The turns of `system` and `conversations`, the fields taken, and notes."""
    messages = list(need_list("conversations", record.get("conversations")))
    taken, notes = {"conversations"}, {}
    turns: list[TurnInput] = []
    if isinstance(record.get("system"), str):
        taken.add("system")
        notes["system"] = True
        turns.append(TurnInput("system", record["system"], external_id=external_id(1)))
    for place, message in enumerate(messages):
        turns.append(
            read_message(message, f"conversations[{place}]", len(turns) + 1, turns)
        )
    return turns, frozenset(taken), notes


def read_message(
    message: Json, field: str, seq: int, before: list[TurnInput]
) -> TurnInput:
    """One message as the turn `seq`, after the turns `before`."""
    left_over = dict(need_object(field, message))
    given = left_over.pop("from", None)
    role, notes = role_of(f"{field}.from", given)
    notes = {} if given == _USUAL.get(role, role) else {"role": given}
    value = need_text(f"{field}.value", left_over.pop("value", None))
    turn = TurnInput(role, value, external_id=external_id(seq))
    if given in _CALL_ROLES and (calls := _read_calls(value)):
        if json.dumps(calls[0], ensure_ascii=False) != value:
            notes["value"] = value
        parts = [_call(call, seq, place) for place, call in enumerate(calls)]
        turn = replace(turn, content=None, parts=parts)
    elif role == "tool":
        turn = replace(turn, tool_call_id=_answered(before))
    return replace(turn, metadata=keep(left_over, notes))


def _read_calls(value: str) -> list[JsonObject]:
    """The calls in a value; none when it does not hold what a call needs."""
    try:
        parsed = parse_json(value.encode(), _MAX_DEPTH)
    except (InvalidInputError, UnicodeEncodeError):
        return []
    calls: list[Any] = parsed if isinstance(parsed, list) else [parsed]
    if not all(isinstance(c, dict) and isinstance(c.get("name"), str) for c in calls):
        return []
    return calls


def _call(call: JsonObject, seq: int, place: int) -> JsonObject:
    call_id = f"call_{seq}" if place == 0 else f"call_{seq}_{place + 1}"
    return {"id": call_id, "type": "function", "function": call}


def _answered(before: list[TurnInput]) -> str | None:
    """The id of the first call that no turn since has answered."""
    answered = set()
    for turn in reversed(before):
        if turn.role == "tool":
            answered.add(turn.tool_call_id)
        else:
            calls = [part["id"] for part in turn.parts or ()]
            return next((call for call in calls if call not in answered), None)
    return None
