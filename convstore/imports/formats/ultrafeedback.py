"""`ultrafeedback`: an instruction, the answers of models, and what each was given."""

from __future__ import annotations

from collections.abc import Iterator

from convstore.imports.fields import (
    need_list,
    need_object,
    number_or_none,
    rest_of,
    text_or_none,
)
from convstore.imports.material import Found, Material
from convstore.imports.model import ImportedSession
from convstore.imports.reader import each_record
from convstore.imports.talk import Said, Talk, Vote, digest_of
from convstore.vocabulary.errors import InvalidInputError
from convstore.vocabulary.records import Json, JsonObject

NAME = "ultrafeedback"
_SCORES = {"overall_score": [1, 10], "fine-grained_score": [1, 5]}
_RATINGS = [1, 5]
_JUDGED = ("annotations", "critique", *_SCORES)


def read(material: Material) -> Iterator[Found]:
    """All rows."""
    yield from each_record(material, material.names, parse)


def parse(record: Json) -> ImportedSession:
    """The session of one row: the instruction, and its answers beside each other.

    Raises:
        InvalidInputError: There is no instruction, or no answer.
    """
    row = need_object("record", record)
    asked = text_or_none(row.get("instruction"))
    if asked is None:
        raise InvalidInputError("instruction", "is missing")
    name = digest_of([row.get("source"), asked])
    talk = Talk(NAME, f"ultrafeedback-{name}")
    answers = need_list("completions", row.get("completions"))
    named = [answer.get("model") for answer in answers if isinstance(answer, dict)]
    # The models are those of the answers, again.
    taken = [
        "instruction",
        "completions",
        *(["models"] if row.get("models") == named else []),
    ]
    talk.metadata = {k: v for k, v in row.items() if k not in taken and v is not None}
    question = talk.say(Said("instruction", "user", asked)).id
    for number, value in enumerate(answers, 1):
        answer = need_object(f"completions[{number - 1}]", value)
        said = Said(f"answer-{number}", "assistant", parent=question)
        said.content = text_or_none(answer.get("response")) or ""
        said.model = text_or_none(answer.get("model"))
        for key in ("custom_system_prompt", "principle"):
            if answer.get(key):
                said.metadata[key] = answer[key]
        talk.source([said], rest_of(answer, *_JUDGED))
        talk.say(said)
        said.metadata |= _judge(talk, said.id, answer)
    return talk.session()


def _judge(talk: Talk, on: str, answer: JsonObject) -> JsonObject:
    """Judge an answer; what of its judgements is no number."""
    kept = rest_of({key: answer.get(key) for key in _JUDGED})
    for key, scale in _SCORES.items():
        score = number_or_none(answer.get(key))
        if score is not None:
            vote = Vote(f"{on}:{key}", on, score=score, kind="model")
            vote.metadata = {"name": key, "scale": scale}
            if key == "overall_score" and text_or_none(kept.get("critique")):
                vote.content = kept.pop("critique")
            kept.pop(key, None)
            talk.vote(vote)
    if isinstance(kept.get("annotations"), dict):
        others = dict(_unrated(talk, on, kept.pop("annotations")))
        kept |= {"annotations": others} if others else {}
    return kept


def _unrated(talk: Talk, on: str, aspects: JsonObject) -> Iterator[tuple[str, Json]]:
    """Judge an answer by each aspect; those that have no rating."""
    for name, value in aspects.items():
        told = value if isinstance(value, dict) else {}
        rating = told.get("Rating")
        vote = Vote(f"{on}:{name}", on, kind="model")
        vote.content = talk.text("feedback.comment", told.get("Rationale"))
        more = {k: v for k, v in told.items() if k not in ("Rating", "Rationale")}
        vote.metadata = {**more, "name": name, "scale": _RATINGS}
        if isinstance(rating, str) and rating.isdecimal():
            vote.score = float(rating)
            talk.vote(vote)
        elif value:
            yield name, value
