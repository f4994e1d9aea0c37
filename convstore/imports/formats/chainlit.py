"""`chainlit`: threads of Chainlit: its SQLite database, or threads as its API gives.

Messages are turns, a tool is a call and its result. The other steps are the trace of
what ran, and are kept as a graph state.
"""

from __future__ import annotations

import json
from collections.abc import Iterator

from convstore.imports.fields import (
    count_or_none,
    need_object,
    rest_of,
    text_or_none,
    time_or_none,
)
from convstore.imports.material import Found, Material, Row
from convstore.imports.model import ImportedSession
from convstore.imports.pieces import call_part, pointer_part
from convstore.imports.reader import each_record
from convstore.imports.rowsets import bounded, by_key, joined, made
from convstore.imports.talk import Said, Talk, Vote
from convstore.vocabulary.errors import InvalidInputError
from convstore.vocabulary.records import Json, JsonObject

NAME = "chainlit"
TRACE = "chainlit-trace"
_ROLES = {
    "user_message": "user",
    "assistant_message": "assistant",
    "system_message": "system",
}
_MOST_DEEP = 100
_TOLD = (
    "showInput streaming isError feedback inputTokenCount outputTokenCount"
).split()
_OF_THREAD = (
    "id", "threadId", "name", "userIdentifier", "userId", "tags", "createdAt", "steps",
    "elements",
)  # fmt: skip
_OF_ELEMENT = (
    "id", "forId", "threadId", "url", "objectKey", "mime", "name", "size"
)  # fmt: skip
_JSON = ("metadata", "generation", "tags", "props")


def read(material: Material) -> Iterator[Found]:
    """All threads."""
    tables = material.tables
    if tables is None:
        yield from each_record(material, material.names, parse)
        return
    threads = tables.rows("threads", order=["id"])
    keyed = ({**row, "threadId": row.get("id")} for row in threads)
    groups = by_key(tables, "steps", ["threadId"], ["createdAt"])
    found = enumerate(joined(keyed, ["threadId"], groups), 1)
    for number, ((key,), owner, rows) in found:

        def make(
            key: object = key, owner: object = owner, rows: object = rows
        ) -> ImportedSession:
            where = {"threadId": key}
            given: Row = owner if isinstance(owner, dict) else {"id": key}  # type: ignore[dict-item]
            return _session(
                _plain(material, given),
                [_plain(material, row) for row in bounded(rows)],  # type: ignore[arg-type]
                [_plain(material, r) for r in tables.rows("elements", where=where)],  # type: ignore[arg-type]
                [dict(r) for r in tables.rows("feedbacks", where=where)],  # type: ignore[arg-type]
            )

        yield made(number, make)


def _plain(material: Material, row: Row) -> JsonObject:
    """A row with its JSON columns decoded, which are text on SQLite."""
    told: JsonObject = dict(row)
    for name in _JSON:
        value = told.get(name)
        if isinstance(value, str) and value[:1] in ("{", "["):
            try:
                told[name] = material.decoded(value)
            except InvalidInputError:
                continue
    return told


def parse(record: Json) -> ImportedSession:
    """The session of one thread with its steps in it."""
    given = need_object("record", record)
    steps = given.get("steps")
    if not isinstance(steps, list):
        raise InvalidInputError("steps", "must be a list")
    told = [need_object("steps", step) for step in steps]
    for step in told:
        for name in _JSON:
            if isinstance(step.get(name), str) and step[name][:1] in ("{", "["):
                try:
                    step[name] = json.loads(step[name])
                except (ValueError, RecursionError):
                    continue
    votes = [
        step["feedback"] for step in told if isinstance(step.get("feedback"), dict)
    ]
    elements = given.get("elements")
    files = (
        [e for e in elements if isinstance(e, dict)]
        if isinstance(elements, list)
        else []
    )
    told.sort(key=lambda step: str(step.get("createdAt")))
    return _session(given, told, files, votes)


def _session(
    thread: JsonObject,
    steps: list[JsonObject],
    elements: list[JsonObject],
    votes: list[JsonObject],
) -> ImportedSession:
    talk = Talk(NAME, str(thread.get("id")), _TOLD)
    talk.title = thread.get("name")
    talk.user_id = talk.text(
        "user", thread.get("userIdentifier") or thread.get("userId")
    )
    talk.tags = thread.get("tags")
    talk.created_at = talk.time("created_at", thread.get("createdAt"))
    talk.keep_rest(thread, *_OF_THREAD)
    said_by: dict[str, Said] = {}
    under: dict[str, str] = {}
    trace: list[Json] = []
    parents = {str(step.get("id")): step.get("parentId") for step in steps}
    for step in steps:
        step_id = str(step.get("id"))
        said = _add(talk, step, step_id, trace)
        if said is not None:
            said_by[step_id] = said
            for above in _above(step, parents):
                under[above] = step_id
    for element in elements:
        _attach(talk, said_by, element)
    for vote in votes:
        _judge(talk, vote, said_by, under)
    if trace:
        talk.state(TRACE, {"steps": trace})
    return talk.session()


def _above(step: JsonObject, parents: JsonObject) -> list[str]:
    """The steps that this one is below, nearest first."""
    found: list[str] = []
    at = step.get("parentId")
    while isinstance(at, str) and at not in found and len(found) < _MOST_DEEP:
        found.append(at)
        at = parents.get(at)
    return found


def _add(talk: Talk, step: JsonObject, step_id: str, trace: list[Json]) -> Said | None:
    kind, before = step.get("type"), talk.last
    at = time_or_none(step.get("createdAt"))
    if kind == "tool":
        name = str(step.get("name") or "")
        call = Said("", "assistant", at=at)
        call.parts.append(call_part(step_id, name, step.get("input") or ""))
        result = Said("", "tool", str(step.get("output") or ""), at=at)
        result.name, result.tool_call_id = name, step_id
        if step.get("isError"):
            result.metadata["error"] = True
        talk.say_all(step_id, before, [call, result])
        talk.source([call, result], step)
        return result
    role = _ROLES.get(str(kind))
    if role is None:
        left_out = ("streaming", "showInput", "threadId")
        trace.append(
            {
                k: v
                for k, v in step.items()
                if v not in (None, "", {}) and k not in left_out
            }
        )
        return None
    said = Said(step_id, role, str(step.get("output") or ""), parent=before, at=at)
    _tell(said, step)
    talk.source([said], step)
    return talk.say(said)


def _tell(said: Said, step: JsonObject) -> None:
    generation = step.get("generation")
    generation = generation if isinstance(generation, dict) else {}
    if said.role == "assistant":
        said.model = text_or_none(generation.get("model"))
        said.tokens_in = count_or_none(generation.get("inputTokenCount"))
        said.tokens_out = count_or_none(generation.get("outputTokenCount"))
    if said.role != "system":
        said.name = text_or_none(step.get("name"))
    if step.get("isError"):
        said.metadata["error"] = True
    for name in ("metadata", "tags", "command"):
        if step.get(name):
            said.metadata[name] = step[name]


def _attach(talk: Talk, said_by: dict[str, Said], element: JsonObject) -> None:
    said = said_by.get(str(element.get("forId")))
    if said is None:
        talk.drop("attachment_without_its_turn")
        return
    pointer = text_or_none(element.get("url") or element.get("objectKey"))
    part = pointer_part(
        str(element.get("mime") or element.get("type")),
        pointer,
        name=element.get("name"),
        media_type=element.get("mime"),
        size_bytes=element.get("size"),
        source=rest_of(element, *_OF_ELEMENT) or None,
    )
    if said.content and not said.parts:
        said.parts.append({"type": "text", "text": said.content})
    talk.attach(said, part, with_bytes=False)


def _judge(
    talk: Talk, vote: JsonObject, said_by: dict[str, Said], under: dict[str, str]
) -> None:
    judged = str(vote.get("forId"))
    # A run may have been judged: then its last message.
    on = judged if judged in said_by else under.get(judged, judged)
    value = vote.get("value")
    label = (
        {1: "thumbs_up", 0: "thumbs_down"}.get(value) if type(value) is int else None
    )
    name = text_or_none(vote.get("id")) or f"{judged}:feedback"
    told = talk.text("feedback.comment", vote.get("comment"))
    rest = rest_of(vote, "id", "forId", "threadId", "comment")
    if label is not None:
        rest.pop("value", None)
    given = Vote(name, on, label, rater=talk.user_id, content=told, metadata=rest)
    talk.vote(given)
