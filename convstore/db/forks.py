"""A fork: a new session that begins with a branch of another one.

The database copies the turns itself. They are numbered from 1 without gaps, as those of
any session, and keep everything else: digests too, for these cover what was said and
not where it stands. Nothing is shared afterwards: either session lives on, is archived
and erased by itself.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import (
    Connection,
    Insert,
    Select,
    String,
    Table,
    and_,
    bindparam,
    case,
    func,
    insert,
    literal_column,
    null,
    select,
    true,
)

from convstore.db import erasures, models
from convstore.db.branches import WHOLE, inherit, walk
from convstore.db.codec.records import SESSION_COLUMNS, session_from_row
from convstore.db.dialects.base import Dialect
from convstore.db.renewal import begin, renewed
from convstore.db.sessions import create, new_row
from convstore.db.statements import Prepared
from convstore.db.unit import Head, Key, Row, Unit, check_usable, is_hidden
from convstore.vocabulary.errors import (
    AlreadyExistsError,
    SessionDeletedError,
    SessionErasedError,
    SessionNotFoundError,
    TurnNotFoundError,
)
from convstore.vocabulary.records import Session

S = models.sessions.c
T = models.turns.c
_OF_SOURCE = (T.tenant_id == bindparam("tenant"), T.session_id == bindparam("id"))
# What a fork takes over of its source's row; slots and template are those of the turn.
_TAKEN = (
    "user_id title language tags metadata current_slots current_template_id"
).split()
# What a copy says anew of a turn: where it stands.
_PLACED = ("tenant_id", "session_id", "seq", "parent_seq")


@dataclass(slots=True)
class ForkSession:
    """Make the session `target` of the branch of `key` that ends in turn `at_seq`: its
    head for None, no turn for 0. Both sessions are locked. With `renew` a deleted
    target begins anew."""

    key: Key
    target: str
    at_seq: int | None
    now: int
    user_id: str | None = None
    renew: bool = False
    size: int = 0

    @property
    def keys(self) -> tuple[Key, Key]:
        """The session that is read, and the one that is made."""
        return self.key, self._target

    def apply(self, unit: Unit) -> Session:
        unit.load(self.keys)  # together, so that two forks never wait for each other
        source = unit.find(self.key)
        if source is None:
            raise SessionNotFoundError(self.key[1])
        state, owner = source.row["state"], source.row["user_id"]
        if is_hidden(state, owner, self.user_id):
            raise SessionNotFoundError(self.key[1])
        self._refuse_existing(unit.find(self._target))
        check_usable(state, owner, self.key[1], self.user_id)
        # The source is locked. Whoever has begun to erase it has said which sessions
        # go, and would not find the fork.
        if erasures.is_begun(unit.connection, *self.key):
            raise SessionErasedError(self.key[1])
        at = source.row["head_seq"] or 0 if self.at_seq is None else self.at_seq
        if at > source.row["turn_count"]:
            raise TurnNotFoundError(self.key[1], at)
        return self._fork(unit, source, at).record

    @property
    def _target(self) -> Key:
        return self.key[0], self.target

    def _refuse_existing(self, head: Head | None) -> None:
        if head is None:
            return
        state = head.row["state"]
        if is_hidden(state, head.row["user_id"], self.user_id):
            raise SessionNotFoundError(self.target)
        if state == "erased":
            raise SessionErasedError(self.target)
        if state == "deleted" and self.renew:
            return
        if state == "deleted":
            raise SessionDeletedError(self.target)
        raise AlreadyExistsError(f"session {self.target!a}")

    def _fork(self, unit: Unit, source: Head, at: int) -> Head:
        unit.flush()  # turns of this transaction are copied too
        given = {
            "tenant": self.key[0],
            "id": self.key[1],
            "target": self.target,
            "head": at,
            "limit": WHOLE,
        }
        row = self._row(unit, source, at)
        walked = source.row["branched"] and at > 0
        count = _LENGTH.all(unit.connection, given)[0][0] if walked else at
        row |= {
            "turn_count": count,
            "head_seq": count or None,
            "forked_turns": count,
        }
        head = self._target_of(unit, row)
        unit.note_fork(self._target, self.key)
        if count:
            (_COPY_PATH if walked else _COPY).run(unit.connection, given)
            _COPY_TOOLS.run(unit.connection, given)
        for copy in _COPY_BESIDE:
            copy.run(unit.connection, given)
        return head

    def _target_of(self, unit: Unit, row: Row) -> Head:
        """The session that is made, with its row."""
        deleted = unit.find(self._target)
        if deleted is not None:
            row = renewed(deleted, self._target, row, self.now, self.user_id)
            begin(unit, self._target, deleted, row)
            return deleted
        head = create(unit, self._target, row)
        if head is None:  # made by somebody in the moment since it was looked for
            self._refuse_existing(unit.look_again(self._target))
            raise AssertionError("a session that is there and not there")
        return head

    def _row(self, unit: Unit, source: Head, at: int) -> Row:
        row = new_row(self._target, self.now)
        row |= {name: source.row[name] for name in _TAKEN}
        if at != (source.row["head_seq"] or 0):
            inherit(unit, self.key, row, at or None)
        row["forked_from"], row["forked_at_seq"] = self.key[1], at or None
        row["root_session_id"] = source.row["root_session_id"] or self.key[1]
        return row


def forks(
    connection: Connection, key: Key, after: str, limit: int, user_id: str | None
) -> list[Session]:
    """The sessions that were forked from this one and are live or archived, by id."""
    statement = (
        select(*SESSION_COLUMNS)
        .where(
            S.tenant_id == key[0],
            S.forked_from == key[1],
            S.session_id > after,
            models.LISTED,
        )
        .order_by(S.session_id)
        .limit(limit)
    )
    if user_id is not None:
        statement = statement.where(S.user_id == user_id)
    return [session_from_row(row) for row in connection.execute(statement)]


def _copied(source: Any) -> list[Any]:
    """The columns of a copy but for its place."""
    return [source[column.name] for column in _CONTENT]


def _new_key() -> tuple[Any, Any]:
    return bindparam("tenant", type_=String), bindparam("target", type_=String)


def _into_turns(found: Select[Any]) -> Insert:
    names = [*_PLACED, *(column.name for column in _CONTENT)]
    return insert(models.turns).from_select(names, found)


def _copy() -> Insert:
    """Of a session without branches: numbers stay what they are."""
    found = select(*_new_key(), T.seq, T.parent_seq, *_copied(T))
    found = found.where(*_OF_SOURCE, T.seq <= bindparam("head"))
    return _into_turns(found.order_by(T.seq))


def _copy_path(dialect: Dialect) -> Insert:
    """Of one with branches: the path is walked by its numbers, and counted."""
    path = walk(dialect, [T.seq, T.parent_seq])
    number = func.row_number().over(order_by=path.c.seq)
    placed = select(path.c.seq, number.label("number")).subquery("placed")
    turn: Any = models.turns.alias("turn")
    same = (
        turn.c.tenant_id == bindparam("tenant"),
        turn.c.session_id == bindparam("id"),
        turn.c.seq == placed.c.seq,
    )
    if dialect.has_lateral:  # for the reason that `branches.walk` gives
        one = select(*_copied(turn.c)).where(*same).limit(literal_column("1"))
        turn = one.lateral("of_path")
        joined = placed.join(turn, true())
    else:
        joined = placed.join(turn, and_(*same))
    parent = case((placed.c.number > _ONE, placed.c.number - _ONE), else_=null())
    found = select(*_new_key(), placed.c.number, parent, *_copied(turn.c))
    return _into_turns(found.select_from(joined).order_by(placed.c.number))


def _length(dialect: Dialect) -> Select[Any]:
    return select(func.count()).select_from(walk(dialect, [T.seq, T.parent_seq]))


def _copy_tools() -> Insert:
    """The tool definitions that the copied turns refer to."""
    tools, names = models.tool_sets, ("tenant_id", "session_id", "tools_hash", "tools")
    used = select(T.tools_hash).where(
        T.tenant_id == bindparam("tenant"), T.session_id == bindparam("target")
    )
    found = select(*_new_key(), tools.c.tools_hash, tools.c.tools).where(
        tools.c.tenant_id == bindparam("tenant"),
        tools.c.session_id == bindparam("id"),
        tools.c.tools_hash.in_(used),
    )
    return insert(tools).from_select(names, found)


def _copy_beside(table: Table) -> Insert:
    """What lies beside the turns and is the session's own, with its versions."""
    rest = [column for column in table.c if column.name not in _PLACED]
    found = select(*_new_key(), *rest).where(
        table.c.tenant_id == bindparam("tenant"), table.c.session_id == bindparam("id")
    )
    names = ["tenant_id", "session_id", *(column.name for column in rest)]
    return insert(table).from_select(names, found)


def _prepared(statement: Insert) -> Prepared:
    return Prepared(lambda _: statement)


_ONE: Any = literal_column("1")
_CONTENT: Sequence[Any] = [c for c in models.turns.c if c.name not in _PLACED]
_COPY = _prepared(_copy())
_COPY_PATH = Prepared(_copy_path)
_COPY_TOOLS = _prepared(_copy_tools())
_COPY_BESIDE = [
    _prepared(_copy_beside(table))
    for table in (models.session_state, models.session_items)
]
_LENGTH = Prepared(_length)
