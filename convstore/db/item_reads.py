"""Items read: one, several, pages of them and of their namespaces; and what is due."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeAlias

from sqlalchemy import (
    ColumnElement,
    Connection,
    Select,
    Table,
    and_,
    bindparam,
    delete,
    func,
    or_,
    select,
    tuple_,
)

from convstore.db import models
from convstore.db.cells import Place
from convstore.db.codec.records import item_from_row
from convstore.db.dialects import dialect_of
from convstore.db.dialects.base import Dialect
from convstore.db.statements import BOUND, Prepared
from convstore.db.unit import Key
from convstore.vocabulary.codec import dumps
from convstore.vocabulary.record import Value
from convstore.vocabulary.records import Item

Owner: TypeAlias = tuple[str, str | None]
"""Whose items: a tenant, and one of its sessions or None for those outside sessions."""

I = models.items.c  # noqa: E741
_LAST = 0x10FFFF
_SURROGATES = range(0xD800, 0xE000)


def _find(table: Table) -> Prepared:
    names = [column.name for column in table.primary_key.columns]

    def word(dialect: Dialect) -> Select[Any]:
        bound = dialect.bound_rows(*names)
        same = and_(*(table.c[name] == bound.c[name] for name in names))
        joined = bound.join(table, same)
        return select(*table.c).select_from(joined).where(_is_there(table))

    return Prepared(word)


def _is_there(table: Table) -> ColumnElement[bool]:
    ends = table.c.expires_at
    return or_(ends.is_(None), ends > bindparam(BOUND + "now"))


_FIND = {table: _find(table) for table in (models.items, models.session_items)}


def find(
    connection: Connection, owner: Owner, names: Sequence[tuple[str, str]], now: int
) -> dict[tuple[str, str], Item]:
    """Those of the items that are there, by namespace and key."""
    table = _table(owner)
    lead = [part for part in owner if part is not None]
    places: list[Place] = [(*lead, *name) for name in names]
    given = {"bound": dumps(places).decode(), "now": now}
    found = [_item(table, row) for row in _FIND[table].all(connection, given)]
    return {(item.namespace, item.key): item for item in found}


class ItemFilter(Value, frozen=True):
    """Which items to list: of one namespace, or of those that begin with `prefix`."""

    namespace: str | None = None
    prefix: str | None = None
    key_prefix: str | None = None
    user_id: str | None = None


def page(
    connection: Connection,
    owner: Owner,
    wanted: ItemFilter,
    after: tuple[str, str] | None,
    limit: int,
    now: int,
) -> list[Item]:
    """Items by namespace and key, behind `after`."""
    statement = paged(owner, wanted, after, limit)
    table = _table(owner)
    rows = connection.execute(statement, {BOUND + "now": now})
    return [_item(table, row) for row in rows]


def paged(
    owner: Owner, wanted: ItemFilter, after: tuple[str, str] | None, limit: int
) -> Select[Any]:
    """The statement of `page`."""
    table, user_id = _table(owner), wanted.user_id
    c = table.c
    of = [*_of(table, owner), _is_there(table)]
    order: list[ColumnElement[str]] = [c.namespace, c.key]
    if wanted.namespace is not None:
        # The key is what is left of the index: pages go on behind the last one.
        of += [c.namespace == wanted.namespace]
        of += _begins(c.key, wanted.key_prefix, after)
        of += [] if user_id is None else [I.user_id == user_id]
    else:
        of += _begins(c.key, wanted.key_prefix, None)
        if user_id is not None:
            order.insert(0, I.user_id)
        of += _between(order, user_id, wanted.prefix, after)
    return select(*c).where(*of).order_by(*order).limit(limit)


def namespaces(
    connection: Connection,
    owner: Owner,
    *,
    prefix: str | None,
    after: str | None,
    limit: int,
    now: int,
) -> list[str]:
    """Namespaces that hold an item, in order, behind `after`: one step of the index for
    each, however many items it has."""
    table = _table(owner)
    name = table.c.namespace
    end = None if prefix is None else _behind(prefix)
    mine = [*_of(table, owner), *([] if end is None else [name < end])]
    # One bound from below, where the walk goes on: of two the planner may take the
    # farther one, and read all that lies between.
    begin = name >= (prefix or "") if after is None else name > after
    first = select(func.min(name).label("name")).where(*mine, begin)
    walk = first.cte("walk", recursive=True)
    following = (
        select(func.min(name))
        .where(*mine, name > walk.c.name)
        .correlate(walk)
        .scalar_subquery()
    )
    walk = walk.union_all(select(following).where(walk.c.name.is_not(None)))
    here = select(name).where(*_of(table, owner), name == walk.c.name, _is_there(table))
    statement = (
        select(walk.c.name)
        .where(walk.c.name.is_not(None), here.correlate(walk).exists())
        .limit(limit)
    )
    found = connection.execute(statement, {BOUND + "now": now})
    return [row[0] for row in found]


def users(connection: Connection, tenant: str, after: str, limit: int) -> list[str]:
    """Users of a tenant that own items, in order, beyond `after`."""
    statement = (
        select(I.user_id)
        .where(I.tenant_id == tenant, I.user_id > after)
        .distinct()
        .order_by(I.user_id)
        .limit(limit)
    )
    return list(connection.execute(statement).scalars())


def remove_of_user(
    connection: Connection, tenant: str, user_id: str, begun_by: int, limit: int
) -> int:
    """Destroy items of a user that were made until a time; how many of at most so
    many. One that is being changed is waited for, and goes as well."""
    chosen = (
        select(*models.items.primary_key.columns)
        .where(
            I.tenant_id == tenant,
            I.user_id.between(user_id, user_id),  # for the reason of `_between`
            I.created_at <= begun_by,
        )
        .limit(limit)
    )
    locked = dialect_of(connection).locked(chosen, models.items)
    return _remove(connection, connection.execute(locked).all())


def remove_expired(connection: Connection, now: int, limit: int) -> int:
    """Remove items outside sessions that have expired; how many of at most so many.
    One that is being changed is passed over."""
    chosen = (
        select(*models.items.primary_key.columns)
        .where(I.expires_at <= now)
        .order_by(I.expires_at)
        .limit(limit)
    )
    free = dialect_of(connection).skip_locked(chosen)
    return _remove(connection, connection.execute(free).all())


def expired(connection: Connection, tenant: str, now: int, limit: int) -> list[Place]:
    """Where a tenant has items outside sessions that have expired, the longest ago
    first."""
    chosen = (
        select(*models.items.primary_key.columns)
        .where(I.tenant_id == tenant, I.expires_at <= now)
        .order_by(I.expires_at)
        .limit(limit)
    )
    return [tuple(row) for row in connection.execute(chosen)]


def sessions_with_expired(connection: Connection, now: int, limit: int) -> list[Key]:
    """Sessions with items that have expired, unless a legal hold keeps them."""
    c, s = models.session_items.c, models.sessions.c
    same = (s.tenant_id == c.tenant_id) & (s.session_id == c.session_id)
    chosen = (
        select(c.tenant_id, c.session_id)
        .join(models.sessions, same)
        .where(c.expires_at <= now, s.hold_count == 0)
        .limit(limit)
    )
    return sorted({(row[0], row[1]) for row in connection.execute(chosen)})


def remove_expired_of(connection: Connection, key: Key, now: int) -> int:
    """Remove a session's items that have expired; its lock is held."""
    c = models.session_items.c
    return connection.execute(
        delete(models.session_items).where(
            c.tenant_id == key[0], c.session_id == key[1], c.expires_at <= now
        )
    ).rowcount


def _remove(connection: Connection, places: Sequence[Any]) -> int:
    if not places:
        return 0
    bound = dialect_of(connection).bound_rows("tenant_id", "namespace", "key")
    these = tuple_(I.tenant_id, I.namespace, I.key).in_(
        select(bound.c.tenant_id, bound.c.namespace, bound.c.key)
    )
    given = {"bound": dumps([tuple(place) for place in places]).decode()}
    return connection.execute(delete(models.items).where(these), given).rowcount


def _table(owner: Owner) -> Table:
    return models.items if owner[1] is None else models.session_items


def _of(table: Table, owner: Owner) -> list[ColumnElement[bool]]:
    of = [table.c.tenant_id == owner[0]]
    return of if owner[1] is None else [*of, table.c.session_id == owner[1]]


def _begins(
    key: ColumnElement[str], prefix: str | None, after: tuple[str, str] | None
) -> list[Any]:
    """That a key begins with `prefix` and lies behind the last page, as one range of
    the index: by code point."""
    within: list[Any] = []
    if after is not None:
        within.append(key > after[1])
    elif prefix:
        within.append(key >= prefix)
    end = _behind(prefix or "")
    return within if end is None else [*within, key < end]


def _between(
    order: Sequence[ColumnElement[str]],
    user_id: str | None,
    prefix: str | None,
    after: tuple[str, str] | None,
) -> list[ColumnElement[bool]]:
    """The same of namespaces, each with its keys, and of one user where that is asked;
    no key is empty. An owner is asked for as a range too: told to be equal, SQLite
    takes the primary key, which has the order, and reads all items of the tenant."""
    place, owner = tuple_(*order), [] if user_id is None else [user_id]
    within: list[ColumnElement[bool]] = []
    if after is not None or prefix or owner:
        within.append(place > tuple_(*owner, *(after or (prefix or "", ""))))
    end = _behind(prefix or "")
    if end is not None:
        within.append(place < tuple_(*owner, end, ""))
    if user_id is not None:  # also says to the planner that it is not null
        within.append(I.user_id <= user_id)
    return within


def _behind(prefix: str) -> str | None:
    """The first text behind all that begin with `prefix`."""
    while prefix:
        number = ord(prefix[-1]) + 1
        if number in _SURROGATES:
            number = _SURROGATES.stop
        if number <= _LAST:
            return prefix[:-1] + chr(number)
        prefix = prefix[:-1]
    return None


def _item(table: Table, row: Sequence[Any]) -> Item:
    names = [column.name for column in table.c]
    return item_from_row(dict(zip(names, row, strict=True)))
