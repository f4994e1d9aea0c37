"""Work in an application's transaction on PostgreSQL: a savepoint around each write,
on an inner connection that leaves the application's settings and logs alone."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

from sqlalchemy import Connection, Engine, text

from convstore.db.dialects.base import (
    SEARCH,
    in_schema,
    schema_of,
    silent_logging_name,
)
from convstore.db.joined import told
from convstore.db.visits import Guest, Visit
from convstore.vocabulary.errors import ConfigError, ConvstoreError

if TYPE_CHECKING:
    from convstore.db.dialects.base import Backend, Work

T = TypeVar("T")

_ANOTHER = (
    "the connection is to another database, or finds no tables of the store there: "
    "join one to the store's database"
)
# The last tells servers apart, whose numbers begin alike.
_IDENTITY = (
    "SELECT CAST(CAST(to_regclass(CAST(:sessions AS text)) AS oid) AS bigint), "
    "(SELECT CAST(oid AS bigint) FROM pg_database WHERE datname = current_database()), "
    "(SELECT system_identifier FROM pg_control_system())"
)


class PostgresGuest(Guest):
    """Joins connections of asyncpg and psycopg to the database of `backend`."""

    def __init__(self, backend: Backend, busy_timeout_s: float) -> None:
        super().__init__()
        self._backend = backend
        self._lock_timeout = f"{int(busy_timeout_s * 1000)}ms"
        self._identity: tuple[Any, ...] | None = None

    async def check(self, visit: Visit) -> None:
        if "checked" in visit.kept:
            return
        if self._identity is None:
            self._identity = await self._backend.read(_identity)
        found = await self.read(visit, _identity)
        if found != self._identity or None in found:
            raise ConfigError(_ANOTHER)
        visit.kept["checked"] = True

    async def read(self, visit: Visit, work: Work[T]) -> T:
        def unit() -> T:
            try:
                with told(self._backend.dialect):
                    return _told_apart(work, self._inner(visit))
            except _RefusedError as refused:
                raise refused.error from None
            except BaseException as error:
                # The server has failed the transaction: its COMMIT would be a ROLLBACK
                # that the driver calls a success.
                visit.lose(error)
                raise

        return await self._seen(visit, unit)

    async def write(self, visit: Visit, work: Work[T]) -> T:
        def unit() -> T:
            with told(self._backend.dialect):
                return self._write(visit, work)

        return await self._seen(visit, unit)

    async def _seen(self, visit: Visit, unit: Callable[[], T]) -> T:
        try:
            return await visit.hop(unit)
        except Exception:
            raise
        except BaseException as error:
            await visit.lost(error)  # where a second cancellation came between
            raise

    def _write(self, visit: Visit, work: Work[T]) -> T:
        inner = self._inner(visit)
        try:
            _run(inner, "SAVEPOINT convstore_call")
            (before,) = _run(
                inner,
                "SELECT current_setting('lock_timeout'), "
                f"set_config('lock_timeout', '{self._lock_timeout}', true)",
            )
        except BaseException as error:
            visit.lose(error)
            raise
        try:
            result = work(inner)
            _run(inner, f"SELECT set_config('lock_timeout', '{before[0]}', true)")
            _run(inner, "RELEASE SAVEPOINT convstore_call")
        except Exception:
            self._undo(visit, inner)
            raise
        except BaseException as error:
            visit.lose(error)
            raise
        return result

    def _undo(self, visit: Visit, inner: Connection) -> None:
        """Go back to before the call, lock_timeout included."""
        try:
            _run(inner, "ROLLBACK TO SAVEPOINT convstore_call")
            _run(inner, "RELEASE SAVEPOINT convstore_call")
        except BaseException as error:
            visit.lose(error)
            if not isinstance(error, Exception):
                raise

    def _inner(self, visit: Visit) -> Connection:
        inner: Connection | None = visit.kept.get("inner")
        if inner is None:
            outer = visit.outer
            host = outer.engine
            engine = Engine(
                host.pool,
                outer.dialect,
                host.url,
                hide_parameters=True,
                logging_name=silent_logging_name(),
                # Wherever the application's search_path leads.
                execution_options={
                    **in_schema(self._backend.schema or "public"),
                    SEARCH: self._backend.search,
                },
            )
            # Listeners that an application has put on the class would see our rows.
            engine._has_events = False
            inner = Connection(engine, connection=outer.connection, _has_events=False)
            # Else an error would roll back the driver. Never ended: that is the
            # application's.
            inner.begin()
            visit.kept["inner"] = inner
        return inner


class _RefusedError(Exception):
    """The work itself has refused, and the server knows of no failure."""

    def __init__(self, error: ConvstoreError) -> None:
        self.error = error
        super().__init__()


def _told_apart(work: Work[T], inner: Connection) -> T:
    try:
        return work(inner)
    except ConvstoreError as error:
        raise _RefusedError(error) from None


def _run(connection: Connection, statement: str) -> list[Any]:
    """One statement on the driver's own cursor, as our prepared ones."""
    cursor = connection.connection.cursor()
    try:
        cursor.execute(statement)
        return list(cursor.fetchall()) if cursor.description else []
    finally:
        cursor.close()


def _identity(connection: Connection) -> tuple[Any, ...]:
    quoted = connection.dialect.identifier_preparer.quote_identifier
    sessions = f"{quoted(schema_of(connection) or '')}.sessions"
    return tuple(connection.execute(text(_IDENTITY), {"sessions": sessions}).one())
