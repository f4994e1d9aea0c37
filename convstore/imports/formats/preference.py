"""`preference`: one prompt, a chosen and a rejected answer.

The prompt is under `prompt`, under `messages`, or is what `chosen` and `rejected` begin
with alike; in ShareGPT it is `conversations`, in OpenAI's shape `input.messages`. The
answers become branches of one turn, with a `choose` interaction between the last turns
of both; the chosen branch is the active one.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

from convstore.imports.chat import turns_of
from convstore.imports.extras import build_session, external_id
from convstore.imports.fields import need_list, need_object, need_text
from convstore.imports.formats.sharegpt import (
    read_conversation,
    read_message,
)
from convstore.imports.model import ImportedSession
from convstore.imports.prompts import Form, spread
from convstore.imports.tools import offer_tools
from convstore.vocabulary.errors import InvalidInputError
from convstore.vocabulary.records import (
    Choice,
    InteractionInput,
    Json,
    JsonObject,
    TurnInput,
)

NAME = "preference"
_TRANSCRIPT = re.compile(r"\n\n(Human|Assistant): ")
_SPEAKERS = {"Human": "user", "Assistant": "assistant"}


def parse(record: Json) -> ImportedSession:
    """The session of one record.

    Raises:
        InvalidInputError: No prompt or answers of a known shape; names the field.
    """
    fields = need_object("record", record)
    pair = _read(fields)
    prompt, chosen, rejected = pair.prompt, pair.chosen, pair.rejected
    fork, end = len(prompt), len(prompt) + len(chosen)
    rejected[0] = replace(rejected[0], parent_seq=fork)
    turns, tools_key = offer_tools([*prompt, *chosen, *rejected], fields)
    act = InteractionInput(
        action="choose",
        choice=Choice(end, (end + len(rejected),)),
        external_id=external_id(1),
    )
    return build_session(
        NAME,
        fields,
        tuple(turns),
        taken=pair.taken | tools_key,
        notes=pair.notes,
        interactions=(act,),
        head_seq=end,
    )


@dataclass(frozen=True, slots=True)
class _Pair:
    prompt: list[TurnInput]
    chosen: list[TurnInput]
    rejected: list[TurnInput]
    taken: frozenset[str]
    notes: JsonObject


def _read(record: JsonObject) -> _Pair:
    if "conversations" in record:
        return _read_sharegpt(record)
    if "preferred_output" in record:
        return _read_openai(record)
    chosen, rejected = record.get("chosen"), record.get("rejected")
    key = next((key for key in ("prompt", "messages") if key in record), None)
    if isinstance(chosen, str) and key is None:
        return _read_transcripts(record)
    first, second = _answer("chosen", chosen), _answer("rejected", rejected)
    if _lists(first, second) and (key is None or _repeats_prompt(record, first)):
        prompt, first, second = _split(first[0], second[0])
        # A prompt beside whole conversations only says again what they begin with.
        notes: JsonObject = {"layout": "implicit"}
        return _pair(prompt, first, second, {"chosen", "rejected"}, notes)
    if key is None:
        raise InvalidInputError("prompt", "is missing")
    given, form = spread(key, record[key], "user")
    notes = {"layout": key, "forms": [form, first[1], second[1]]}
    return _pair(given, first, second, {key, "chosen", "rejected"}, notes)


_Spread = tuple[list[Json], Form]


def _answer(field: str, value: Json) -> _Spread:
    return spread(field, value, "assistant")


def _lists(*answers: _Spread) -> bool:
    return all(form == "list" for _, form in answers)


def _repeats_prompt(record: JsonObject, chosen: _Spread) -> bool:
    """Whether the answer is a whole conversation that begins with the text prompt."""
    prompt, first = record.get("prompt"), chosen[0][0]
    if not isinstance(prompt, str) or not isinstance(first, dict):
        return False
    return any(
        isinstance(message, dict)
        and message.get("role") == "user"
        and message.get("content") == prompt
        for message in chosen[0]
    )


def _split(
    chosen: list[Json], rejected: list[Json]
) -> tuple[list[Json], _Spread, _Spread]:
    """What both begin with, at most all but the last of each, and the rest."""
    most = min(len(chosen), len(rejected)) - 1
    same = next((n for n in range(most) if chosen[n] != rejected[n]), most)
    return chosen[:same], (chosen[same:], "list"), (rejected[same:], "list")


def _pair(
    prompt: list[Json],
    chosen: _Spread,
    rejected: _Spread,
    taken: set[str],
    notes: JsonObject,
) -> _Pair:
    asked = turns_of(prompt, field="prompt")
    first = turns_of(chosen[0], field="chosen", first_seq=len(asked) + 1)
    after = len(asked) + len(first) + 1
    second = turns_of(rejected[0], field="rejected", first_seq=after)
    return _Pair(asked, first, second, frozenset(taken), notes)


def _read_openai(record: JsonObject) -> _Pair:
    given = dict(need_object("input", record.get("input")))
    prompt = need_list("input.messages", given.pop("messages", None))
    keys = ("preferred_output", "non_preferred_output")
    first, second = (_answer(key, record.get(key)) for key in keys)
    notes = {"layout": "openai", "forms": ["list", first[1], second[1]], "input": given}
    return _pair(prompt, first, second, {"input", *keys}, notes)


def _read_transcripts(record: JsonObject) -> _Pair:
    texts = [need_text(key, record.get(key)) for key in ("chosen", "rejected")]
    talks = [_messages(text) for text in texts]
    if not all(talks):
        raise InvalidInputError("prompt", "is missing")
    prompt, first, second = _split(*talks)
    return _pair(
        prompt, first, second, {"chosen", "rejected"}, {"layout": "transcript"}
    )


def _messages(transcript: str) -> list[Json]:
    before, *pieces = _TRANSCRIPT.split(transcript)
    if before:
        return []
    said = zip(pieces[::2], pieces[1::2], strict=True)
    return [{"role": _SPEAKERS[who], "content": text} for who, text in said]


def _read_sharegpt(record: JsonObject) -> _Pair:
    prompt, taken, notes = read_conversation(record)
    turns, forms = list(prompt), []
    ends = []
    for key in ("chosen", "rejected"):
        messages, form = spread(key, record.get(key), "assistant")
        if form == "text":
            messages = [{"from": "gpt", "value": messages[0]["content"]}]
        for place, message in enumerate(messages):
            field = f"{key}[{place}]"
            turns.append(read_message(message, field, len(turns) + 1, turns))
        forms.append(form)
        ends.append(len(turns))
    notes = {**notes, "layout": "sharegpt", "forms": forms}
    start, middle = len(prompt), ends[0]
    taken |= {"chosen", "rejected"}
    return _Pair(turns[:start], turns[start:middle], turns[middle:], taken, notes)
