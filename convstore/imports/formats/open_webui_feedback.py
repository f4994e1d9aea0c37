"""Feedback of Open WebUI: in its messages, and in an export of its own. Pure."""

from __future__ import annotations

from collections.abc import Mapping

from convstore.imports.fields import (
    number_or_none,
    rest_of,
    text_or_none,
)
from convstore.imports.talk import Talk, Vote
from convstore.vocabulary.records import Json, JsonObject

_READ = ("id", "user_id", "data", "meta", "created_at", "snapshot")


def judge(talk: Talk, given: JsonObject, seen: dict[str, Vote]) -> None:
    """A judgement from the export of feedback; what the message does not have of it."""
    feedback_id, meta = text_or_none(given.get("id")), _object(given.get("meta"))
    message_id = text_or_none(meta.get("message_id"))
    if feedback_id is None or message_id is None:
        talk.drop("feedback_without_its_turn")
        return
    vote = vote_of(talk, feedback_id, message_id, _object(given.get("data")))
    vote.metadata |= talk.rest(given, *_READ)
    if more := rest_of(meta, "message_id", "chat_id"):
        vote.metadata["meta"] = more
    vote.rater = talk.text("feedback.rater", given.get("user_id"))
    vote.at = talk.time("feedback.created_at", given.get("created_at"))
    known = seen.get(feedback_id) or seen.get(f"on:{message_id}")
    if known is None:
        talk.vote(vote)
        return
    known.rater, known.at = vote.rater or known.rater, vote.at
    for key, value in vote.metadata.items():
        if known.metadata.setdefault(key, value) != value:
            talk.drop(f"feedback.{key}")


def vote_of(
    talk: Talk, feedback_id: str, message_id: str, given: Mapping[str, Json]
) -> Vote:
    """A judgement of a message, as the message itself or the export of feedback has
    it."""
    told = given.get("rating")
    rating = _number(told) if isinstance(told, str) else number_or_none(told)
    label = None if not rating else "thumbs_up" if rating > 0 else "thumbs_down"
    details = number_or_none(_object(given.get("details")).get("rating"))
    known = ["comment", "reason", *(["rating"] if rating is not None else [])]
    metadata = {k: v for k, v in given.items() if k not in known and v is not None}
    if details is not None:
        metadata["scale"] = [1, 10]
    return Vote(
        feedback_id,
        message_id,
        label=label,
        score=details,
        rater=talk.user_id,
        reason=talk.text("feedback.reason", given.get("reason")),
        content=talk.text("feedback.comment", given.get("comment")),
        metadata=metadata,
    )


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None


def _object(value: Json) -> JsonObject:
    return value if isinstance(value, dict) else {}
