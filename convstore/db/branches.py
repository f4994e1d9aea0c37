"""Branches: the path from a first turn to a tip, and the head of the active one.

A session whose every turn follows the one before is read by key range; one with
branches is walked up from a turn along its parents, one look at the key for each turn.
Turns never change and a parent comes before its child, so a path is for ever what it
was, in the order of `seq`. Forgetting, editing and regenerating move the head; nothing
is destroyed.
"""

from __future__ import annotations

from collections.abc import Sequence
from operator import itemgetter
from typing import Any

from sqlalchemy import (
    CTE,
    BigInteger,
    Column,
    ColumnElement,
    Connection,
    Integer,
    ScalarSelect,
    Select,
    and_,
    bindparam,
    case,
    cast,
    func,
    literal_column,
    null,
    or_,
    select,
    true,
    union_all,
)

from convstore.db import models
from convstore.db.codec.records import (
    TURN_COLUMNS,
    WINDOW_COLUMNS,
    turn_from_row,
    window_from_rows,
)
from convstore.db.dialects.base import Dialect
from convstore.db.statements import Prepared
from convstore.db.unit import Key, Row, Unit, check_usable
from convstore.vocabulary.codec import decode_json, dumps
from convstore.vocabulary.errors import SessionNotFoundError
from convstore.vocabulary.records import Branch, Turn

S = models.sessions.c
T = models.turns.c
_OF_SESSION = (T.tenant_id == bindparam("tenant"), T.session_id == bindparam("id"))
_PARENT = [column.name for column in TURN_COLUMNS].index("parent_seq")
_SEQ = 4 + [column.name for column in TURN_COLUMNS].index("seq")
WHOLE = 2**31 - 1
"""More turns than a branch has."""

# Sessions that were seen to have branches: their windows are walked at once, without a
# look at what they are. Either way of reading is right of every session, so this may be
# wrong, of another database too, and costs a statement then.
_BRANCHED: dict[Key, None] = {}
_MOST_BRANCHED = 10_000


def newest(
    connection: Connection,
    key: Key,
    limit: int,
    user_id: str | None,
    *,
    payload: bool = False,
) -> list[Turn]:
    """The newest turns of the active branch, oldest first, without their payloads
    unless these are asked for.

    One statement for a session without branches, and for one that is remembered to have
    some; two the first time. Turns never change, so what is read is a prefix of what
    any later read gives, whatever commits in between.
    """
    given = {"tenant": key[0], "id": key[1], "limit": limit}
    while True:
        if is_walked := key in _BRANCHED:
            rows = (_CLIMB_WHOLE if payload else _CLIMB).all(connection, given)
            rows.sort(key=itemgetter(_SEQ), reverse=True)
        else:
            rows = (_NEWEST_WHOLE if payload else _NEWEST).all(connection, given)
        if rows:
            state, owner, head_seq, branched = rows[0][:4]
        else:
            session = _SESSION.all(connection, given)
            if not session:
                raise SessionNotFoundError(key[1])
            state, owner, head_seq, branched = session[0]
        check_usable(state, owner, key[1], user_id)
        if rows and not (branched or is_walked or payload):
            return window_from_rows(key[1], reversed(rows))
        turns = [row[4:] for row in rows]
        if branched != is_walked:
            _remember(key, branched)
        if (
            branched
            and not is_walked
            and turns
            and limit > 1
            and turns[0][_PARENT] is not None
        ):
            parent = turns[0][_PARENT]
            above = _walked(connection, key, parent, limit - 1, payload=payload)
            turns = [*turns, *above] if above else []
        if turns or head_seq is None:
            break
        # It was archived or restored between two statements: look again.
    return [turn_from_row(key[1], row) for row in reversed(turns)]


def _remember(key: Key, branched: bool) -> None:
    if not branched:
        _BRANCHED.pop(key, None)
        return
    if len(_BRANCHED) >= _MOST_BRANCHED:
        _BRANCHED.clear()
    _BRANCHED[key] = None


def read(
    connection: Connection,
    key: Key,
    seq: int,
    limit: int | None,
    *,
    straight: bool = False,
) -> list[Turn]:
    """The path that ends in turn `seq`, oldest first: its newest `limit` turns, or all.

    Empty when there is no such turn. Reads as many turns as it gives.

    Args:
        straight: Each turn up to this one is known to follow the one before: the path
            is a range of the key, and need not be walked.
    """
    most = limit or WHOLE
    if straight:
        given = {"tenant": key[0], "id": key[1], "head": seq, "limit": most}
        rows = _STRAIGHT.all(connection, given)
    else:
        rows = _walked(connection, key, seq, most, payload=True)
    return [turn_from_row(key[1], row) for row in reversed(rows)]


def beginning(
    connection: Connection, key: Key, head_seq: int | None, branched: bool, limit: int
) -> list[Turn]:
    """The first turns of the path that ends in turn `head_seq`, at most `limit`.

    By key in a session without branches. In one with some the whole path is walked, by
    its numbers alone. Without payloads.
    """
    statement = _FIRST_OF_PATH if branched else _FIRST
    given = {"tenant": key[0], "id": key[1], "head": head_seq or 0, "limit": WHOLE}
    rows = statement.all(connection, {**given, "first": limit})
    return [turn_from_row(key[1], row) for row in sorted(rows, key=itemgetter(0))]


def tips(connection: Connection, key: Key, head_seq: int | None) -> list[Branch]:
    """Every branch, by its last turn, oldest first. Reads the numbers of all turns."""
    parents: dict[int, int | None] = {}
    children: dict[int | None, int] = {}
    for seq, parent in connection.execute(_NUMBERS, {"tenant": key[0], "id": key[1]}):
        parents[seq] = parent
        children[parent] = children.get(parent, 0) + 1
    lengths: dict[int | None, int] = {None: 0}
    forks: dict[int | None, int | None] = {None: None}
    for seq, parent in parents.items():  # parents come first: seq order
        lengths[seq] = lengths[parent] + 1
        forks[seq] = parent if children[parent] > 1 else forks[parent]
    return [
        Branch(seq, lengths[seq], forks[seq], seq == head_seq)
        for seq in parents
        if seq not in children or seq == head_seq
    ]


def siblings(
    connection: Connection, key: Key, seqs: Sequence[int]
) -> dict[int, tuple[Turn, ...]]:
    """For each of `seqs` that there is the turns with its parent, itself among them, in
    `seq` order. One statement, which passes over the session once."""
    by_parent = _family(connection, _SIBLINGS, key, seqs)
    parents = {t.seq: t.parent_seq for turns in by_parent.values() for t in turns}
    return {seq: by_parent[parents[seq]] for seq in seqs if seq in parents}


def children(
    connection: Connection, key: Key, seqs: Sequence[int]
) -> dict[int, tuple[Turn, ...]]:
    """For each of `seqs` that there is the turns that follow it, in `seq` order; for 0
    the first turns. One statement, which passes over the session once."""
    by_parent = _family(connection, _CHILDREN, key, seqs)
    known = {turn.seq for turns in by_parent.values() for turn in turns} | {0}
    return {seq: by_parent.get(seq or None, ()) for seq in seqs if seq in known}


def go_on(state: Row, row: Row) -> None:
    """Let a session's slots, template and language follow one more turn."""
    if row["language"] is not None:
        state["language"] = row["language"]
    if row["role"] == "user":
        if row["slots"] is not None and row["slots"] != "{}":
            merged = decode_json(state["current_slots"]) | decode_json(row["slots"])
            state["current_slots"] = dumps(merged).decode()
        if row["template_id"] is not None:
            state["current_template_id"] = row["template_id"]


def inherit(unit: Unit, key: Key, state: Row, seq: int | None) -> None:
    """Take slots, template and language from the path that ends in `seq`.

    The language stays what it is where no turn of the path has one: a session may have
    been given it by itself.
    """
    unit.flush()
    slots: dict[str, str] = {}
    state["current_template_id"] = None
    if seq is not None:
        given = {"tenant": key[0], "id": key[1], "head": seq, "limit": WHOLE}
        # Each name in the order in which a turn first filled it in.
        for kind, name, value, _ in sorted(
            _INHERITED.all(unit.connection, given), key=itemgetter(3, 1)
        ):
            if kind == _SLOT:
                slots[name] = value
            elif value is not None:
                state[_KEPT_AS[kind]] = value
    state["current_slots"] = dumps(slots).decode()


def _family(
    connection: Connection, statement: Prepared, key: Key, seqs: Sequence[int]
) -> dict[int | None, tuple[Turn, ...]]:
    """The turns that a statement finds for `seqs`, by their parent."""
    bound = dumps([(seq,) for seq in seqs]).decode()
    given = {"tenant": key[0], "id": key[1], "bound": bound}
    found: dict[int | None, list[Turn]] = {}
    for row in statement.all(connection, given):
        turn = turn_from_row(key[1], row)
        found.setdefault(turn.parent_seq, []).append(turn)
    return {parent: tuple(turns) for parent, turns in found.items()}


def _walked(
    connection: Connection, key: Key, seq: int, limit: int, *, payload: bool
) -> list[Any]:
    """Rows of TURN_COLUMNS, or without payloads of WINDOW_COLUMNS, from turn `seq` up;
    one statement, so all or none."""
    given = {"tenant": key[0], "id": key[1], "head": seq, "limit": limit}
    rows = (_PATH_WHOLE if payload else _PATH).all(connection, given)
    rows.sort(key=itemgetter(0), reverse=True)
    return rows


_ONE_STEP = literal_column("1", Integer)


def walk(dialect: Dialect, columns: Sequence[Column[Any]], head: Any = None) -> CTE:
    """Up from the turn `head`, a bound value if it is not given, along its parents, at
    most `limit` turns.

    What a planner knows of a table with a thousand short sessions makes it read the
    whole of a long one at each step: a lookup in a lateral subquery leaves it no
    choice. SQLite has none, and needs none, as long as the key comes from the path:
    of constants it makes a filter, by reading the session, or the table, beforehand.
    """
    top = select(T.tenant_id, T.session_id, *columns, _ONE_STEP.label("depth"))
    top = top.where(
        *_OF_SESSION, T.seq == (bindparam("head") if head is None else head)
    )
    path = top.cte("path", recursive=True)
    up: Any = models.turns.alias("up")
    parent = (
        up.c.tenant_id == path.c.tenant_id,
        up.c.session_id == path.c.session_id,
        up.c.seq == path.c.parent_seq,
    )
    names = ["tenant_id", "session_id", *(column.name for column in columns)]
    if dialect.has_lateral:
        found = select(*(up.c[name] for name in names)).where(*parent)
        above: Any = found.limit(_ONE_STEP).lateral("above")
        climbed = select(*above.c, path.c.depth + _ONE_STEP)
        climbed = climbed.select_from(path.join(above, true()))
    else:
        climbed = select(*(up.c[name] for name in names), path.c.depth + _ONE_STEP)
        climbed = climbed.select_from(path.join(up, and_(*parent)))
    return path.union_all(climbed.where(path.c.depth < bindparam("limit")))


def _path(columns: Sequence[Column[Any]]) -> Prepared:
    def word(dialect: Dialect) -> Select[Any]:
        path = walk(dialect, columns)
        return select(*(path.c[column.name] for column in columns))

    return Prepared(word)


def _first_of_path(dialect: Dialect) -> Select[Any]:
    path = walk(dialect, [T.seq, T.parent_seq])
    first = select(path.c.seq).order_by(path.c.seq).limit(bindparam("first"))
    return select(*WINDOW_COLUMNS).where(*_OF_SESSION, T.seq.in_(first))


_SLOT = "slot"
_KEPT_AS = {"template_id": "current_template_id", "language": "language"}
_OF_STATE = [T.seq, T.parent_seq, T.role, T.slots, T.template_id, T.language]


def _inherited(dialect: Dialect) -> Any:
    """What the turns of a path leave behind: kind, name, value, and a number to sort
    by. The newest value of each slot, and the newest template and language, or null.

    Made out by the database: a path may have thousands of turns, and little remains.
    """
    path = walk(dialect, _OF_STATE)
    of_user = path.c.role == literal_column("'user'")
    name, value, source = dialect.members(path.c.slots)
    place = func.row_number().over(partition_by=name, order_by=path.c.depth)
    each = (
        select(
            name.label("name"),
            value.label("value"),
            place.label("place"),
            func.min(path.c.seq).over(partition_by=name).label("first"),
        )
        .select_from(path.join(source, true()))
        .where(of_user, path.c.slots.is_not(None))
        .subquery("each_slot")
    )

    def last(column: ColumnElement[Any], *conditions: Any) -> Select[Any]:
        found = select(column).where(column.is_not(None), *conditions)
        found = found.order_by(path.c.depth).limit(_ONE_STEP)
        kind: Any = literal_column(f"'{column.name}'")
        return select(kind, null(), found.scalar_subquery(), literal_column("0"))

    kind: Any = literal_column(f"'{_SLOT}'")
    slots = select(kind, each.c.name, each.c.value, each.c.first)
    return union_all(
        slots.where(each.c.place == _ONE_STEP),
        last(path.c.template_id, of_user),
        last(path.c.language),
    )


def _of_session(column: Any) -> ScalarSelect[Any]:
    return (
        select(column)
        .where(S.tenant_id == bindparam("tenant"), S.session_id == bindparam("id"))
        .scalar_subquery()
    )


def _prepared(statement: Select[Any]) -> Prepared:
    return Prepared(lambda _: statement)


_PATH = _path(WINDOW_COLUMNS)
_PATH_WHOLE = _path(TURN_COLUMNS)
_FIRST_OF_PATH = Prepared(_first_of_path)
_FIRST = _prepared(
    select(*WINDOW_COLUMNS)
    .where(*_OF_SESSION, T.seq <= bindparam("head"))
    .order_by(T.seq)
    .limit(bindparam("first"))
)
_STRAIGHT = _prepared(
    select(*TURN_COLUMNS)
    .where(*_OF_SESSION, T.seq <= bindparam("head"))
    .order_by(T.seq.desc())
    .limit(bindparam("limit"))
)
_INHERITED = Prepared(_inherited)
_NUMBERS = select(T.seq, T.parent_seq).where(*_OF_SESSION).order_by(T.seq)


def _siblings(dialect: Dialect) -> Select[Any]:
    bound, named = dialect.bound_rows("seq"), models.turns.alias("named")
    numbers = select(cast(bound.c.seq, BigInteger))
    their_parents = select(func.coalesce(named.c.parent_seq, _NONE)).where(
        named.c.tenant_id == bindparam("tenant"),
        named.c.session_id == bindparam("id"),
        named.c.seq.in_(numbers),
    )
    same = func.coalesce(T.parent_seq, _NONE).in_(their_parents)
    return select(*TURN_COLUMNS).where(*_OF_SESSION, same).order_by(T.seq)


def _children(dialect: Dialect) -> Select[Any]:
    """The asked turns too: so the one statement tells which of them there are."""
    bound = dialect.bound_rows("seq")
    numbers = select(cast(bound.c.seq, BigInteger))
    follows = func.coalesce(T.parent_seq, _NONE).in_(numbers)
    found = select(*TURN_COLUMNS).where(*_OF_SESSION, or_(follows, T.seq.in_(numbers)))
    return found.order_by(T.seq)


_NONE = literal_column("0", BigInteger)
_SIBLINGS = Prepared(_siblings)
_CHILDREN = Prepared(_children)
_SESSION = _prepared(
    select(S.state, S.user_id, S.head_seq, S.branched).where(
        S.tenant_id == bindparam("tenant"), S.session_id == bindparam("id")
    )
)


# On a server scalar subqueries, not a join: the planner evaluates each once and then
# walks the key backwards, instead of sorting every turn of the session. SQLite, which
# would look at the session six times for them, walks the same way in a join: a row by
# its whole key comes first. Of a session with branches it gives the tip alone, from
# where the rest is walked.
def _newest(columns: Sequence[Column[Any]]) -> Prepared:
    lowest = case((S.branched, S.head_seq), else_=literal_column("1"))
    session = (S.state, S.user_id, S.head_seq, S.branched)
    by_key = and_(S.tenant_id == bindparam("tenant"), S.session_id == bindparam("id"))

    def word(dialect: Dialect) -> Select[Any]:
        head: ColumnElement[Any]
        first: ColumnElement[Any]
        if dialect.has_far_server:
            found = select(*map(_of_session, session), *columns)
            head, first = _of_session(S.head_seq), _of_session(lowest)
        else:
            found = select(*session, *columns).select_from(models.sessions)
            found, head, first = found.where(by_key), S.head_seq, lowest
        found = found.where(*_OF_SESSION, T.seq <= head, T.seq >= first)
        return found.order_by(T.seq.desc()).limit(bindparam("limit"))

    return Prepared(word)


def _climb(columns: Sequence[Column[Any]]) -> Prepared:
    """As `_newest`, walked from the head."""

    def word(dialect: Dialect) -> Select[Any]:
        path = walk(dialect, columns, _of_session(S.head_seq))
        return select(
            _of_session(S.state).label("session_state"),
            _of_session(S.user_id).label("owner"),
            _of_session(S.head_seq).label("head"),
            _of_session(S.branched).label("branched"),
            *(path.c[column.name] for column in columns),
        ).where(path.c.depth <= bindparam("limit"))

    return Prepared(word)


_CLIMB = _climb(WINDOW_COLUMNS)
_CLIMB_WHOLE = _climb(TURN_COLUMNS)
_NEWEST = _newest(WINDOW_COLUMNS)
_NEWEST_WHOLE = _newest(TURN_COLUMNS)
