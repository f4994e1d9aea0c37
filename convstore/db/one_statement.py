"""What a batch writes, as one statement to a server that is far.

Where every statement is a trip to a server, most of a write is trips: begin, lock and
read the heads, insert, update, commit. So plain writes are worked out on heads that
are remembered, by the same operations as ever, and go down as one statement that
compares the version of each session and touches nothing of one that has moved on.
Those that it left out take the long way.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from operator import itemgetter
from typing import Any, NamedTuple

from sqlalchemy import (
    CTE,
    BigInteger,
    Column,
    Connection,
    Exists,
    FromClause,
    Select,
    Table,
    Text,
    and_,
    bindparam,
    cast,
    insert,
    select,
    true,
    update,
)

from convstore.db import flush_hooks, models
from convstore.db.cells import Place
from convstore.db.checkpoints import KEEP_VALUE, KEEP_WRITE, PUT
from convstore.db.dialects.base import Dialect
from convstore.db.flushed import FlushHook
from convstore.db.given_rows import given_rows, text_of
from convstore.db.items import OF_SESSION
from convstore.db.row_writes import HOT
from convstore.db.session_ids import KEY, same_session
from convstore.db.statements import Prepared
from convstore.db.turns import AppendTurns
from convstore.db.unit import Key, Row, Unit


class _Group(NamedTuple):
    """Rows of one table. The names of what is bound for them begin with `prefix`."""

    prefix: str
    table: Table
    replaces: bool = False
    is_new: bool = False  # or perhaps there, and as it is

    def added(self, dialect: Dialect, rows: FromClause, changed: CTE) -> CTE:
        """Its rows written, of the sessions that are."""
        insert_of = (
            dialect.insert_or_replace if self.replaces else dialect.insert_ignore
        )
        names = [column.name for column in self.table.c]
        of_ours = select(*(rows.c[name] for name in names))
        of_ours = of_ours.join_from(rows, changed, same_session(rows.c, changed.c))
        adding = insert(self.table) if self.is_new else insert_of(self.table)
        written: CTE = adding.from_select(names, of_ours).cte(f"{self.prefix}added")
        return written


_TURNS = _Group("t_", models.turns, is_new=True)
_ITEMS = _Group("i_", models.session_items, is_new=True)
# What may be gathered beside turns, in the order of what refers to what.
_CHANGES = {
    KEEP_VALUE: _Group("v_", models.checkpoint_values),
    KEEP_WRITE: _Group("w_", models.checkpoint_writes),
    PUT: _Group("c_", models.checkpoints, replaces=True),
}
_HEAD_COLUMNS = [models.sessions.c[name] for name in (*KEY, *HOT)]
_HEAD_COLUMNS += [Column("before", BigInteger), Column("not_ended", Text)]


class _Shape(NamedTuple):
    """What there is to be written, which is all that the words depend on.

    `alone` are the groups, by prefix, of which there is one row: the server has its
    values at once, and need not take them from a text.
    """

    groups: tuple[_Group, ...]
    alone: frozenset[str]
    named: bool
    ends: bool


def suppose(unit: Unit, appends: Iterable[AppendTurns], items: Iterable[Place]) -> None:
    """Take external ids and items of sessions for not stored yet, and checkpoints for
    not ended: the statement that writes makes sure."""
    unit.not_ended = {}
    unit.cells(OF_SESSION).know(items, {})
    for append in appends:
        for row in append.rows:
            if row["external_id"] is not None:
                known = unit.external.setdefault(append.key, {})
                known[row["external_id"]] = None


def write_at_once(
    connection: Connection, unit: Unit, before: Mapping[Key, Row]
) -> set[Key]:
    """Write what `unit` has gathered for the sessions that are as `before`, that have
    none of the turns' external ids and none of the items yet, and whose checkpoints
    were not ended.

    One statement, which is a transaction of its own, with what flush hooks add to it.

    Returns:
        The sessions that were written; nothing of the others was.
    """
    turns, heads, changes = unit.taken()
    gathered = {"h_": [*_told_of(heads, before, unit.not_ended or {})]}
    groups = []
    if turns:
        groups.append(_TURNS)
        gathered[_TURNS.prefix] = turns
    if items := unit.cells(OF_SESSION).taken():
        groups.append(_ITEMS)
        # Names of columns may be of a class of their own, which JSON has not.
        gathered[_ITEMS.prefix] = [{str(n): v for n, v in r.items()} for r in items]
    for statement, group in _CHANGES.items():
        if statement in changes:
            groups.append(group)
            rows = changes.pop(statement)
            gathered[group.prefix] = _distinct(group, rows)
    assert not changes, "the one statement does not write all that was gathered"
    alone = {prefix for prefix, rows in gathered.items() if len(rows) == 1}
    shape = _Shape(
        tuple(groups),
        frozenset(alone),
        any(row["external_id"] is not None for row in turns),
        bool(unit.not_ended),
    )
    values: dict[str, Any] = {}
    for prefix, rows in gathered.items():
        if prefix in alone:
            values |= zip(_NAMES[prefix], _PICK[prefix](rows[0]), strict=True)
        else:
            values[f"{prefix}in"] = text_of(rows)
    statement = _prepared(flush_hooks.hooks_of(connection), shape)
    return {(row[0], row[1]) for row in statement.all(connection, values)}


def _told_of(
    heads: Iterable[Row], before: Mapping[Key, Row], not_ended: Mapping[Key, str]
) -> Iterator[Row]:
    for head in heads:
        key = head["tenant_id"], head["session_id"]
        told = {name: head[name] for name in (*KEY, *HOT)}
        yield told | {
            "before": before[key]["version"],
            "not_ended": not_ended.get(key),
        }


def _distinct(group: _Group, rows: Sequence[Row]) -> list[Row]:
    """One row of each key, as if they had been written one after the other: a
    statement writes none twice."""
    if len(rows) == 1:
        return [*rows]
    key = itemgetter(*(column.name for column in group.table.primary_key.columns))
    in_order = rows if group.replaces else reversed(rows)
    return [*{key(row): row for row in in_order}.values()]


def _given(prefix: str, columns: Sequence[Column[Any]], shape: _Shape) -> FromClause:
    """Rows that are bound as one text, or one row as its values."""
    if prefix in shape.alone:
        values = (
            cast(bindparam(f"{prefix}{column.name}"), column.type).label(column.name)
            for column in columns
        )
        return select(*values).subquery(f"{prefix}in")
    return given_rows(f"{prefix}in", columns)


def _repeated(rows: FromClause, heads: FromClause) -> Exists:
    """Whether an external id of a head's rows is stored already."""
    turns = models.turns
    found = select(rows.c.seq).join_from(rows, turns, same_session(rows.c, turns.c))
    found = found.where(
        turns.c.external_id == rows.c.external_id, same_session(rows.c, heads.c)
    )
    return found.correlate(heads).exists()


def _there(rows: FromClause, heads: FromClause) -> Exists:
    """Whether an item of a head's session is stored already."""
    items = models.session_items
    same = (rows.c[column.name] == column for column in items.primary_key.columns)
    found = select(rows.c.key).join_from(rows, items, and_(*same))
    return found.where(same_session(rows.c, heads.c)).correlate(heads).exists()


def _ended(heads: FromClause) -> Exists:
    """Whether what a head puts is from before an end."""
    ends = models.checkpoint_ends
    found = select(ends.c.through).where(
        same_session(ends.c, heads.c), ends.c.through >= heads.c.not_ended
    )
    return found.correlate(heads).exists()


def _ours(given: Mapping[_Group, FromClause], shape: _Shape) -> CTE:
    """The heads that are as they were remembered, locked."""
    sessions = models.sessions
    heads = _given("h_", _HEAD_COLUMNS, shape)
    # Whoever holds a lock now is about to raise the version. To pass over those
    # sessions, and not to wait, is also what keeps two statements that share
    # sessions from waiting for each other.
    # One look at the key for each head, in a lateral subquery, by the version alone:
    # a planner that knows nothing yet of a young table would rather walk all of it, or
    # the index of active sessions.
    unmoved = (
        select(sessions.c.version)
        .where(same_session(sessions.c, heads.c), sessions.c.version == heads.c.before)
        .with_for_update(skip_locked=True, key_share=True)
        .lateral("unmoved")
    )
    found = select(*(heads.c[column.name] for column in _HEAD_COLUMNS))
    found = found.join_from(heads, unmoved, true())
    if _TURNS in given and shape.named:
        found = found.where(~_repeated(given[_TURNS], heads))
    if _ITEMS in given:
        found = found.where(~_there(given[_ITEMS], heads))
    if shape.ends:
        found = found.where(~_ended(heads))
    return found.cte("ours")


def _at_once(
    dialect: Dialect, hooks: Sequence[FlushHook], shape: _Shape
) -> Select[Any]:
    sessions = models.sessions
    given = {g: _given(g.prefix, [*g.table.c], shape) for g in shape.groups}
    turns = given.get(_TURNS)
    ours = _ours(given, shape)
    changed = (
        update(sessions)
        .where(same_session(sessions.c, ours.c))
        .values({name: ours.c[name] for name in HOT})
        .returning(sessions.c.tenant_id, sessions.c.session_id, sessions.c.version)
        .cte("changed")
    )
    added = [group.added(dialect, rows, changed) for group, rows in given.items()]
    if turns is not None:
        said = changed
        if len(given) > 1:  # perhaps of a session to which none was appended
            spoken = select(turns.c.seq).where(same_session(turns.c, changed.c))
            spoken = spoken.correlate(changed)
            said = select(*changed.c).where(spoken.exists()).cte("said")
        added += [cte for hook in hooks for cte in hook.at_once(turns, said)]
    return select(changed.c.tenant_id, changed.c.session_id).add_cte(*added)


@lru_cache(256)
def _prepared(hooks: tuple[FlushHook, ...], shape: _Shape) -> Prepared:
    return Prepared(lambda dialect: _at_once(dialect, hooks, shape))


_COLUMNS: dict[str, Sequence[Column[Any]]] = {
    "h_": _HEAD_COLUMNS,
    **{g.prefix: [*g.table.c] for g in (_TURNS, _ITEMS, *_CHANGES.values())},
}
_PICK = {p: itemgetter(*(c.name for c in columns)) for p, columns in _COLUMNS.items()}
_NAMES = {p: [f"{p}{c.name}" for c in columns] for p, columns in _COLUMNS.items()}
