"""`preference`: one prompt, a chosen and a rejected answer.

The prompt is under `prompt`, under `messages`, or is what `chosen` and `rejected` begin
with alike; in ShareGPT it is `conversations`, in OpenAI's shape `input.messages`. The
answers become branches of one turn, with a `choose` interaction between the last turns
of both; the chosen branch is the active one.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from convstore.imports.chat import messages_of, turns_of
from convstore.imports.extras import build_session, external_id, kept
from convstore.imports.fields import need_list, need_object, need_text
from convstore.imports.formats.sharegpt import (
    read_conversation,
    read_message,
    write_conversation,
    write_message,
)
from convstore.imports.model import ImportedSession
from convstore.imports.prompts import Form, gather, spread
from convstore.imports.tools import offer_tools, offered_tools
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


def to_record(session: ImportedSession) -> JsonObject:
    """The record that `parse` took."""
    left_over, notes = kept(session.metadata)
    turns, end = session.turns, _end_of_chosen(session)
    fork = turns[end].parent_seq or 0
    parts = turns[:fork], turns[fork:end], turns[end:]
    return {**offered_tools(turns), **left_over, **_write(notes, *parts)}


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


_Turns = Sequence[TurnInput]


def _write(
    notes: JsonObject, prompt: _Turns, chosen: _Turns, rejected: _Turns
) -> JsonObject:
    layout = notes["layout"]
    if layout == "sharegpt":
        first, second = (
            _write_answer(turns, form)
            for turns, form in zip((chosen, rejected), notes["forms"], strict=True)
        )
        conversation = write_conversation(list(prompt), notes)
        return {**conversation, "chosen": first, "rejected": second}
    asked, one, other = messages_of(prompt), messages_of(chosen), messages_of(rejected)
    if layout == "implicit":
        return {"chosen": asked + one, "rejected": asked + other}
    if layout == "transcript":
        return {
            "chosen": _transcript(asked + one),
            "rejected": _transcript(asked + other),
        }
    given, first, second = (
        gather(messages, form)
        for messages, form in zip((asked, one, other), notes["forms"], strict=True)
    )
    if layout == "openai":
        return {
            "input": {"messages": given, **notes["input"]},
            "preferred_output": first,
            "non_preferred_output": second,
        }
    return {layout: given, "chosen": first, "rejected": second}


def _write_answer(turns: _Turns, form: Form) -> Json:
    messages = [write_message(turn) for turn in turns]
    return messages[0]["value"] if form == "text" else gather(messages, form)


def _transcript(messages: list[JsonObject]) -> str:
    names = {role: who for who, role in _SPEAKERS.items()}
    return "".join(f"\n\n{names[m['role']]}: {m['content']}" for m in messages)


_WHOLE: dict[str, Callable[[list[JsonObject]], Json]] = {
    "implicit": list,
    "transcript": _transcript,
}


def _end_of_chosen(session: ImportedSession) -> int:
    for act in session.interactions:
        if act.choice is not None and act.choice.chosen is not None:
            return act.choice.chosen
    raise InvalidInputError("interactions", "hold no choice")
