"""Opens a database: the right backend for a URL, and a schema that fits the code."""

from __future__ import annotations

from typing import Protocol, TypeVar

from sqlalchemy import Connection

from convstore.db import schema
from convstore.db.dialects import dialect_of_url
from convstore.db.dialects.base import Backend, BackendOptions, Finding, Work
from convstore.db.unit import Operation

__all__ = [
    "Backend",
    "BackendOptions",
    "Connection",
    "Finding",
    "Runner",
    "Work",
    "open_backend",
]

T = TypeVar("T")


class Runner(Protocol):
    """Where reading work and writing operations are carried out."""

    @property
    def in_transaction(self) -> bool:
        """Whether a caller holds a transaction open around all of it."""
        ...

    async def read(self, work: Work[T], *, snapshot: bool = False) -> T:
        """Run reading work."""
        ...

    async def write(self, operation: Operation[T]) -> T:
        """Carry out one operation; durable on return, unless in a transaction."""
        ...


async def open_backend(options: BackendOptions) -> Backend:
    """A backend whose database is at this code's revision.

    A database without any table is migrated if it is a SQLite file: whoever opens
    `sqlite:///chat.db` for the first time means to begin. Nothing else is changed.

    Raises:
        SchemaMismatchError: At another revision; the message says what to run.
    """
    backend = dialect_of_url(options.url).open(options)
    try:
        await backend.locate()
        if backend.migrates_itself and await backend.read(schema.is_empty):
            await backend.write(_begin)
        await backend.read(schema.check)
    except BaseException:
        await backend.close()
        raise
    return backend


def _begin(connection: Connection) -> None:
    # Another process may have been first while this one waited for the write lock.
    if schema.is_empty(connection):
        from convstore.db.migrate import upgrade_on  # alembic is slow to import

        upgrade_on(connection)
