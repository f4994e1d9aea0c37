"""Takes words out of the index, by making them again, as they were put in.

Whoever puts words in or takes them out holds the session's row of `search_sessions`,
which says how much of the session is in the index: so nothing comes in twice, and
nothing after it was taken out.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any, NamedTuple

from sqlalchemy import Connection, Select, bindparam, delete, select

from convstore.db import models, search_contents, search_marks
from convstore.db.dialects import dialect_of
from convstore.db.dialects.base import Dialect
from convstore.db.dialects.words import WordRow
from convstore.db.search_contents import MOST_TURNS, Content, Said
from convstore.db.session_ids import KEY, about_keys, of_sessions, same_session
from convstore.db.session_locks import Key
from convstore.db.statements import BOUND, Prepared
from convstore.search import contents, words
from convstore.search.scope import scope_words

E = models.search_entries.c
X = models.search_sessions.c


class Held(NamedTuple):
    """A row of `search_sessions`."""

    tenant_id: str
    session_id: str
    user_id: str | None
    turn_count: int
    interaction_count: int
    title_words: str | None


def forget(
    connection: Connection,
    keys: Collection[Key],
    given: Mapping[Key, Content] | None = None,
) -> int:
    """Take everything of sessions out of the index, before their rows go; how many
    entries there were.

    `given` is the content of those without rows. If the words of something cannot be
    told, the entry goes all the same, and the index is to be made anew.
    """
    if not keys or search_marks.rules(connection) is None:
        return 0
    held = hold(connection, sorted(keys))
    gone = take_out(connection, held, given or {})
    about = about_keys(sorted(keys))
    for table in (models.search_sessions, models.search_marks):
        connection.execute(
            delete(table).where(of_sessions(dialect_of(connection), table)), about
        )
    return gone


def entry_keys(connection: Connection, keys: Collection[Key]) -> set[Key]:
    """Those of which words must be told again to be taken out."""
    if not keys or not dialect_of(connection).words.forgets_by_words:
        return set()
    rows = _ENTRIES.all(connection, about_keys(sorted(keys)))
    return {(row[1], row[2]) for row in rows}


def word_row(
    number: int, key: Key, user_id: str | None, said: Said, title: str | None = None
) -> WordRow:
    """The words of an entry: the same whenever they are made."""
    if title is not None:
        found, cut = title.split(), False
    else:
        text = contents.to_index(said.text or "")
        found, cut = text.words, text.cut
    scope = scope_words(*key, user_id, said.sort, cut=cut)
    return WordRow(number, *key, said.kind, said.seq, scope, found)


def take_out(
    connection: Connection,
    held: Mapping[Key, Held],
    given: Mapping[Key, Content],
    *,
    kinds: Sequence[str] = ("title", "turn", "comment"),
) -> int:
    """Take entries of sessions out, with their words."""
    if not held:
        return 0
    index = dialect_of(connection).words
    found = _ENTRIES.all(connection, about_keys(sorted(held)))
    entries = [row for row in found if row[3] in kinds]
    if index.forgets_by_words and entries:
        told = _words_again(connection, held, given, entries)
        index.take_out(connection, [row for row in told if row is not None])
        if None in told:
            search_marks.spoil(connection)
    numbers = [{"id": row[0], "tenant_id": row[1]} for row in entries]
    if numbers:
        _REMOVE.many(connection, numbers)
    return len(numbers)


def _words_again(
    connection: Connection,
    held: Mapping[Key, Held],
    given: Mapping[Key, Content],
    entries: Sequence[Sequence[Any]],
) -> list[WordRow | None]:
    """The words of entries as they were put in; None where that cannot be told."""
    usable = search_marks.rules(connection) == words.VERSION
    keys = {(row[1], row[2]) for row in entries}
    texts = {key: given[key].texts() for key in keys if key in given}
    for key in sorted(keys - texts.keys()):
        if any(row[3] != "title" for row in entries if (row[1], row[2]) == key):
            texts[key] = _all_rows(connection, key)
    told: list[WordRow | None] = []
    for number, tenant, session, kind, seq in entries:
        of, key = held[tenant, session], (tenant, session)
        said = texts.get(key, {}).get((kind, seq))
        if not usable:
            told.append(None)
        elif kind == "title":
            title = Said("title", 0, 0, "title", None)
            told.append(word_row(number, key, of.user_id, title, of.title_words or ""))
        elif said is None or said.text is None:
            told.append(None)
        else:
            told.append(word_row(number, key, of.user_id, said))
    return told


def _all_rows(connection: Connection, key: Key) -> dict[tuple[str, int], Said]:
    texts: dict[tuple[str, int], Said] = {}
    turn = act = 0
    while True:
        some = search_contents.of_rows(connection, {key: (turn, act)}, MOST_TURNS)[key]
        texts |= some.texts()
        if some.whole:
            return texts
        turn = some.turns[-1].seq if some.turns else turn
        act = some.comments[-1].seq if some.comments else act


def hold(connection: Connection, keys: Sequence[Key]) -> dict[Key, Held]:
    """Hold how much of sessions is in the index, until the transaction ends."""
    found: dict[Key, Held] = {}
    while missing := [key for key in keys if key not in found]:
        rows = [Held(*key, None, 0, 0, None)._asdict() for key in missing]
        _MAKE.many(connection, rows)
        # A row that was in the way may be gone before it is locked here: who takes a
        # session out of the index deletes it. Then there is room to make it.
        held = [Held(*row) for row in _HOLD.all(connection, about_keys(missing))]
        found |= {(each.tenant_id, each.session_id): each for each in held}
    return found


def of_bound_rows(dialect: Dialect, columns: Any, names: Sequence[str]) -> Select[Any]:
    """Columns of a table for the sessions that `about_keys` names."""
    bound = dialect.bound_rows(*KEY)
    given = [columns[name] for name in names]
    return select(*given).select_from(
        bound.join(given[0].table, same_session(columns, bound.c))
    )


def _held_rows(dialect: Dialect) -> Select[Any]:
    table = models.search_sessions
    return dialect.locked(of_bound_rows(dialect, X, Held._fields), table)


_MAKE = Prepared(lambda dialect: dialect.insert_ignore(models.search_sessions))
_HOLD = Prepared(_held_rows)
_ENTRIES = Prepared(
    lambda dialect: of_bound_rows(
        dialect, E, ("id", "tenant_id", "session_id", "kind", "seq")
    )
)
_REMOVE = Prepared(
    lambda _: delete(models.search_entries).where(
        E.id == bindparam(BOUND + "id"), E.tenant_id == bindparam(BOUND + "tenant_id")
    )
)
