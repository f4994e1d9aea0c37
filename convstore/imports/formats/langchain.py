"""`langchain`: message histories of LangChain: its SQL table, and files of messages."""

from __future__ import annotations

from collections.abc import Iterator

from convstore.imports.fields import TIME_KEYS, first_time, need_object, text_or_none
from convstore.imports.langchain_messages import is_message, said_of
from convstore.imports.lists import Listed, conversations_of, id_of, tell_around
from convstore.imports.material import Found, Material, Row
from convstore.imports.model import ImportedSession
from convstore.imports.rowsets import bounded, by_key, made, table_with
from convstore.imports.talk import Talk
from convstore.messages.langchain_messages import plain
from convstore.vocabulary.records import Json

NAME = "langchain"


def read(material: Material) -> Iterator[Found]:
    """All histories of the table or the files."""
    tables = material.tables
    if tables is None:
        yield from conversations_of(material, is_message, _of_list)
        return
    table = table_with(tables, "session_id message")
    if table is None:
        return
    groups = by_key(tables, table, ["session_id"], ["id"])
    for number, ((key,), rows) in enumerate(groups, 1):
        yield made(
            number,
            lambda key=key, rows=rows: _of_rows(material, str(key), rows),  # type: ignore[misc]
        )


def _of_rows(
    material: Material, session_id: str, rows: Iterator[Row]
) -> ImportedSession:
    talk = Talk(NAME, session_id)
    for number, row in enumerate(bounded(rows), 1):
        value = material.decoded(row.get("message"), field="message")
        row_id = str(row.get("id") or number)
        _add(talk, value, _own_id(value) or row_id, row)
    return talk.session()


def _own_id(value: Json) -> str | None:
    found = plain(value)
    return None if found is None else text_or_none(found[1].get("id"))


def _of_list(listed: Listed) -> ImportedSession:
    talk = Talk(NAME, listed.session_id(NAME))
    tell_around(talk, listed)
    for number, value in enumerate(listed.values, 1):
        message = need_object("message", value)
        message_id = _own_id(message) or id_of(message.get("data"), number)
        _add(talk, message, message_id, {})
    return talk.session()


def _add(talk: Talk, value: Json, message_id: str, row: Row) -> None:
    before = talk.last
    said = said_of(talk, value, message_id, first_time(row))
    rest = talk.rest(row, "id", "session_id", "message", *TIME_KEYS)
    said.metadata |= {"row": rest} if rest else {}
    said.parent = before
    talk.say(said)
