"""`oasst`: message trees of Open Assistant, nested (one tree a record) or flat.

Flat rows, one message each, must have the rows of a tree next to each other; the
reader groups them by `message_tree_id`. A message becomes a turn with its id as the
external id; ranks, labels and reactions become interactions.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TypeAlias

from convstore.imports.chat import role_of
from convstore.imports.extras import derived_id, keep
from convstore.imports.fields import (
    id_or_none,
    kind_of,
    language_or_none,
    need_list,
    need_object,
    need_text,
    text_or_none,
    time_or_none,
)
from convstore.imports.formats.oasst_judgements import best_first, judgements
from convstore.imports.model import ImportedSession
from convstore.vocabulary.errors import InvalidInputError
from convstore.vocabulary.records import Json, JsonObject, TurnInput

NAME = "oasst"
_USUAL = {"user": "prompter"}
_Node: TypeAlias = tuple[str, JsonObject, int | None]
"""Where a message stands in the record, the message, and its parent's `seq`."""


def group_key(record: Json) -> str | None:
    """What rows of one tree share; None for a record that is a tree by itself."""
    if isinstance(record, dict) and "prompt" not in record:
        return text_or_none(record.get("message_tree_id"))
    return None


def parse(record: Json) -> ImportedSession:
    """The session of one tree: an object with `prompt`, or the list of its flat rows.

    A row whose parent is not among them begins a first turn of its own. The active
    branch is the one with the best rank at every fork, the first where none is given.

    Raises:
        InvalidInputError: No tree, a message without text or role, two messages with
            one id; names the field.
    """
    flat = isinstance(record, list)
    if flat:
        rows = need_list("record", record)
        nodes, tree, left_over = _flat(rows), rows[0], {}
    else:
        tree = need_object("record", record)
        nodes = _nested(tree)
        left_over = {key: value for key, value in tree.items() if key != "prompt"}
    known = list(nodes)
    _check_ids(known)
    turns = tuple(
        _turn(field, message, parent, seq, nested=not flat)
        for seq, (field, message, parent) in enumerate(known, 1)
    )
    root = known[0][1]
    notes = {"format": NAME, **({"flat": True} if flat else {})}
    messages = [message for _, message, _ in known]
    parents = [parent for _, _, parent in known]
    return ImportedSession(
        session_id=id_or_none(tree, "message_tree_id") or derived_id(NAME, record),
        turns=turns,
        user_id=id_or_none(root, "user_id"),
        language=language_or_none(root.get("lang")),
        metadata=keep(left_over, notes),
        created_at=time_or_none(root.get("created_date")),
        interactions=judgements(messages, parents),
        head_seq=best_first(messages, parents),
        left_out=tuple(_cut(messages)) if flat else (),
    )


def _cut(messages: list[JsonObject]) -> Iterator[str]:
    """Of each row whose parent did not come before it why that is not in the tree."""
    parents = {each["message_id"]: each.get("parent_id") for each in messages}
    seen: set[Json] = set()
    for message in messages:
        parent = message.get("parent_id")
        if isinstance(parent, str) and parent not in seen:
            yield _why_cut(parents, message["message_id"], parent)
        seen.add(message["message_id"])


def _why_cut(parents: dict[str, Json], message_id: str, parent: Json) -> str:
    if parent not in parents:
        return "parent_absent"
    # As many steps as there are messages: the way up may end in another loop.
    for _ in parents:
        if parent == message_id:
            return "parent_loop"
        if not isinstance(parent, str) or parent not in parents:
            break
        parent = parents[parent]
    return "parent_later"


def _flat(rows: list[Json]) -> Iterator[_Node]:
    places: dict[str, int] = {}
    for place, row in enumerate(rows):
        field = f"record[{place}]"
        message = need_object(field, row)
        parent = message.get("parent_id")
        yield field, message, places.get(parent) if isinstance(parent, str) else None
        places[need_text(f"{field}.message_id", message.get("message_id"))] = place + 1


def _nested(tree: JsonObject) -> Iterator[_Node]:
    """Each message before its replies; a stack, since trees may be deep."""
    waiting: list[tuple[str, Json, int | None]] = [("prompt", tree.get("prompt"), None)]
    seq = 0
    while waiting:
        field, node, parent = waiting.pop()
        message = need_object(field, node)
        seq += 1
        yield field, message, parent
        replies = message.get("replies", [])
        if not isinstance(replies, list):
            problem = f"must be a list, not {kind_of(replies)}"
            raise InvalidInputError(f"{field}.replies", problem)
        waiting.extend(
            (f"{field}.replies[{place}]", reply, seq)
            for place, reply in reversed(list(enumerate(replies)))
        )


def _check_ids(nodes: list[_Node]) -> None:
    seen: set[str] = set()
    for field, message, _ in nodes:
        message_id = id_or_none(message, "message_id")
        if message_id is None or message_id in seen:
            problem = "is no id" if message_id is None else "repeats an earlier one"
            raise InvalidInputError(f"{field}.message_id", problem)
        seen.add(message_id)


def _turn(
    field: str, message: JsonObject, parent: int | None, seq: int, *, nested: bool
) -> TurnInput:
    left_over = dict(message)
    given = left_over.pop("role", None)
    role, _ = role_of(f"{field}.role", given)
    notes: JsonObject = {} if given == _USUAL.get(role, role) else {"role": given}
    if nested and "replies" in left_over:
        # The tree is in the turns' parents.
        del left_over["replies"]
        notes["replies"] = True
    follows = parent == seq - 1 if parent else seq == 1
    return TurnInput(
        role=role,
        content=need_text(f"{field}.text", left_over.pop("text", None)),
        model=text_or_none(message.get("model_name")),
        language=language_or_none(message.get("lang")),
        metadata=keep(left_over, notes),
        external_id=message["message_id"],
        parent_seq=None if follows else parent or 0,
        created_at=time_or_none(message.get("created_date")),
    )
