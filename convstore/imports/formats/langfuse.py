"""`langfuse`: traces of Langfuse, as its page and its API give them.

Of each trace the last generation is read: what it was given is the history, with the
steps before it, and what it gave the answer. Traces of one session are one
conversation, which goes on from what they share.
"""

from __future__ import annotations

from collections.abc import Iterator

from convstore.imports.fields import (
    need_object,
    number_or_none,
    rest_of,
    text_or_none,
    time_or_none,
)
from convstore.imports.grouping import Record
from convstore.imports.material import Found, LeftOut, Material
from convstore.imports.model import ImportedSession, Rejected
from convstore.imports.reader import each_record
from convstore.imports.rowsets import MOST_ROWS, made
from convstore.imports.talk import Talk, Vote
from convstore.imports.trace_messages import Line, decoded
from convstore.vocabulary.errors import InvalidInputError
from convstore.vocabulary.records import ActorKind, Json, JsonObject

NAME = "langfuse"
_OF_TRACE = tuple(
    "id sessionId userId name tags timestamp scores corrections input output "
    "observations".split()
)
_OF_SCORE = tuple(
    "id name value stringValue dataType comment source authorUserId timestamp "
    "createdAt".split()
)
_KINDS: dict[str, ActorKind] = {"API": "code", "EVAL": "model", "ANNOTATION": "human"}


def read(material: Material) -> Iterator[Found]:
    """A conversation for each session, or trace without one."""
    for name in material.names:
        first = next(iter(material.records(name)), None)
        row = first.value if isinstance(first, Record) else None
        if isinstance(row, dict) and "traceId" in row and "observations" not in row:
            yield from _of_rows(material, name)
        else:
            yield from each_record(material, [name], parse)


def _of_rows(material: Material, name: str) -> Iterator[Found]:
    """Observations one to a line: of each trace those that stand in the file."""
    traces: dict[str, list[JsonObject]] = {}
    rows = 0
    for record in material.records(name):
        if isinstance(record, Rejected):
            yield material.told(record, name)
            continue
        row = record.value if isinstance(record.value, dict) else {}
        rows += 1
        if row.get("type") != "GENERATION" or rows > MOST_ROWS:
            yield LeftOut(f"observation:{row.get('type')}")
            continue
        traces.setdefault(str(row.get("traceId")), []).append(row)
    for number, (trace_id, some) in enumerate(traces.items(), 1):
        trace = {"id": trace_id, "sessionId": some[0].get("sessionId")}
        yield made(
            number,
            lambda trace=trace, some=some: _session(trace, some, {}),  # type: ignore[misc]
        )


def parse(record: Json) -> ImportedSession:
    """The session of one trace.

    Raises:
        InvalidInputError: It is no trace.
    """
    given = need_object("record", record)
    trace = given.get("trace", given)
    trace = need_object("trace", trace)
    holder = given if "observations" in given else trace
    observations = holder.get("observations")
    if holder is trace:
        trace = {k: v for k, v in trace.items() if k != "observations"}
    if not isinstance(observations, list):
        raise InvalidInputError("observations", "must be a list")
    more = rest_of(given, "trace", "observations") if "trace" in given else {}
    return _session(trace, _listed(observations), more)


def _session(
    trace: JsonObject, observations: list[JsonObject], more: JsonObject
) -> ImportedSession:
    named = text_or_none(trace.get("sessionId")) or text_or_none(trace.get("id"))
    if named is None:
        raise InvalidInputError("trace.id", "is missing")
    talk = Talk(NAME, named)
    talk.user_id = talk.text("user", trace.get("userId"))
    talk.title = trace.get("name")
    talk.tags = trace.get("tags")
    talk.created_at = talk.time("created_at", trace.get("timestamp"))
    talk.metadata = {"trace_id": trace.get("id")}
    talk.keep_rest(more)
    talk.keep_rest(trace, *_OF_TRACE)
    generations = [o for o in observations if o.get("type") == "GENERATION"]
    # They are not in order in real files.
    last = max(generations, key=lambda o: str(o.get("startTime")), default=None)
    line = Line(talk, model=text_or_none((last or {}).get("model")))
    given = last or trace
    line.at = time_or_none(
        given.get("endTime") or given.get("startTime") or trace.get("timestamp")
    )
    _instructions(line, given)
    line.history(given.get("input"))
    line.answer(given.get("output"))
    _spend(line, given)
    # What it was given is the history, and told by the turns before.
    talk.source(line.steps[-1:], {k: v for k, v in given.items() if k != "input"})
    tip = line.say()
    for place, score in enumerate(_listed(trace.get("scores"))):
        _judge(talk, score, tip, place)
    for correction in _listed(trace.get("corrections")):
        text = decoded(correction.get("value") or correction.get("output"))
        vote = Vote(f"correction:{correction.get('id')}", tip, action="edit")
        vote.content = text if isinstance(text, str) else None
        read = ("id", "value" if correction.get("value") else "output")
        vote.metadata = rest_of(correction, *(read if vote.content else ("id",)))
        talk.vote(vote)
    _name_others(talk, trace, observations, last)
    return talk.session()


def _name_others(
    talk: Talk,
    trace: JsonObject,
    observations: list[JsonObject],
    last: JsonObject | None,
) -> None:
    """Count what the last generation is read in place of."""
    for observation in observations:
        if observation.get("type") != "GENERATION":
            talk.drop(f"observation:{observation.get('type')}")
        elif observation is not last:
            talk.drop("observation_before_the_last")
    others = {"observations": trace.get("observations")}
    if last is not None:
        others |= {key: trace.get(key) for key in ("input", "output")}
    talk.name_rest("trace", others)


def _instructions(line: Line, generation: JsonObject) -> None:
    """The system prompt, which the Responses API has beside the messages."""
    output = decoded(generation.get("output"))
    parameters = generation.get("modelParameters")
    for told in (output, parameters):
        text = told.get("instructions") if isinstance(told, dict) else None
        if isinstance(text, str) and text:
            line.history([{"role": "system", "content": text}])
            return


def _spend(line: Line, generation: JsonObject) -> None:
    usage = generation.get("usageDetails") or generation.get("usage")
    if line.steps and isinstance(usage, dict):
        given, used = usage.get("input"), usage.get("output")
        line.steps[-1].tokens_in = given if type(given) is int else None
        line.steps[-1].tokens_out = used if type(used) is int else None


def _judge(talk: Talk, score: JsonObject, tip: str | None, place: int) -> None:
    name = text_or_none(score.get("id")) or f"score-{place}"
    vote = Vote(name, tip, kind=_KINDS.get(str(score.get("source")), "code"))
    vote.score = number_or_none(score.get("value"))
    label = text_or_none(score.get("stringValue"))
    vote.label = label if score.get("dataType") != "NUMERIC" else None
    vote.content = talk.text("feedback.comment", score.get("comment"))
    vote.rater = talk.text("feedback.rater", score.get("authorUserId"))
    vote.at = talk.time(
        "feedback.created_at", score.get("timestamp") or score.get("createdAt")
    )
    vote.metadata = {"name": score.get("name"), "data_type": score.get("dataType")}
    vote.metadata |= rest_of(score, *_OF_SCORE)
    if vote.score is None and score.get("value") is not None:
        vote.metadata["value"] = score["value"]
    if vote.label is None and score.get("stringValue"):
        vote.metadata["stringValue"] = score["stringValue"]
    talk.vote(vote)


def _listed(value: Json) -> list[JsonObject]:
    items = value if isinstance(value, list) else []
    return [item for item in items if isinstance(item, dict)]
