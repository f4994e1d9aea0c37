"""Opens a database: the right backend for a URL, and a schema that fits the code."""

from __future__ import annotations

from typing import Protocol, TypeVar

from sqlalchemy import Connection

from convstore.db import schema
from convstore.db.dialects import dialect_of_url
from convstore.db.dialects.base import Backend, BackendOptions, Work
from convstore.db.unit import Operation
from convstore.vocabulary.errors import ConfigError

__all__ = [
    "Backend",
    "BackendOptions",
    "Connection",
    "Runner",
    "Work",
    "open_backend",
    "url_of",
]

T = TypeVar("T")


def url_of(engine: object) -> str:
    """The URL, without a driver, of an application's engine.

    Raises:
        ConfigError: It is no `AsyncEngine`, or of a database in memory.
    """
    from sqlalchemy.ext.asyncio import AsyncEngine

    if not isinstance(engine, AsyncEngine):
        raise ConfigError(
            "a store is opened with a URL, settings, or an AsyncEngine of SQLAlchemy, "
            f"not with a {type(engine).__name__}"
        )
    url = engine.url
    name = url.get_backend_name()
    if name == "sqlite":
        if not url.database or url.database.startswith((":memory:", "file:")):
            raise ConfigError(
                "the engine's database is in memory, or named by a URI: a store opens "
                "the file by its name"
            )
        return f"sqlite:///{url.database}"
    return url.set(drivername=name).render_as_string(hide_password=False)


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
