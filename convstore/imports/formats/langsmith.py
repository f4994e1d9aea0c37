"""`langsmith`: runs of LangSmith, one a line.

Of each trace the last run of a chat model is read, and where its messages were
flattened to text, those of the prompt before it. Traces of one thread are one
conversation, which goes on from what they share.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass, field

from convstore.imports.fields import number_or_none, text_or_none, time_or_none
from convstore.imports.material import Found, LeftOut, Material
from convstore.imports.model import ImportedSession, Rejected
from convstore.imports.rowsets import made
from convstore.imports.talk import Talk, Vote
from convstore.imports.trace_messages import Line
from convstore.vocabulary.records import ActorKind, Json, JsonObject

NAME = "langsmith"
_MODELS = ("llm", "chat_model")
_KINDS: dict[str, ActorKind] = {"model": "model", "auto_eval": "model"}
_MOST_JUDGED = 1_000
"""Runs of one trace with judgements."""
_OPEN = 2_000
"""Traces that are gathered at the same time; an older one is taken as it stands."""


@dataclass(slots=True)
class _Trace:
    """What is kept of a trace while its runs come by."""

    root: JsonObject | None = None
    prompt: JsonObject | None = None
    model: JsonObject | None = None
    judged: list[JsonObject] = field(default_factory=list)

    def add(self, run: JsonObject) -> None:
        kind = run.get("run_type")
        if (run.get("feedback") or run.get("feedback_stats")) and (
            len(self.judged) < _MOST_JUDGED
        ):
            told = ("id", "feedback", "feedback_stats")
            self.judged.append({key: run.get(key) for key in told})
        if run.get("parent_run_id") is None:
            self.root = run
        if kind == "prompt":
            self.prompt = _later(self.prompt, run)
        elif kind in _MODELS:
            self.model = _later(self.model, run)


def _later(known: JsonObject | None, run: JsonObject) -> JsonObject:
    if known is None or str(run.get("start_time")) >= str(known.get("start_time")):
        return run
    return known


def read(material: Material) -> Iterator[Found]:
    """A conversation for each thread, or trace without one."""
    number = 0
    for name in material.names:
        traces: OrderedDict[str, _Trace] = OrderedDict()
        for record in material.records(name):
            if isinstance(record, Rejected):
                yield material.told(record, name)
                continue
            run = record.value
            if not isinstance(run, dict) or "run_type" not in run:
                yield LeftOut("line_of_no_kind")
                continue
            traces.setdefault(str(run.get("trace_id")), _Trace()).add(run)
            if len(traces) > _OPEN:
                number += 1
                yield _made(number, *traces.popitem(last=False))
        for trace_id, trace in traces.items():
            number += 1
            yield _made(number, trace_id, trace)


def _made(number: int, trace_id: str, trace: _Trace) -> Found:
    return made(number, lambda: _session(trace_id, trace))


def _session(trace_id: str, trace: _Trace) -> ImportedSession:
    whole = trace.root or trace.model or trace.prompt or {}
    told = _metadata(whole) | _metadata(trace.model or {})
    keys = ("thread_id", "session_id", "conversation_id")
    named = next((t for key in keys if (t := text_or_none(told.get(key)))), trace_id)
    talk = Talk(NAME, named)
    talk.user_id = text_or_none(told.get("user_id"))
    talk.tags = whole.get("tags")
    talk.created_at = time_or_none(whole.get("start_time"))
    talk.metadata = {"trace_id": trace_id, "name": whole.get("name")}
    model = told.get("ls_model_name")
    line = Line(talk, time_or_none(whole.get("end_time")), text_or_none(model))
    given = trace.model or whole
    inputs = given.get("inputs")
    flat = isinstance(inputs, dict) and "messages" not in inputs
    if flat and trace.prompt is not None:
        outputs = trace.prompt.get("outputs")
        inputs = outputs.get("output") if isinstance(outputs, dict) else None
    elif flat and trace.model is not None and trace.root is not None:
        inputs = trace.root.get("inputs")
    line.history(inputs)
    line.answer(given.get("outputs"))
    talk.source(line.steps[-1:], {k: v for k, v in given.items() if k != "inputs"})
    tip = line.say()
    for run in trace.judged:
        _judge(talk, run, tip)
    return talk.session()


def _metadata(run: JsonObject) -> JsonObject:
    return _object(_object(run.get("extra")).get("metadata"))


def _object(value: Json) -> JsonObject:
    return value if isinstance(value, dict) else {}


def _judge(talk: Talk, run: JsonObject, tip: str | None) -> None:
    given = run.get("feedback")
    for place, act in enumerate(given if isinstance(given, list) else ()):
        if isinstance(act, dict):
            name = text_or_none(act.get("id")) or f"{run.get('id')}:{place}"
            source = _object(act.get("feedback_source"))
            vote = Vote(name, tip, kind=_KINDS.get(str(source.get("type")), "human"))
            vote.rater = text_or_none(source.get("user_id"))
            vote.at = time_or_none(act.get("created_at"))
            vote.score = number_or_none(act.get("score"))
            value: Json = act.get("value")
            vote.label = value if isinstance(value, str) else None
            vote.content = text_or_none(act.get("comment"))
            vote.metadata = {
                "name": act.get("key"),
                "correction": act.get("correction"),
            }
            talk.vote(vote)
    stats = _object(run.get("feedback_stats"))
    if stats:
        talk.metadata["feedback_stats"] = stats
