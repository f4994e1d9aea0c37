"""`label-studio`: tasks of Label Studio as JSON. Each annotation is a conversation.

The messages that an annotator wrote or kept are the talk; without such results it is
the key of the task's data that holds messages. An annotation that was cancelled is an
empty conversation.
"""

from __future__ import annotations

from collections.abc import Iterator

from convstore.imports.chat_messages import said_of_chat
from convstore.imports.fields import (
    need_object,
    number_or_none,
    rest_of,
    text_or_none,
    time_or_none,
)
from convstore.imports.material import Found, Material
from convstore.imports.model import ImportedSession
from convstore.imports.reader import each_record
from convstore.imports.talk import Talk, Vote
from convstore.vocabulary.errors import InvalidInputError
from convstore.vocabulary.records import ActorKind, Json, JsonObject

NAME = "label-studio"
_OF_TASK = ("id", "project", "data", "annotations", "predictions")
_OF_ANNOTATION = (
    "id", "created_at", "lead_time", "completed_by", "result", "was_cancelled"
)  # fmt: skip
_VALUES = {"pairwise": "selected", "textarea": "text"}
"""Under which key of its value a result says it, if not under its type."""


def read(material: Material) -> Iterator[Found]:
    """All annotations of all tasks."""
    yield from each_record(material, material.names, parse)


def parse(record: Json) -> list[ImportedSession]:
    """The sessions of one task.

    Raises:
        InvalidInputError: It is no task, or several keys of its data hold messages.
    """
    task = need_object("record", record)
    annotations = task.get("annotations")
    if not isinstance(annotations, list):
        raise InvalidInputError("annotations", "must be a list")
    given = _messages_of(need_object("data", task.get("data", {})))
    predictions = _listed(task.get("predictions"))
    sessions = []
    for annotation in _listed(annotations):
        judges = [] if annotation.get("was_cancelled") else predictions
        sessions.append(_session(task, annotation, given, judges))
        if judges:
            predictions = []
    return sessions or [_session(task, {}, given, predictions)]


def _messages_of(data: JsonObject) -> list[JsonObject]:
    talks = {
        key: value
        for key, value in data.items()
        if isinstance(value, list)
        and value
        and all(isinstance(m, dict) and {"role", "content"} <= m.keys() for m in value)
    }
    if len(talks) > 1:
        raise InvalidInputError("data", "has several talks: say which by a mapping")
    return next(iter(talks.values()), [])


def _session(
    task: JsonObject,
    annotation: JsonObject,
    given: list[JsonObject],
    predictions: list[JsonObject],
) -> ImportedSession:
    names = [task.get("project"), task.get("id"), annotation.get("id")]
    talk = Talk(
        NAME, "/".join(["label-studio", *(str(n) for n in names if n is not None)])
    )
    talk.created_at = talk.time("created_at", annotation.get("created_at"))
    talk.metadata = {"data": task.get("data"), "lead_time": annotation.get("lead_time")}
    talk.keep_rest(task, *_OF_TASK)
    talk.keep_rest(annotation, *_OF_ANNOTATION, under="annotation")
    by = annotation.get("completed_by")
    if isinstance(by, dict):
        talk.keep_rest(by, "email", under="completed_by")
    if annotation.get("was_cancelled"):
        return talk.session()
    results = _listed(annotation.get("result"))
    said = [r for r in results if r.get("type") == "chatmessage"]
    messages = [_object(_object(r.get("value")).get("chatmessage")) for r in said]
    ids = [str(r.get("id")) for r in said]
    beside = [_beside(r, "chatmessage") for r in said]
    if not messages:
        messages, ids = given, [f"message-{n}" for n in range(1, len(given) + 1)]
        beside = [{}] * len(given)
    for message_id, message, more in zip(ids, messages, beside, strict=True):
        before = talk.last
        step = said_of_chat(talk, message, message_id)
        step.at = time_or_none(message.get("createdAt")) or step.at
        step.metadata.pop("createdAt", None)
        step.metadata |= more
        step.parent = before
        talk.say(step)
    rater = _rater(annotation.get("completed_by"))
    for result in results:
        _judge(talk, result, rater, "human", {})
    for prediction in predictions:
        model = talk.text("prediction.model", prediction.get("model_version"))
        told = {"score": prediction.get("score")}
        told |= rest_of(prediction, "model_version", "score", "result")
        for result in _listed(prediction.get("result")):
            _judge(talk, result, model, "model", told)
    return talk.session()


def _rater(value: Json) -> str | None:
    if isinstance(value, dict):
        value = value.get("email") or value.get("id")
    return None if value is None else str(value)


def _beside(result: JsonObject, key: str, *read: str) -> JsonObject:
    """What a result says besides what is read of it; of its value, besides one key."""
    value = rest_of(_object(result.get("value")), key)
    rest = rest_of(result, "id", "type", "value", *read)
    rest |= {"value": value} if value else {}
    return {"result": rest} if rest else {}


def _judge(
    talk: Talk, result: JsonObject, rater: str | None, kind: ActorKind, told: JsonObject
) -> None:
    value, on = _object(result.get("value")), talk.last
    what = result.get("type")
    name = f"{kind}:{result.get('id')}"
    key = _VALUES.get(str(what), str(what))
    metadata = {
        "name": result.get("from_name"),
        **told,
        **_beside(result, key, "from_name"),
    }
    vote = Vote(name, on, rater=rater, kind=kind, metadata=metadata)
    if what == "rating":
        vote.score = number_or_none(value.get("rating"))
    elif what == "number":
        vote.score = number_or_none(value.get("number"))
    elif what in ("choices", "taxonomy", "pairwise"):
        chosen = value.get("choices") or value.get("taxonomy") or value.get("selected")
        chosen = chosen if isinstance(chosen, list) else [chosen]
        vote.label = text_or_none(chosen[0]) if chosen else None
        if len(chosen) > 1:
            metadata["choices"] = chosen
    elif what == "textarea":
        text = value.get("text")
        vote.action = "edit"
        vote.content = "\n".join(text) if isinstance(text, list) else text_or_none(text)
    elif what == "chatmessage":
        return
    else:
        vote.metadata["value"] = value
        vote.label = text_or_none(what)
    if vote.score is None and vote.label is None and vote.content is None:
        vote.metadata["value"] = value
    talk.vote(vote)


def _listed(value: Json) -> list[JsonObject]:
    items = value if isinstance(value, list) else []
    return [item for item in items if isinstance(item, dict)]


def _object(value: Json) -> JsonObject:
    return value if isinstance(value, dict) else {}
