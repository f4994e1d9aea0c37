"""Puts what was said into the index of words; see `search_removal` for the way out."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from sqlalchemy import Connection, bindparam, delete

from convstore.db import models, search_contents, search_marks
from convstore.db.dialects import dialect_of
from convstore.db.search_contents import MOST_TURNS, Content, Said
from convstore.db.search_marks import Mark
from convstore.db.search_numbers import free_numbers
from convstore.db.search_removal import (
    Held,
    forget,
    hold,
    of_bound_rows,
    take_out,
    word_row,
)
from convstore.db.session_ids import about_keys
from convstore.db.session_locks import Key
from convstore.db.statements import BOUND, Prepared
from convstore.search import contents, words

S = models.sessions.c
X = models.search_sessions.c
_KEY = ("tenant_id", "session_id")

MOST_MARKS = 200


class _Head(NamedTuple):
    """What the index must know of a session's row."""

    tenant_id: str
    session_id: str
    state: str
    user_id: str | None
    title: str | None
    turn_count: int
    interaction_count: int
    created_at: int


@dataclass(slots=True)
class Indexed:
    """What a batch did.

    `archived` are sessions whose content lies in the archive, by now or all along, to
    be given to the next call; `unfinished` have more than one batch. `last` is behind
    what marks are to be looked at next, if there may be `more`.
    """

    entries: int = 0
    archived: list[Key] = field(default_factory=list)
    unfinished: set[Key] = field(default_factory=set)
    last: Key | None = None
    more: bool = False


@dataclass(slots=True)
class _Entry:
    """An entry to be added, before it has a number."""

    key: Key
    user_id: str | None
    said: Said


def index_marked(
    connection: Connection, tenant: str | None, after: Key | None
) -> Indexed:
    """Index what the next marks are for, of a tenant or of all."""
    marks = search_marks.some(connection, tenant, after, MOST_MARKS)
    keys = list(dict.fromkeys(mark[:2] for mark in marks))
    if len(marks) == MOST_MARKS and len(keys) > 1:
        keys.pop()  # its marks may go on
        marks = [mark for mark in marks if mark[:2] != marks[-1][:2]]
    done = index(connection, keys, marks)
    done.more = bool(keys)
    first = min(done.unfinished, default=None)
    behind = [key for key in keys if first is None or key < first]
    done.last = behind[-1] if behind else after
    return done


def index(
    connection: Connection,
    keys: Collection[Key],
    marks: Sequence[Mark] = (),
    given: Mapping[Key, Content] | None = None,
) -> Indexed:
    """Index what the index lacks of sessions, and take their marks away, of those of
    which it has everything then. `given` is the content of archived ones."""
    if not keys:
        return Indexed()
    work = _Work(connection, sorted(keys), given or {})
    work.find_out()
    work.gather()
    entries = work.write()
    open_ = set(work.archived) | work.unfinished
    search_marks.remove(connection, [m for m in marks if m[:2] not in open_])
    return Indexed(entries, work.archived, work.unfinished)


def index_now(connection: Connection, marks: Sequence[Mark]) -> None:
    """Index sessions in the commit that changes them; what is too much for one batch,
    or cannot be done now, is marked."""
    if search_marks.rules(connection) != words.VERSION:
        search_marks.add(connection, marks)
        return
    work = _Work(connection, sorted({mark[:2] for mark in marks}), {})
    work.find_out()
    work.gather()
    work.write()
    left = work.unfinished.union(work.archived)
    search_marks.add(connection, [mark for mark in marks if mark[:2] in left])


def start_anew(connection: Connection) -> None:
    """Empty the index; everything is indexed again by and by."""
    dialect_of(connection).words.clear(connection)
    connection.execute(delete(models.search_entries))
    connection.execute(delete(models.search_sessions))
    search_marks.set_rules(connection)


class _Work:
    """One batch."""

    def __init__(
        self, connection: Connection, keys: list[Key], given: Mapping[Key, Content]
    ) -> None:
        self.connection = connection
        self.keys = keys
        self.given = given
        self.archived: list[Key] = []
        self.unfinished: set[Key] = set()
        self._held = hold(connection, keys)
        self._heads: dict[Key, _Head] = {}
        self._entries: list[_Entry] = []
        self._changed: dict[Key, Held] = {}

    def find_out(self) -> None:
        """What became of the sessions, read after their rows are held."""
        found = _HEADS.all(self.connection, about_keys(self.keys))
        heads = [_Head(*row) for row in found]
        listed = {h[:2]: h for h in heads if h.state in ("active", "archived")}
        gone = [key for key in self.keys if key not in listed]
        if gone:
            forget(self.connection, gone)
        self._heads = listed
        self._renew()

    def _renew(self) -> None:
        """Take sessions out that have another owner than the index knows."""
        moved = {
            key: self._held[key]
            for key, head in self._heads.items()
            if head.user_id != self._held[key].user_id
        }
        filled = {key for key, held in moved.items() if _is_filled(held)}
        away = {
            key
            for key in filled
            if self._heads[key].state == "archived" and key not in self.given
        }
        if away and dialect_of(self.connection).words.forgets_by_words:
            self.archived += sorted(away)
            for key in away:
                del moved[key], self._heads[key]
        take_out(self.connection, {k: moved[k] for k in moved if k in filled},
                  self.given)  # fmt: skip
        for key in moved:
            owner = self._heads[key].user_id
            self._held[key] = self._changed[key] = Held(*key, owner, 0, 0, None)

    def gather(self) -> None:
        """The entries that are missing."""
        lacking = {
            key: (held.turn_count, held.interaction_count)
            for key, head in self._heads.items()
            if (held := self._held[key]).turn_count < head.turn_count
            or held.interaction_count < head.interaction_count
        }
        live = {k: v for k, v in lacking.items() if self._heads[k].state == "active"}
        content = search_contents.of_rows(self.connection, live, MOST_TURNS)
        self.unfinished |= live.keys() - content.keys()
        for key in lacking.keys() - live.keys():
            if key in self.given:
                content[key] = self.given[key]
            else:
                self.archived.append(key)
        for key, found in content.items():
            self._add(key, found)
        self._add_titles(content)

    def _add(self, key: Key, found: Content) -> None:
        head, held = self._heads[key], self._held[key]
        turns = [said for said in found.turns if said.seq > held.turn_count]
        acts = [said for said in found.comments if said.seq > held.interaction_count]
        for said in (*turns, *acts):
            if said.text is not None:
                self._entries.append(_Entry(key, head.user_id, said))
        last_turn = turns[-1].seq if turns else held.turn_count
        last_act = acts[-1].seq if acts else held.interaction_count
        if not found.whole:
            self.unfinished.add(key)
        elif last_turn < head.turn_count or last_act < head.interaction_count:
            # Its rows went to the archive after its head was read, or the document
            # that was given is one of before: counts are also the highest numbers.
            self.archived.append(key)
        self._held[key] = self._changed[key] = held._replace(
            turn_count=last_turn, interaction_count=last_act
        )

    def _add_titles(self, content: Mapping[Key, Content]) -> None:
        """Titles that were set, in place of those of before."""
        titled = {k: h for k, h in self._heads.items() if h.title is not None}
        live = [k for k, h in titled.items() if h.state == "active"]
        firsts = search_contents.first_said(self.connection, live) if live else {}
        # Archived since: what was said first is told by the document alone.
        away = set(live).difference(firsts, self.archived)
        self.archived += sorted(away)
        for key, head in self._heads.items():
            if key in self.archived or (
                head.state == "archived" and key not in content
            ):
                continue
            first = firsts.get(key)
            if head.state == "archived":
                first = content[key].first_said
            title = contents.own_title(head.title, first)
            told = None if title is None else " ".join(words.words_of(title))
            held = self._held[key]
            if told == held.title_words:
                continue
            if held.title_words is not None:
                take_out(self.connection, {key: held}, {}, kinds=("title",))
            if title is not None:
                said = Said("title", 0, head.created_at, "title", title)
                self._entries.append(_Entry(key, head.user_id, said))
            self._held[key] = self._changed[key] = held._replace(title_words=told)

    def write(self) -> int:
        """Number the entries by time, and write them."""
        order = sorted(
            self._entries, key=lambda e: (e.said.at, e.key, e.said.kind, e.said.seq)
        )
        left = order
        while left:
            numbers = free_numbers(self.connection, [entry.said.at for entry in left])
            rows = [
                word_row(number, e.key, e.user_id, e.said)
                for number, e in zip(numbers, left, strict=True)
            ]
            taken = dialect_of(self.connection).words.add(self.connection, rows)
            again = {row.id for row in taken}
            left = [e for e, row in zip(left, rows, strict=True) if row.id in again]
        if self._changed:
            changed = [held._asdict() for held in self._changed.values()]
            _KEEP.many(self.connection, changed)
        return len(order)


def _is_filled(held: Held) -> bool:
    counts = held.turn_count or held.interaction_count
    return bool(counts) or held.title_words is not None


_HEADS = Prepared(lambda dialect: of_bound_rows(dialect, S, _Head._fields))
_KEEP = Prepared(
    lambda _: (
        models.search_sessions.update()
        .where(*(X[name] == bindparam(BOUND + name) for name in _KEY))
        .values({name: bindparam(BOUND + name) for name in Held._fields[2:]})
    )
)
