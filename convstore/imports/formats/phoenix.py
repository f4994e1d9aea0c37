"""`phoenix`: spans of Phoenix and of OpenTelemetry's conventions for models.

The names of attributes hold the messages: `llm.input_messages.0.message.role`, or
`gen_ai.prompt.0.role`. Of each trace the last span with an answer is read.
"""

from __future__ import annotations

from collections.abc import Iterator

from convstore.imports.fields import (
    count_or_none,
    number_or_none,
    rest_of,
    text_or_none,
    time_or_none,
)
from convstore.imports.material import Found, LeftOut, Material
from convstore.imports.model import ImportedSession, Rejected
from convstore.imports.rowsets import MOST_ROWS, made
from convstore.imports.talk import Talk, Vote
from convstore.imports.trace_messages import Line, decoded
from convstore.vocabulary.records import ActorKind, Json, JsonObject

NAME = "phoenix"
_IN = ("llm.input_messages", "gen_ai.prompt", "gen_ai.input.messages")
_OUT = ("llm.output_messages", "gen_ai.completion", "gen_ai.output.messages")
_OF_ACT = ("id", "name", "annotator_kind", "result", "user_id")
_SESSION = ("session.id", "gen_ai.conversation.id", "thread_id")
_KINDS: dict[str, ActorKind] = {"HUMAN": "human", "LLM": "model", "CODE": "code"}


def read(material: Material) -> Iterator[Found]:
    """A conversation for each session, or trace without one."""
    number = 0
    for name in material.names:
        last: dict[str, tuple[str, JsonObject, JsonObject]] = {}
        for record in material.records(name):
            if isinstance(record, Rejected):
                yield material.told(record, name)
                continue
            span = record.value if isinstance(record.value, dict) else {}
            told = _flat(span)
            if not any(key.startswith(_OUT) for key in told) or len(last) >= MOST_ROWS:
                yield LeftOut("span_without_an_answer")
                continue
            context = span.get("context")
            context = context if isinstance(context, dict) else {}
            trace = str(
                context.get("trace_id")
                or span.get("trace_id")
                or span.get("context.trace_id")
            )
            at = str(span.get("start_time"))
            if trace in last:
                yield LeftOut("span_before_the_last")
            if trace not in last or at >= last[trace][0]:
                last[trace] = at, span, told
        for trace, (_, span, told) in last.items():
            number += 1
            yield made(
                number,
                lambda trace=trace, span=span, told=told: _session(trace, span, told),  # type: ignore[misc]
            )


def _flat(span: JsonObject) -> JsonObject:
    """The attributes by their whole names, however deep they are nested."""
    found: JsonObject = {}
    attributes = decoded(span.get("attributes"))
    waiting: list[tuple[str, Json]] = [
        ("", attributes if isinstance(attributes, dict) else {})
    ]
    waiting += [
        (key.removeprefix("attributes."), value)
        for key, value in span.items()
        if key.startswith(("attributes.", "llm.", "gen_ai."))
    ]
    while waiting:
        prefix, value = waiting.pop()
        items: list[tuple[str, Json]] = []
        if isinstance(value, dict):
            items = list(value.items())
        elif isinstance(value, list):
            items = [(str(place), item) for place, item in enumerate(value)]
        else:
            found[prefix] = value
        waiting += [(f"{prefix}.{key}" if prefix else key, item) for key, item in items]
    return found


def _session(trace: str, span: JsonObject, told: JsonObject) -> ImportedSession:
    named = next((str(told[key]) for key in _SESSION if told.get(key)), trace)
    talk = Talk(NAME, named)
    talk.user_id = talk.text("user", told.get("user.id"))
    talk.created_at = talk.time("created_at", span.get("start_time"))
    talk.metadata = {"trace_id": trace, "name": span.get("name")}
    model = told.get("llm.model_name") or told.get("gen_ai.response.model")
    line = Line(talk, time_or_none(span.get("end_time")), text_or_none(model))
    line.history(_messages(told, _IN))
    line.answer(_messages(told, _OUT))
    if line.steps:
        line.steps[-1].tokens_in = count_or_none(told.get("llm.token_count.prompt"))
        line.steps[-1].tokens_out = count_or_none(
            told.get("llm.token_count.completion")
        )
    said = {k: v for k, v in told.items() if not k.startswith(_IN)}
    more = {k: v for k, v in span.items() if not k.startswith(("attributes", *_IN))}
    talk.source(line.steps[-1:], {**more, "attributes": said})
    tip = line.say()
    given = span.get("annotations") or span.get("span_annotations")
    for place, act in enumerate(given if isinstance(given, list) else ()):
        if isinstance(act, dict):
            _judge(talk, act, tip, place)
    return talk.session()


def _messages(told: JsonObject, prefixes: tuple[str, ...]) -> list[Json]:
    for prefix in prefixes:
        if isinstance(told.get(prefix), str):
            value = decoded(told[prefix])
            return value if isinstance(value, list) else [value]
        found: dict[int, JsonObject] = {}
        for key, value in told.items():
            if key.startswith(f"{prefix}."):
                number, _, rest = key[len(prefix) + 1 :].partition(".")
                if number.isdecimal():
                    message = found.setdefault(int(number), {})
                    _put(message, rest.removeprefix("message."), value)
        if found:
            return [found[number] for number in sorted(found)]
    return []


def _put(message: JsonObject, name: str, value: Json) -> None:
    parts = name.split(".")
    if parts[0] == "tool_calls" and len(parts) > 2:
        calls = message.setdefault("tool_calls", [])
        place = int(parts[1]) if parts[1].isdecimal() else 0
        while len(calls) <= min(place, 100):
            calls.append({"function": {}})
        call = calls[min(place, 100)]
        if parts[-1] == "id":
            call["id"] = value
        else:
            call["function"][parts[-1]] = value
    elif parts[0] == "contents" and parts[-1] == "text":
        message["content"] = f"{message.get('content') or ''}{value}"
    else:
        message[parts[-1]] = value


def _judge(talk: Talk, act: JsonObject, tip: str | None, place: int) -> None:
    result = act.get("result")
    result = result if isinstance(result, dict) else {}
    name = text_or_none(act.get("id")) or f"{act.get('name')}:{place}"
    vote = Vote(name, tip, kind=_KINDS.get(str(act.get("annotator_kind")), "code"))
    vote.label = text_or_none(result.get("label"))
    vote.score = number_or_none(result.get("score"))
    vote.content = talk.text("feedback.comment", result.get("explanation"))
    vote.rater = talk.text("feedback.rater", act.get("user_id"))
    vote.metadata = {"name": act.get("name"), **rest_of(act, *_OF_ACT)}
    if more := rest_of(result, "label", "score", "explanation"):
        vote.metadata["result"] = more
    talk.vote(vote)
