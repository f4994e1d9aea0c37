"""Which archive folder is this database's: its half of what the folder says.

The number and the token of the newest generation are here and there. The next token is
noted here before it is published there: a worker that dies in between, or another one
of this database, knows it again for its own.
"""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import Connection, func, select, update

from convstore.db import models
from convstore.db.dialects import dialect_of
from convstore.vocabulary.codec import decode_json, dumps
from convstore.vocabulary.record import Value

F = models.archive_folder.c
G = models.archive_segments.c
_ONLY = 1


class Claim(Value, frozen=True):
    """The folder that this database archives to.

    Attributes:
        folder_id: As in the folder's mark.
        generation: The newest that this database knows to be in the folder; 0 before
            the first.
        token: Of that generation.
        next_token: Of the one that is being published.
        instance: What told this database from a copy of it when it last wrote here.
    """

    folder_id: str
    generation: int
    token: str | None
    next_token: str | None
    instance: tuple[str, ...]


def find(connection: Connection) -> Claim | None:
    """The folder of this database; None before the first."""
    row = connection.execute(
        select(F.folder_id, F.generation, F.token, F.next_token, F.instance)
    ).one_or_none()
    if row is None:
        return None
    instance = () if row.instance is None else tuple(decode_json(row.instance))
    return Claim(row.folder_id, row.generation, row.token, row.next_token, instance)


def has_archived(connection: Connection) -> bool:
    """Whether the ledger knows a segment that must be in the folder."""
    statement = (
        select(G.segment_id).where(G.state.in_(("sealed", "quarantined"))).limit(1)
    )
    return connection.execute(statement).first() is not None


def newest_segments(connection: Connection, limit: int) -> list[tuple[str, int]]:
    """Keys and sizes of the segments that were sealed last."""
    rows = connection.execute(
        select(G.key, G.size_bytes)
        .where(G.state.in_(("sealed", "quarantined")))
        .order_by(func.coalesce(G.sealed_at, 0).desc(), G.segment_id.desc())
        .limit(limit)
    )
    return [(key, size) for key, size in rows]


def bind(connection: Connection, folder_id: str, instance: Sequence[str]) -> str:
    """Bind the database to a folder, once; the id in force, if another was quicker."""
    insert = dialect_of(connection).insert_ignore(models.archive_folder)
    row = {"id": _ONLY, "folder_id": folder_id, "generation": 0}
    connection.execute(insert, row | {"instance": _json(instance)})
    found: str = connection.execute(select(F.folder_id)).scalar_one()
    return found


def announce(connection: Connection, generation: int, token: str) -> Claim | None:
    """Note the token of the generation after this one, if no worker has noted one yet;
    the folder as it is noted then."""
    connection.execute(
        update(models.archive_folder)
        .where(F.generation == generation, F.next_token.is_(None))
        .values(next_token=token)
    )
    return find(connection)


def advance(
    connection: Connection, generation: int, token: str, instance: Sequence[str]
) -> None:
    """Note that a generation is in the folder. Idempotent."""
    connection.execute(
        update(models.archive_folder)
        .where(F.generation == generation - 1)
        .values(
            generation=generation,
            token=token,
            next_token=None,
            instance=_json(instance),
        )
    )


def take(connection: Connection, claim: Claim) -> None:
    """Make a folder this database's, in place of the one that it had."""
    values = {
        "folder_id": claim.folder_id,
        "generation": claim.generation,
        "token": claim.token,
        "next_token": None,
        "instance": _json(claim.instance),
    }
    insert = dialect_of(connection).insert_ignore(models.archive_folder)
    connection.execute(insert, {"id": _ONLY, **values})
    connection.execute(update(models.archive_folder).values(values))


def _json(instance: Sequence[str]) -> str:
    return dumps(list(instance)).decode()
