"""Which database of a store over several this is: its mark, and who may be opened."""

from __future__ import annotations

from sqlalchemy import Connection, select, update

from convstore.db import models
from convstore.db.dialects import dialect_of
from convstore.db.dialects.base import Backend
from convstore.vocabulary.errors import ConfigError
from convstore.vocabulary.ids import new_id
from convstore.vocabulary.sharding import Mark, Seat, name_of

M = models.shard_marks.c
_ONLY = 1


def find(connection: Connection) -> Mark | None:
    """The database's mark; None where it is of no store over several."""
    row = connection.execute(
        select(M.store_id, M.shard, M.shards, M.is_complete)
    ).one_or_none()
    return None if row is None else Mark(row[0], row[1], row[2], bool(row[3]))


async def take_seat(backend: Backend, seat: Seat | None) -> Mark | None:
    """See that a database is opened as what it is; mark it, where a store is made.

    Raises:
        ConfigError: It is another one, of another store, of another number of shards,
            not marked though its store was made, or holds sessions that nobody placed.
    """
    mark = await backend.read(find)
    if seat is None:
        if mark is not None:
            raise ConfigError(
                f"this database is {name_of(mark.number, mark.of)} of a store over "
                "several: open it with SHARDS"
            )
        return None
    if mark is None:
        if not seat.is_new:
            raise ConfigError(
                f"{_called(seat)} has no mark, though the store was made: this is "
                "another database, or an older backup of it"
            )
        mark = await backend.write(lambda connection: _mark(connection, seat))
    _check(mark, seat)
    return mark


async def complete(backend: Backend) -> None:
    """Note, in the home database, that all shards have their marks."""
    await backend.write(
        lambda connection: connection.execute(
            update(models.shard_marks).values(is_complete=1)
        )
    )


def _mark(connection: Connection, seat: Seat) -> Mark:
    held = connection.execute(select(models.sessions.c.session_id).limit(1)).first()
    if held is not None:
        raise ConfigError(
            f"{_called(seat)} holds sessions already, and nobody placed them: begin "
            "with empty databases, and export and import what is there"
        )
    row = {
        "id": _ONLY,
        "store_id": seat.store_id or new_id(),
        "shard": seat.number,
        "shards": seat.of,
        "is_complete": 0,
    }
    # Another process may make the same store now: the first one's mark counts.
    insert = dialect_of(connection).insert_ignore(models.shard_marks)
    connection.execute(insert, row)
    mark = find(connection)
    assert mark is not None
    return mark


def _check(mark: Mark, seat: Seat) -> None:
    if mark.of != seat.of:
        raise ConfigError(
            f"{_called(seat)}: this database belongs to a store of {mark.of} shards, "
            f"and SHARDS names {seat.of}; their number is settled for ever"
        )
    if mark.number != seat.number:
        raise ConfigError(
            f"{_called(seat)}: this database is {name_of(mark.number, mark.of)}; name "
            "the shards in the order in which the store was made"
        )
    if seat.store_id is not None and mark.store_id != seat.store_id:
        raise ConfigError(f"{_called(seat)}: this database is of another store")


def _called(seat: Seat) -> str:
    return name_of(seat.number, seat.of)
