"""`alpaca`: `instruction`, `input` and `output`, with `history` and `system` if any.

A list of outputs is a ranking, best first: the answers become branches of one turn with
`rank` interactions between them, and the best is the active one.
"""

from __future__ import annotations

from dataclasses import replace

from convstore.imports.extras import build_session, external_id
from convstore.imports.fields import kind_of, need_list, need_object, need_text
from convstore.imports.labels import labels_of
from convstore.imports.model import ImportedSession
from convstore.imports.ranking import ranking
from convstore.vocabulary.errors import InvalidInputError
from convstore.vocabulary.records import Json, JsonObject, TurnInput

NAME = "alpaca"
_OPTIONAL = ("system", "history", "input")


def parse(record: Json) -> ImportedSession:
    """The session of one record; an `input` follows its instruction on a new line.

    Raises:
        InvalidInputError: No instruction or output, or a history that is not a list of
            question and answer; names the field.
    """
    fields = need_object("record", record)
    said = _prompt(fields)
    output = fields.get("output")
    answers = need_list("output", output) if isinstance(output, list) else [output]
    fork = len(said)
    for place, answer in enumerate(answers):
        field = f"output[{place}]" if isinstance(output, list) else "output"
        said.append(("assistant", need_text(field, answer)))
    turns = [
        TurnInput(role, content, external_id=external_id(seq))
        for seq, (role, content) in enumerate(said, 1)
    ]
    turns[fork + 1 :] = [replace(turn, parent_seq=fork) for turn in turns[fork + 1 :]]
    ranked = isinstance(output, list)
    # The answers of a ranking are judged by it.
    acts = ranking([fork + n + 1 for n in range(len(answers))])
    judged = tuple(acts) if ranked else tuple(labels_of(fields, turns))
    return build_session(
        NAME,
        fields,
        tuple(turns),
        taken=frozenset({"instruction", "output", *_given(fields)}),
        notes=_notes(fields, fork, ranked=ranked),
        interactions=judged,
        head_seq=fork + 1 if len(answers) > 1 else None,
    )


def _given(record: JsonObject) -> list[str]:
    """The optional fields that are there and not null; the others stay as they are."""
    return [key for key in _OPTIONAL if record.get(key) is not None]


def _notes(record: JsonObject, fork: int, *, ranked: bool) -> JsonObject:
    notes: JsonObject = {"prompt": fork, "given": _given(record)}
    if record.get("input"):
        notes["instruction_chars"] = len(record["instruction"])
    if ranked:
        notes["ranked"] = True
    return notes


def _prompt(record: JsonObject) -> list[tuple[str, str]]:
    said: list[tuple[str, str]] = []
    if record.get("system") is not None:
        said.append(("system", need_text("system", record["system"])))
    history = record.get("history") or []
    if not isinstance(history, list):
        raise InvalidInputError("history", f"must be a list, not {kind_of(history)}")
    for place, pair in enumerate(history):
        field = f"history[{place}]"
        if len(need_list(field, pair)) != 2:
            raise InvalidInputError(field, "must have a question and an answer")
        said.append(("user", need_text(f"{field}[0]", pair[0])))
        said.append(("assistant", need_text(f"{field}[1]", pair[1])))
    question = need_text("instruction", record.get("instruction"))
    more = record.get("input")
    if more is not None and need_text("input", more):
        question = f"{question}\n{more}"
    said.append(("user", question))
    return said
