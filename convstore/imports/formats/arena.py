"""`arena`: rows of LMSYS's arena: one question, two models, and who won."""

from __future__ import annotations

from collections.abc import Iterator

from convstore.imports.chat_messages import said_of_chat
from convstore.imports.extras import derived_id
from convstore.imports.fields import (
    id_or_none,
    need_list,
    need_object,
    text_or_none,
    time_or_none,
)
from convstore.imports.material import Found, Material
from convstore.imports.model import ImportedSession
from convstore.imports.reader import each_record
from convstore.imports.talk import Talk, Vote
from convstore.vocabulary.records import Json, JsonObject

NAME = "arena"
_TALKS = ("conversation_a", "conversation_b")


def read(material: Material) -> Iterator[Found]:
    """All rows."""
    yield from each_record(material, material.names, parse)


def parse(record: Json) -> ImportedSession:
    """The session of one row: what both talks begin with, then a branch for each.

    Raises:
        InvalidInputError: A talk is missing, or no list of messages.
    """
    row = need_object("record", record)
    talks = {key: need_list(key, row.get(key)) for key in _TALKS}
    talk = Talk(NAME, id_or_none(row, "question_id") or derived_id(NAME, row))
    talk.created_at = talk.time("created_at", row.get("tstamp"))
    talk.language = talk.text("language", row.get("language"))
    taken = {*_TALKS, "question_id", "winner", "judge", "tstamp", "language"}
    talk.metadata = {k: v for k, v in row.items() if k not in taken and v is not None}
    shared = _shared(*talks.values())
    last = {}
    for side, (key, messages) in zip("ab", talks.items(), strict=True):
        parent: str | None = None
        for number, message in enumerate(messages, 1):
            given = need_object(f"{key}[{number - 1}]", message)
            name = f"{number}" if number <= shared else f"{side}{number}"
            if number > shared or side == "a":
                said = said_of_chat(talk, given, name)
                said.parent = parent
                if said.role == "assistant":
                    said.model = text_or_none(row.get(f"model_{side}"))
                talk.say(said)
            parent = name
        last[side] = parent
    _judge(talk, row, str(last["a"]), str(last["b"]))
    return talk.session()


def _shared(first: list[Json], second: list[Json]) -> int:
    """How many messages both begin with, before the first answer."""
    count = 0
    for one, other in zip(first, second, strict=False):
        if one != other or not isinstance(one, dict) or one.get("role") == "assistant":
            break
        count += 1
    return count


def _judge(talk: Talk, row: JsonObject, last_a: str, last_b: str) -> None:
    winner = talk.text("winner", row.get("winner")) or ""
    judge, at = talk.text("judge", row.get("judge")), time_or_none(row.get("tstamp"))
    word = winner.lower().replace("_", "")
    bad = "bothbad" in word
    sides: dict[str, tuple[str | None, tuple[str, ...]]] = {
        "model_a": (last_a, (last_b,)),
        "model_b": (last_b, (last_a,)),
    }
    # Of none of the two: a tie.
    chosen, rejected = sides.get(winner, (None, (last_a, last_b)))
    understood = chosen is not None or bad or "tie" in word
    if not understood or (chosen is not None and last_a == last_b):
        talk.drop("winner", bool(winner))
        return
    if last_a != last_b:
        vote = Vote("winner", None, rater=judge, at=at, action="choose")
        vote.chosen, vote.rejected = chosen, rejected
        talk.vote(vote)
    for name in (last_a, last_b) if bad else ():
        talk.vote(Vote(f"bad:{name}", name, "thumbs_down", rater=judge, at=at))
