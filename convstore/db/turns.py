"""Turns: append, read one, page.

Turns are numbered by the session's `turn_count` under its row lock, so they have no
gap and no order but `seq`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from operator import itemgetter
from typing import Any, NamedTuple

from sqlalchemy import (
    Connection,
    Select,
    and_,
    bindparam,
    select,
)

from convstore.db import attachments, models
from convstore.db.branches import go_on, inherit
from convstore.db.codec.records import TURN_COLUMNS, turn_from_row
from convstore.db.dialects.base import Dialect
from convstore.db.ledger import ChangeLedger
from convstore.db.statements import Prepared
from convstore.db.unit import Head, Key, Row, Unit, check_head
from convstore.messages.attached import hashes_in
from convstore.messages.parts import parts_text
from convstore.messages.titles import title_of
from convstore.vocabulary.codec import decode_json, dumps
from convstore.vocabulary.errors import (
    ConflictError,
    TurnNotFoundError,
)
from convstore.vocabulary.records import Turn

S = models.sessions.c
T = models.turns.c
_values_of = itemgetter(*(column.name for column in TURN_COLUMNS))
_OF_SESSION = (T.tenant_id == bindparam("tenant"), T.session_id == bindparam("id"))


class Appended(NamedTuple):
    """The turns of an append in its order, and which of them were not stored before."""

    turns: list[Turn]
    new: list[bool]


@dataclass(slots=True)
class AppendTurns:
    """Append turns to one session, all or none.

    `rows` hold the content columns as stored, and `parent_seq` as the caller gave it:
    None goes on from the active branch's tip, 0 begins anew, else after that turn. A
    row whose external id is stored already gives that turn back.
    `charge` is what the turns cost: carried out if any of them is new.

    A repeat gives the first result whatever the head is by now. Of a turn that was
    taken off the branch, and whose parent is the tip, it puts it back.
    """

    key: Key
    rows: list[Row]
    tool_sets: dict[str, str]
    size: int
    now: int
    user_id: str | None = None
    charge: ChangeLedger | None = None
    expected_head: int | None = None
    # What is taken out of the rows, which name it.
    kept_apart: list[Row] = field(default_factory=list)

    @property
    def is_plain(self) -> bool:
        """Whether its session's head is all that has to be known to place it."""
        if self.tool_sets or self.charge is not None:
            return False
        for row in self.rows:
            if row["parent_seq"] is not None:
                return False
            if row["parts"] is not None and hashes_in(row["parts"]):
                return False
        return True

    @property
    def names(self) -> set[str]:
        """The hashes of attachments that the rows name."""
        found: set[str] = set()
        for row in self.rows:
            if row["parts"] is not None:
                found.update(hashes_in(row["parts"]))
        return found

    def apply(self, unit: Unit) -> Appended:
        placed, new = self.put(unit)
        return Appended([_record(self.key[1], row) for row in placed], new)

    def put(self, unit: Unit) -> tuple[list[Row], list[bool]]:
        """As `apply`, for whoever wants no records: the rows, and which are new."""
        head = unit.active(self.key, self.user_id)
        look_up_external(unit, [self])
        known = self.check(unit, head)
        if None in known:
            self.keep_named(unit)
        rows = []
        tip = head.row["head_seq"]
        for row, earlier in zip(self.rows, known, strict=True):
            if earlier is None:
                placed = self._place(unit, head, row)
            else:  # stored before this call, or placed by an earlier turn of it
                placed = unit.external[self.key][row["external_id"]] or earlier
                if placed["parent_seq"] == head.row["head_seq"]:
                    head.row["head_seq"] = placed["seq"]
                    go_on(head.row, placed)
            rows.append(placed)
        if head.row["head_seq"] != tip:
            head.touch(self.now)
        if None in known:
            if self.tool_sets:
                self._keep_tools(unit)
            if self.charge is not None:
                self.charge.apply(unit)
        return rows, [earlier is None for earlier in known]

    def keep_named(self, unit: Unit) -> None:
        """Keep what was taken out of the rows; refuse to name what is not kept."""
        if names := self.names:
            if self.kept_apart:
                attachments.keep(unit.connection, self.kept_apart)
            attachments.require(unit.connection, self.key[0], names)

    def check(self, unit: Unit, head: Head) -> list[Row | None]:
        """For each row the one stored before, or None; refuses, and changes nothing."""
        known: list[Row | None] = []
        seq = head.row["turn_count"]
        stored = unit.external.get(self.key, {})
        fresh: dict[str, Row] = {}
        absent: int | None = None
        for row in self.rows:
            external_id = row["external_id"]
            earlier = None
            if external_id is not None:
                earlier = fresh.get(external_id)
                if earlier is None:
                    earlier = stored.get(external_id)
            if earlier is not None:
                check_same(row, earlier)
            else:
                parent = row["parent_seq"]
                if absent is None and parent is not None and not 0 <= parent <= seq:
                    absent = parent
                seq += 1
                if external_id is not None:
                    fresh[external_id] = row
            known.append(earlier)
        if None in known:
            check_head(head, self.expected_head)
        if absent is not None:
            raise TurnNotFoundError(self.key[1], absent)
        return known

    def _place(self, unit: Unit, head: Head, given: Row) -> Row:
        # A copy: the operation may be run again, after a batch that was rolled back.
        row, state = dict(given), head.row
        tip = state["head_seq"]
        parent = row["parent_seq"]
        row["parent_seq"] = parent = tip if parent is None else parent or None
        if parent != tip:
            inherit(unit, self.key, state, parent)
        if parent != (state["turn_count"] or None):
            state["branched"] = True
        row["tenant_id"], row["session_id"] = self.key
        row["seq"] = state["head_seq"] = state["turn_count"] = state["turn_count"] + 1
        unit.add(models.turns, row)
        if row["external_id"] is not None:
            unit.external.setdefault(self.key, {})[row["external_id"]] = row
        go_on(state, row)
        if row["role"] == "user" and state["title"] is None:
            state["title"] = _title(row)
            unit.note_titled(self.key)
        return row

    def _keep_tools(self, unit: Unit) -> None:
        unit.write_new()
        for tools_hash, tools in self.tool_sets.items():
            unit.connection.execute(
                unit.dialect.insert_ignore(models.tool_sets),
                {
                    "tenant_id": self.key[0],
                    "session_id": self.key[1],
                    "tools_hash": tools_hash,
                    "tools": tools,
                },
            )


def _title(row: Row) -> str | None:
    """What a user's turn gives as the title; None where it says nothing to be read."""
    title = title_of(row["content"] or "")
    if title is None and row["parts"] is not None:
        title = title_of(parts_text(decode_json(row["parts"])))
    return title


def look_up_external(unit: Unit, appends: Sequence[AppendTurns]) -> None:
    """Find which external ids are stored already, with one statement for many."""
    wanted = []
    for append in appends:
        for row in append.rows:
            if (name := row["external_id"]) is None:
                continue
            known = unit.external.setdefault(append.key, {})
            if name not in known:
                known[name] = None
                wanted.append((*append.key, name))
    if not wanted:
        return
    bound = dumps(wanted).decode()
    for values in _EXTERNAL.all(unit.connection, {"bound": bound}):
        stored = dict(zip(_EXTERNAL_NAMES, values, strict=True))
        key = stored["tenant_id"], stored["session_id"]
        unit.external[key][stored["external_id"]] = stored


def find(connection: Connection, key: Key, seq: int) -> Turn | None:
    """One turn, whatever its branch."""
    row = connection.execute(
        _ONE, {"tenant": key[0], "id": key[1], "seq": seq}
    ).one_or_none()
    return None if row is None else turn_from_row(key[1], row)


def find_external(connection: Connection, key: Key, external_id: str) -> Turn | None:
    """The turn that was appended with this external id."""
    row = connection.execute(
        _ONE_EXTERNAL, {"tenant": key[0], "id": key[1], "external": external_id}
    ).one_or_none()
    return None if row is None else turn_from_row(key[1], row)


def find_everywhere(
    connection: Connection,
    tenant: str,
    external_id: str,
    user_id: str | None,
    after: str,
    limit: int,
) -> list[Turn]:
    """The turns of live sessions with this external id, by session id beyond `after`;
    with a user, of theirs."""
    given = {"tenant": tenant, "external": external_id, "after": after, "limit": limit}
    statement = _EVERYWHERE
    if user_id is not None:
        statement, given = _OF_USER, given | {"user": user_id}
    rows = connection.execute(statement, given)
    return [turn_from_row(row[0], row[1:]) for row in rows]


def archived_after(
    connection: Connection, tenant: str, user_id: str | None, after: str, most: int
) -> tuple[list[str], str | None]:
    """Archived sessions with turns, by id beyond `after`, and behind which one to go
    on; None when there is none. Looks at some 10,000 sessions, and gives `most`."""
    given = {"tenant": tenant, "after": after, "limit": _LOOKED_AT}
    found: list[str] = []
    rows = connection.execute(_BY_ID, given).all()
    for session_id, state, owner, count in rows:
        if state == "archived" and count and user_id in (None, owner):
            found.append(session_id)
            if len(found) == most:
                return found, session_id
    return found, rows[-1][0] if len(rows) == _LOOKED_AT else None


def page(
    connection: Connection, key: Key, *, after: int, limit: int, newest_first: bool
) -> list[Turn]:
    """Turns of all branches in `seq` order, beyond `after`."""
    statement = _DOWN if newest_first else _UP
    rows = connection.execute(
        statement, {"tenant": key[0], "id": key[1], "after": after, "limit": limit}
    )
    return [turn_from_row(key[1], row) for row in rows]


def tool_set(connection: Connection, key: Key, tools_hash: str) -> list[Any] | None:
    """The tool definitions that a turn refers to."""
    table = models.tool_sets.c
    text = connection.execute(
        select(table.tools).where(
            table.tenant_id == key[0],
            table.session_id == key[1],
            table.tools_hash == tools_hash,
        )
    ).scalar_one_or_none()
    return None if text is None else list(decode_json(text))


def check_same(row: Row, earlier: Row) -> None:
    """Refuse an external id that stands for another turn.

    Raises:
        ConflictError: It does.
    """
    parent = row["parent_seq"]
    if row["digest"] != bytes(earlier["digest"]) or (
        parent is not None and (parent or None) != (earlier["parent_seq"] or None)
    ):
        raise ConflictError("external_id: stored already with another content")


def _record(session_id: str, row: Row) -> Turn:
    return turn_from_row(session_id, _values_of(row))


_EXTERNAL_KEY = ("tenant_id", "session_id", "external_id")
_EXTERNAL_COLUMNS = [T.tenant_id, T.session_id, T.digest, *TURN_COLUMNS]
_EXTERNAL_NAMES = [column.name for column in _EXTERNAL_COLUMNS]


def _external(dialect: Dialect) -> Select[Any]:
    bound = dialect.bound_rows(*_EXTERNAL_KEY)
    same = and_(*(T[name] == bound.c[name] for name in _EXTERNAL_KEY))
    return select(*_EXTERNAL_COLUMNS).select_from(bound.join(models.turns, same))


_EXTERNAL = Prepared(_external)
_ONE = select(*TURN_COLUMNS).where(*_OF_SESSION, T.seq == bindparam("seq"))
_ONE_EXTERNAL = select(*TURN_COLUMNS).where(
    *_OF_SESSION, T.external_id == bindparam("external")
)
_LOOKED_AT = 10_000
_EVERYWHERE = (
    select(T.session_id, *TURN_COLUMNS)
    .where(
        T.tenant_id == bindparam("tenant"),
        T.external_id == bindparam("external"),
        T.session_id > bindparam("after"),
    )
    .order_by(T.session_id)
    .limit(bindparam("limit"))
)
_OF_USER = _EVERYWHERE.where(
    select(1)
    .where(
        S.tenant_id == T.tenant_id,
        S.session_id == T.session_id,
        S.user_id == bindparam("user"),
    )
    .exists()
)
_BY_ID = (
    select(S.session_id, S.state, S.user_id, S.turn_count)
    .where(S.tenant_id == bindparam("tenant"), S.session_id > bindparam("after"))
    .order_by(S.session_id)
    .limit(bindparam("limit"))
)
_UP = (
    select(*TURN_COLUMNS)
    .where(*_OF_SESSION, T.seq > bindparam("after"))
    .order_by(T.seq)
    .limit(bindparam("limit"))
)
_DOWN = (
    select(*TURN_COLUMNS)
    .where(*_OF_SESSION, T.seq < bindparam("after"))
    .order_by(T.seq.desc())
    .limit(bindparam("limit"))
)
