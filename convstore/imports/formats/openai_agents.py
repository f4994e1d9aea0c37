"""`openai-agents`: sessions of the OpenAI Agents SDK, in its SQLite files.

Each row is an item. The advanced session keeps branches beside them, each with all its
messages in order, those that it shares with another again. Rows that were encrypted
are refused by name. A file of items, one list a conversation, is read too.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping

from convstore.imports.fields import need_object, rest_of, time_or_none
from convstore.imports.lists import Listed, conversations_of, id_of, tell_around
from convstore.imports.material import Found, Material, Row, Tables, Value
from convstore.imports.model import ImportedSession
from convstore.imports.openai_items import Item, is_item, steps_of_items
from convstore.imports.rowsets import (
    bounded,
    by_key,
    joined,
    made,
    other_columns,
    table_with,
)
from convstore.imports.talk import Said, Talk
from convstore.vocabulary.errors import InvalidInputError
from convstore.vocabulary.records import Json

NAME = "openai-agents"
_MAIN = "main"
_READ = ("id", "session_id", "message_data", "created_at")
_BESIDE = {
    "message_structure": (
        "id", "session_id", "message_id", "branch_id", "message_type",
        "sequence_number", "user_turn_number", "branch_turn_number", "tool_name",
        "created_at",
    )
}  # fmt: skip
"""What says of each message where it stands, and again what it is."""
_READ_OF_USAGE = (
    "id", "session_id", "branch_id", "user_turn_number", "created_at", "input_tokens",
    "output_tokens", "total_tokens",
)  # fmt: skip


def read(material: Material) -> Iterator[Found]:
    """All sessions of the file, those without messages too."""
    tables = material.tables
    if tables is None:
        yield from conversations_of(material, is_item, _of_list)
        return
    messages = table_with(tables, "session_id message_data")
    if messages is None:
        return
    yield from other_columns(tables, _BESIDE)
    owner = table_with(tables, "session_id created_at updated_at") or ""
    groups = by_key(tables, messages, ["session_id"], ["id"])
    branches = _branches(tables)
    usage = _usage(tables)
    sessions = tables.rows(owner, order=["session_id"])
    found = enumerate(joined(sessions, ["session_id"], groups), 1)
    for number, ((key, *_), row, rows) in found:
        yield made(
            number,
            lambda key=key, row=row, rows=rows: _session(  # type: ignore[misc]
                material, str(key), row, rows, branches, usage
            ),
        )


def _of_list(listed: Listed) -> ImportedSession:
    talk = Talk(NAME, listed.session_id(NAME))
    tell_around(talk, listed)
    items = [
        Item(id_of(value, number), need_object("item", value))
        for number, value in enumerate(listed.values, 1)
    ]
    _say(talk, steps_of_items(talk, items), None, set())
    return talk.session()


_Branches = dict[str, dict[str, list[tuple[int, int]]]]


def _branches(tables: Tables) -> _Branches:
    """Of each session the branches, with the messages of each and their question."""
    found: _Branches = defaultdict(lambda: defaultdict(list))
    for row in tables.rows(
        "message_structure", order=["session_id", "sequence_number"]
    ):
        message, number = row.get("message_id"), row.get("user_turn_number")
        if isinstance(message, int):
            asked = number if isinstance(number, int) else 0
            branch = str(row.get("branch_id"))
            found[str(row.get("session_id"))][branch].append((message, asked))
    return found


def _usage(tables: Tables) -> dict[tuple[str, str, int], Row]:
    return {
        (str(row["session_id"]), str(row["branch_id"]), turn): row
        for row in tables.rows("turn_usage")
        if isinstance(turn := row.get("user_turn_number"), int)
        and {"session_id", "branch_id"} <= row.keys()
    }


def _session(
    material: Material,
    session_id: str,
    owner: Row | None,
    rows: Iterator[Row],
    branches: _Branches,
    usage: dict[tuple[str, str, int], Row],
) -> ImportedSession:
    talk = Talk(NAME, session_id)
    talk.created_at = talk.time("created_at", (owner or {}).get("created_at"))
    talk.keep_rest(owner or {}, "session_id", "created_at", "updated_at")
    items = {
        row.get("id"): Item(
            str(row.get("id")),
            _item(material, row),
            time_or_none(row.get("created_at")),
            beside={"rows": rest} if (rest := talk.rest(row, *_READ)) else {},
        )
        for row in bounded(rows)
    }
    ways = branches.get(session_id) or {_MAIN: [(key, 0) for key in items]}  # type: ignore[misc]
    known: set[str] = set()
    for branch, way in ways.items():
        asked = {str(message): number for message, number in way}
        line = [items[message] for message, _ in way if message in items]
        steps = steps_of_items(talk, line)
        for step in steps:
            row = usage.get((session_id, branch, asked.get(step.id, 0)))
            if row is not None and step.id not in known and step.role == "assistant":
                _spend(row, step)
        _say(talk, steps, None, known)
    _once(talk, items, ways)
    return talk.session()


def _spend(row: Row, step: Said) -> None:
    given, used = row.get("input_tokens"), row.get("output_tokens")
    step.tokens_in = given if isinstance(given, int) else None
    step.tokens_out = used if isinstance(used, int) else None
    if rest := rest_of(row, *_READ_OF_USAGE):
        step.metadata["usage"] = rest
    # What a question cost is told once, on the first step of its answer.
    row["input_tokens"] = row["output_tokens"] = None


def _once(
    talk: Talk, items: Mapping[Value, Item], ways: dict[str, list[tuple[int, int]]]
) -> None:
    named = {message for way in ways.values() for message, _ in way}
    talk.drop("message_of_no_branch", len(items.keys() - named))


def _say(talk: Talk, steps: list[Said], parent: str | None, known: set[str]) -> None:
    for step in steps:
        step.parent, parent = parent, step.id
        if step.id not in known:
            known.add(step.id)
            talk.say(step)


def _item(material: Material, row: Row) -> dict[str, Json]:
    value = material.decoded(row.get("message_data"), field="message_data")
    item = need_object("message_data", value)
    if "__enc__" in item:
        raise InvalidInputError("message_data", "is encrypted: export it decrypted")
    return item
