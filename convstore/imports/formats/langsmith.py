"""`langsmith`: runs of LangSmith, one a line.

Of each trace the last run of a chat model is read, and where its messages were
flattened to text, those of the prompt before it. Traces of one thread are one
conversation, which goes on from what they share.
"""

from __future__ import annotations

from collections import Counter, OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass, field

from convstore.imports.fields import (
    number_or_none,
    rest_of,
    text_or_none,
    time_or_none,
)
from convstore.imports.material import Found, LeftOut, Material
from convstore.imports.model import ImportedSession, Rejected
from convstore.imports.rowsets import made
from convstore.imports.talk import Talk, Vote
from convstore.imports.trace_messages import Line
from convstore.vocabulary.records import ActorKind, Json, JsonObject

NAME = "langsmith"
_OF_WHOLE = tuple(
    "id trace_id name tags run_type dotted_order start_time end_time inputs outputs "
    "feedback feedback_stats".split()
)
_OF_FEEDBACK = tuple(
    "id run_id key correction feedback_source created_at score value comment".split()
)
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
    kinds: Counter[str] = field(default_factory=Counter)

    def add(self, run: JsonObject) -> None:
        kind = run.get("run_type")
        self.kinds[str(kind)] += 1
        if run.get("feedback") or run.get("feedback_stats"):
            if len(self.judged) < _MOST_JUDGED:
                told = ("id", "feedback", "feedback_stats")
                self.judged.append({key: run.get(key) for key in told})
            else:
                self.kinds["feedback_of_too_many"] += 1
        if run.get("parent_run_id") is None:
            self.root = run
        if kind == "prompt":
            self.prompt = _later(self.prompt, run)
        elif kind in _MODELS:
            self.model = _later(self.model, run)

    def name_others(self, talk: Talk, read: list[JsonObject]) -> None:
        """Count the runs of which nothing is kept."""
        others = self.kinds - Counter(str(run.get("run_type")) for run in read)
        for kind, count in others.items():
            talk.drop(f"run:{kind}", count)


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
    talk.user_id = talk.text("user", told.get("user_id"))
    talk.tags = whole.get("tags")
    talk.created_at = talk.time("created_at", whole.get("start_time"))
    talk.metadata = {"trace_id": trace_id, "name": whole.get("name")}
    model = told.get("ls_model_name")
    line = Line(talk, time_or_none(whole.get("end_time")), text_or_none(model))
    given = trace.model or whole
    asked, inputs = _inputs(trace, given)
    line.history(inputs)
    line.answer(given.get("outputs"))
    talk.source(line.steps[-1:], {k: v for k, v in given.items() if k != "inputs"})
    tip = line.say()
    if whole is not given:
        talk.keep_rest(whole, *_OF_WHOLE, under="run")
        talk.name_rest("run", {"outputs": whole.get("outputs")})
    for run in (given, whole):
        if run is not asked:
            talk.name_rest("run", {"inputs": run.get("inputs")})
    trace.name_others(talk, [given] if whole is given else [given, whole])
    for run in trace.judged:
        _judge(talk, run, tip)
    return talk.session()


def _inputs(trace: _Trace, given: JsonObject) -> tuple[JsonObject | None, Json]:
    """What the model was given, and of which run; where that was made text, what the
    prompt or the root says."""
    inputs = given.get("inputs")
    if isinstance(inputs, dict) and "messages" not in inputs:
        if trace.prompt is not None:
            return None, _object(trace.prompt.get("outputs")).get("output")
        if trace.model is not None and trace.root is not None:
            return trace.root, trace.root.get("inputs")
    return given, inputs


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
            vote.rater = talk.text("feedback.rater", source.get("user_id"))
            vote.at = talk.time("feedback.created_at", act.get("created_at"))
            vote.score = number_or_none(act.get("score"))
            value: Json = act.get("value")
            vote.label = value if isinstance(value, str) else None
            vote.content = talk.text("feedback.comment", act.get("comment"))
            vote.metadata = {
                "name": act.get("key"),
                "correction": act.get("correction"),
                **rest_of(act, *_OF_FEEDBACK),
            }
            if more := rest_of(source, "type", "user_id"):
                vote.metadata["feedback_source"] = more
            for key, read in (("score", vote.score), ("value", vote.label)):
                if read is None and act.get(key) is not None:
                    vote.metadata[key] = act[key]
            talk.vote(vote)
    stats = _object(run.get("feedback_stats"))
    if stats:
        talk.keep_rest({"feedback_stats": stats})
