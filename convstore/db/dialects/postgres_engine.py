"""Engines: by a URL, or as an application's connects.

An application's pool is not shared: requests that hold its connections while they
append would wait for each other. One that is made anew keeps what makes connections:
the URL, creators, tokens, TLS, and the listeners that set them up.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from sqlalchemy import Connection, Engine, event
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine
from sqlalchemy.pool import NullPool, QueuePool

from convstore.db.dialects.base import silent_logging_name
from convstore.vocabulary.errors import ConfigError

if TYPE_CHECKING:
    from convstore.db.dialects.base import BackendOptions
    from convstore.db.dialects.postgres_url import PostgresTarget

_DRIVERS = ("asyncpg", "psycopg")
NEEDED = {
    # Under a stricter level the same statements fail nine times in ten.
    "default_transaction_isolation": "read committed",
    "default_transaction_read_only": "off",
    "default_transaction_deferrable": "off",
}
"""What the server is told as a connection starts, whatever role, database or URL say:
without it the store's own statements fail or mean something else."""

_USUAL = {
    "application_name": "convstore",
    # A limit set for an application's short statements would cut off long work of
    # ours, such as an archive of many sessions. Locks have a limit of their own.
    "statement_timeout": "0",
    "idle_in_transaction_session_timeout": "0",
}
"""Likewise, where the URL does not say otherwise."""


def engine_like(host: AsyncEngine, options: BackendOptions) -> AsyncEngine:
    """The engine; closing it leaves the application's alone.

    Raises:
        ConfigError: Its driver or its pool cannot be used by many tasks of ours.
    """
    given = host.sync_engine
    if given.dialect.driver not in _DRIVERS:
        raise ConfigError(
            f"the driver {given.dialect.driver} cannot be used: give an engine with "
            "postgresql+asyncpg or postgresql+psycopg"
        )
    if not isinstance(given.pool, QueuePool | NullPool):
        raise ConfigError(
            f"the engine's {type(given.pool).__name__} gives one connection to many: "
            "leave poolclass as it is, or use NullPool"
        )
    pool = given.pool.recreate()
    lock_timeout = f"{int(options.limits.busy_timeout_s * 1000)}"
    engine = Engine(
        pool,
        given.dialect,
        given.url,
        hide_parameters=True,
        logging_name=silent_logging_name(),
    )
    if options.pooler == "transaction":

        @event.listens_for(engine, "begin")
        def begin(connection: Connection) -> None:
            connection.exec_driver_sql(_within_one(lock_timeout))

    else:

        @event.listens_for(pool, "connect")
        def connect(driver: Any, _: object) -> None:
            cursor = driver.cursor()
            cursor.execute(_told({**NEEDED, "lock_timeout": lock_timeout}, "false"))
            cursor.close()
            driver.commit()  # or the setting would go with the first rollback

    return AsyncEngine(engine)


def _within_one(lock_timeout: str) -> str:
    """For a pooler that would let what is set outlive the transaction."""
    return _told({"lock_timeout": lock_timeout, "statement_timeout": "0"}, "true")


def _told(settings: Mapping[str, str], local: str) -> str:
    """One statement that sets all of them. None of the texts is anybody's input."""
    calls = (f"set_config('{k}', '{v}', {local})" for k, v in settings.items())
    return f"SELECT {', '.join(calls)}"


def new_engine(
    target: PostgresTarget, options: BackendOptions, lanes: int, *, pooled: bool
) -> AsyncEngine:
    """An engine of our own, by asyncpg, with room for `lanes` of writers."""
    lock_timeout = f"{int(options.limits.busy_timeout_s * 1000)}"
    settings: dict[str, Any] = {
        "timeout": options.limits.busy_timeout_s,
        **target.arguments,
    }
    if pooled:
        # A transaction pooler takes the server away behind each transaction, and hands
        # it to another client. So nothing is kept there: each statement is prepared
        # without a name, in the transaction that runs it, lone ones in one too: to
        # prepare and to run are two messages, which might go to two servers.
        settings["statement_cache_size"] = 0
        settings["prepared_statement_cache_size"] = 0
        settings["prepared_statement_name_func"] = str
        settings["server_settings"] = target.server_settings
    else:
        settings["server_settings"] = {
            **_USUAL,
            **target.server_settings,
            **NEEDED,
            "lock_timeout": lock_timeout,
        }
    engine = create_async_engine(
        target.url,
        connect_args=settings,
        json_deserializer=None if options.reflects else _verbatim,
        pool_size=options.pool_size + lanes,
        max_overflow=0,
        pool_timeout=options.limits.busy_timeout_s,
        hide_parameters=True,
        logging_name=silent_logging_name(),
    )
    if pooled:

        @event.listens_for(engine.sync_engine, "begin")
        def begin(connection: Connection) -> None:
            connection.exec_driver_sql(_within_one(lock_timeout))

    return engine


def _verbatim(text: str) -> str:
    """JSON stays text until a record is built, as on every database."""
    return text
