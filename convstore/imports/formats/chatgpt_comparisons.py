"""`model_comparisons.json` of ChatGPT: two answers to one question, and the better one.

Each is a conversation of its own: what was asked before, and the answers as siblings
with a choice between them. Exports leave out the texts of some.
"""

from __future__ import annotations

from collections.abc import Callable

from convstore.imports.extras import derived_id
from convstore.imports.fields import id_or_none, need_object, rest_of, time_or_none
from convstore.imports.model import ImportedSession
from convstore.imports.talk import Said, Talk, Vote
from convstore.vocabulary.records import Json, JsonObject

FILE = "model_comparisons.json"
_BETTER = {"new": 1, "better": 1, "original": 0, "worse": 0}
_TIES = ("same", "tie", "equal")
_TURNS = ("original_turn", "new_turn")
_STEPS = ("feedback_step_1", "feedback_step_2")

ReadMessage = Callable[[Talk, str, JsonObject], Said | None]


def parse_comparison(record: Json, read: ReadMessage, name: str) -> ImportedSession:
    """The conversation of one comparison; `read` makes a step of a message.

    Raises:
        InvalidInputError: It is no object.
    """
    given = need_object("record", record)
    asked = _object(_object(given.get("input")).get("prompt_convo"))
    found = id_or_none(given, "id")
    talk = Talk(name, f"comparison:{found}" if found else derived_id(name, given))
    talk.title = asked.get("title")
    talk.created_at = talk.time(
        "created_at", given.get("create_time") or asked.get("create_time")
    )
    output = _object(given.get("output"))
    talk.metadata = {
        "comparison": {k: v for k, v in output.items() if k not in _STEPS},
        "metadata": given.get("metadata"),
    }
    talk.keep_rest(given, "id", "create_time", "input", "output", "metadata")
    talk.keep_rest(_object(given.get("input")), "prompt_convo", under="input")
    talk.keep_rest(asked, "title", "create_time", "messages", under="prompt_convo")
    last = _say(talk, read, asked.get("messages"), "q", None)
    for number, step in enumerate(_STEPS, 1):
        fields = _object(output.get(step))
        if fields:
            talk.keep_rest(fields, *_TURNS, under=step)
            _compare(talk, read, fields, f"{number}", last)
    return talk.session()


def _compare(
    talk: Talk, read: ReadMessage, fields: JsonObject, number: str, asked: str | None
) -> None:
    ends = []
    for name in _TURNS:
        end = _say(talk, read, fields.get(name), f"{number}:{name}", asked)
        ends.append(None if end == asked else end)
    original, new = ends
    if original is None or new is None:
        talk.drop("comparison_without_its_answers")
        return
    word = _rating(fields)
    if word not in _BETTER and word not in _TIES:
        talk.drop("comparison_without_a_choice")
        return
    offered = (original, new)
    chosen = None if word in _TIES else offered[_BETTER[word]]
    talk.vote(
        Vote(
            id=f"choose:{number}",
            on=None,
            action="choose",
            chosen=chosen,
            rejected=tuple(end for end in offered if end != chosen),
            at=time_or_none(fields.get("feedback_start_time")),
        )
    )


def _say(
    talk: Talk, read: ReadMessage, messages: Json, prefix: str, parent: str | None
) -> str | None:
    """Say messages one after the other; the last one's id, or the parent's."""
    for place, message in enumerate(messages if isinstance(messages, list) else ()):
        node = given = _object(message)
        inner = given.get("message")
        given = inner if isinstance(inner, dict) else given
        message_id = id_or_none(given, "id") or f"{prefix}:{place}"
        said = read(talk, message_id, given)
        if said is None:
            continue
        rest = rest_of(node, "id", "parent", "children", "message")
        if rest and node is not given:
            said.metadata["node"] = rest
        said.parent = parent
        talk.say(said)
        parent = said.id
    return parent


def _rating(fields: JsonObject) -> str:
    for key in ("completion_comparison_rating", "rating", "preference"):
        if isinstance(fields.get(key), str):
            return str(fields[key]).lower()
    return ""


def _object(value: Json) -> JsonObject:
    return value if isinstance(value, dict) else {}
