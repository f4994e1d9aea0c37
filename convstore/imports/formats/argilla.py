"""`argilla`: records of Argilla, with suggestions and responses.

A field of messages is the talk. Fields that responses choose between are answers to it;
without either, the first field of text is the question and the others answers.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass

from convstore.imports.chat_messages import said_of_chat
from convstore.imports.extras import derived_id
from convstore.imports.fields import (
    id_or_none,
    need_object,
    number_or_none,
    rest_of,
    text_or_none,
)
from convstore.imports.material import Found, Material
from convstore.imports.model import ImportedSession
from convstore.imports.reader import each_record
from convstore.imports.talk import Said, Talk, Vote
from convstore.vocabulary.records import ActorKind, Json, JsonObject

NAME = "argilla"
_READ = ("id", "fields", "metadata", "status", "responses", "suggestions")
_LABEL_CHARS = 64
_MOST_ANSWERS = 100
"""Fields that are answers to one question."""


def read(material: Material) -> Iterator[Found]:
    """All records."""
    yield from each_record(material, material.names, parse)


def parse(record: Json) -> ImportedSession:
    """The session of one record.

    Raises:
        InvalidInputError: It has no fields.
    """
    given = need_object("record", record)
    fields = need_object("fields", given.get("fields"))
    talk = Talk(NAME, id_or_none(given, "id") or derived_id(NAME, given))
    talk.metadata = _object(given.get("metadata")) | {"status": given.get("status")}
    talk.keep_rest(given, *_READ)
    acts = list(_acts(given))
    for value in fields.values():
        for number, message in enumerate(_talk_of(value), 1):
            before = talk.last
            said = said_of_chat(talk, message, f"message-{number}")
            said.parent = before
            talk.say(said)
    asked = talk.last
    texts = [name for name, value in fields.items() if isinstance(value, str)]
    chosen = {act.value for act in acts if isinstance(act.value, str)}
    few = len(texts) <= _MOST_ANSWERS
    answers = texts if few and chosen & set(texts) else []
    if asked is None and texts:
        first = next((name for name in texts if name not in chosen), texts[0])
        asked = talk.say(Said(first, "user", str(fields[first]))).id
        answers = [name for name in texts if name != first][:_MOST_ANSWERS]
    for name in answers:
        if name != asked:
            talk.say(Said(name, "assistant", str(fields[name]), parent=asked))
    said_of = {*answers, asked}
    talk.metadata["fields"] = {
        name: value
        for name, value in fields.items()
        if value and name not in said_of and not _talk_of(value)
    }
    for place, act in enumerate(acts, 1):
        _vote(talk, place, act, answers)
    return talk.session()


def _talk_of(value: Json) -> list[JsonObject]:
    if not isinstance(value, list):
        return []
    talk = [m for m in value if isinstance(m, dict) and {"role", "content"} <= m.keys()]
    return talk if len(talk) == len(value) else []


@dataclass(frozen=True, slots=True)
class _Act:
    """A response, or a suggestion of a model.

    Attributes:
        told: The status of a response, or how sure a model was.
        rest: What else is said.
    """

    question: str
    value: Json
    kind: ActorKind
    rater: str | None
    told: Json
    rest: JsonObject


def _acts(record: JsonObject) -> Iterator[_Act]:
    for question, given in _object(record.get("responses")).items():
        for response in given if isinstance(given, list) else [given]:
            yield _act(question, response, "human", "user_id", "status")
    for question, given in _object(record.get("suggestions")).items():
        yield _act(question, given, "model", "agent", "score")


def _act(
    question: str, given: Json, kind: ActorKind, rater_key: str, told_key: str
) -> _Act:
    """What is said of an answer, which may stand by itself."""
    said = given if isinstance(given, dict) else {"value": given}
    rater = text_or_none(said.get(rater_key))
    read = ["value", told_key, *([] if rater is None else [rater_key])]
    return _Act(
        question,
        said.get("value"),
        kind,
        rater,
        said.get(told_key),
        rest_of(said, *read),
    )


def _place_of(act: _Act, place: int) -> str:
    """What tells an act from the others on its question, in whatever order a file has
    them. A person is not named: an erasure takes names out of acts, and not of ids."""
    if act.rater is None:
        return str(place)
    if act.kind != "human":
        return act.rater
    return hashlib.sha256(act.rater.encode("utf-8", "surrogatepass")).hexdigest()[:16]


def _vote(talk: Talk, place: int, act: _Act, answers: list[str]) -> None:
    value = act.value
    name = f"{act.kind}:{act.question}:{_place_of(act, place)}"
    on = talk.last if len(answers) < 2 else None
    vote = Vote(name, on, rater=act.rater, kind=act.kind)
    vote.metadata = act.rest | {"name": act.question, "told": act.told}
    if isinstance(value, str) and value in answers and len(answers) > 1:
        vote.action, vote.on, vote.chosen = "choose", None, value
        vote.rejected = tuple(answer for answer in answers if answer != value)
    elif number_or_none(value) is not None:
        vote.score = number_or_none(value)
    elif isinstance(value, str) and len(value) <= _LABEL_CHARS:
        vote.label = value
    elif isinstance(value, str):
        vote.content = value
    else:
        vote.metadata["value"] = value
    talk.vote(vote)


def _object(value: Json) -> JsonObject:
    return dict(value) if isinstance(value, dict) else {}
