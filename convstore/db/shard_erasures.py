"""How far an erasure of a user is on each shard: rows of the home database.

They come in the commit that begins the erasure, so that a crash cannot forget a shard,
and name the user until the shard has nothing left of them.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection, insert, select, update

from convstore.db import actors, models
from convstore.vocabulary.codec import decode_json, dumps
from convstore.vocabulary.record import Value

P = models.shard_erasures.c
S = models.sessions.c


class Part(Value, frozen=True):
    """An erasure on one shard; `receipt` is what it has told so far."""

    shard: int
    user_id: str | None
    receipt: dict[str, Any] | None
    done_at: int | None


def begin(
    connection: Connection, tenant: str, erasure_id: str, user_id: str, shards: int
) -> None:
    """Note that an erasure is to be carried out on every shard."""
    key = {"tenant_id": tenant, "erasure_id": erasure_id, "user_id": user_id}
    rows = [key | {"shard": number} for number in range(shards)]
    connection.execute(insert(models.shard_erasures), rows)


def of(connection: Connection, tenant: str, erasure_id: str) -> list[Part]:
    """The parts of an erasure by shard; none of one that is of one database."""
    rows = connection.execute(
        select(P.shard, P.user_id, P.receipt, P.done_at)
        .where(P.tenant_id == tenant, P.erasure_id == erasure_id)
        .order_by(P.shard)
    )
    return [
        Part(shard, user_id, None if told is None else decode_json(told), done_at)
        for shard, user_id, told, done_at in rows
    ]


def unfinished(connection: Connection) -> list[tuple[str, str]]:
    """Tenants and ids of erasures that some shard has not carried out, oldest first."""
    rows = connection.execute(
        select(P.tenant_id, P.erasure_id)
        .where(P.done_at.is_(None))
        .distinct()
        .order_by(P.erasure_id)
    )
    return [(tenant, erasure_id) for tenant, erasure_id in rows]


def note(
    connection: Connection,
    tenant: str,
    erasure_id: str,
    shard: int,
    receipt: Any,
    done_at: int | None,
) -> None:
    """Keep what a shard has told; with `done_at` the user is named no more."""
    values = {"receipt": dumps(receipt).decode(), "done_at": done_at}
    if done_at is not None:
        values["user_id"] = None
    connection.execute(
        update(models.shard_erasures)
        .where(
            P.tenant_id == tenant,
            P.erasure_id == erasure_id,
            P.shard == shard,
            P.done_at.is_(None),
        )
        .values(values)
    )


def held(connection: Connection, tenant: str, user_id: str) -> tuple[str, ...]:
    """Sessions that are under legal hold, of a user or with something that they did."""
    rows = connection.execute(
        select(S.session_id)
        .where(S.tenant_id == tenant, S.user_id == user_id, S.hold_count > 0)
        .order_by(S.session_id)
    )
    done = actors.held(connection, tenant, user_id)
    return tuple(sorted({*rows.scalars(), *done}))
