"""PostgreSQL through asyncpg: synchronous units of work inside SQLAlchemy's run_sync.

READ COMMITTED with row locks on sessions: under REPEATABLE READ the same statements
fail nine times in ten when callers race. Only transaction-scoped state is used, so
that a pooler which pools by transaction is safe.
"""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from sqlalchemy import (
    Boolean,
    Column,
    ColumnElement,
    Connection,
    FromClause,
    Select,
    Table,
    Text,
    bindparam,
    case,
    cast,
    func,
    literal_column,
    select,
    text,
)
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine
from sqlalchemy.pool import QueuePool

from convstore.concurrency.completion import finished
from convstore.db import citus
from convstore.db.dialects.base import (
    SEARCH,
    Backend,
    BackendOptions,
    Dialect,
    Home,
    OpenTransaction,
    Work,
    in_schema,
)
from convstore.db.dialects.postgres_engine import engine_like, new_engine
from convstore.db.dialects.postgres_errors import Translating
from convstore.db.dialects.postgres_health import examine
from convstore.db.dialects.postgres_resting import (
    DIRECT,
    Resting,
    empty_the_pool,
    fetched,
    let_go_of_the_interrupted,
    without_a_trace,
)
from convstore.db.dialects.postgres_schema import (
    Identified,
    led_to,
    number_of,
    schema_in,
)
from convstore.db.dialects.postgres_url import postgres_target
from convstore.db.dialects.postgres_words import PostgresWords
from convstore.db.errors import ours, translated
from convstore.db.models import JsonText
from convstore.db.models.columns import is_json_text
from convstore.vocabulary.errors import (
    ConfigError,
    DatabaseBusyError,
    DatabaseUnavailableError,
    InvalidInputError,
    MissingExtraError,
    ReadOnlyDatabaseError,
    StoreClosedError,
)
from convstore.vocabulary.progress import OnProgress
from convstore.vocabulary.reports import Finding

if TYPE_CHECKING:
    from convstore.db.visits import Guest

T = TypeVar("T")

_SNAPSHOT = re.compile(r"[0-9A-F]+(-[0-9A-F]+){1,3}", re.ASCII)
# A deadlock or a lost connection before COMMIT left nothing behind: run it again.
_SHORT = 16
_ATTEMPTS = 4


class PostgresDialect(Identified, Translating, Dialect):
    """Words and errors of PostgreSQL."""

    name = "postgresql"
    has_far_server = True
    has_row_locks = True
    shares_snapshots = True
    joins = ("asyncpg", "psycopg")
    has_lateral = True
    words = PostgresWords()
    # A page keeps the text of a dead row until it is written over, VACUUM or not.
    residue = ("table_pages", "index_pages", "write_ahead_log")

    def open(self, options: BackendOptions) -> Backend:
        if options.engine is not None:
            return PostgresBackend(self, options)
        try:
            import asyncpg  # noqa: F401
        except ImportError as error:
            raise MissingExtraError("PostgreSQL", "postgres") from error
        return PostgresBackend(self, options)

    def new_insert(self, table: Table) -> Any:
        return insert(table)

    def bound_rows(self, *names: str) -> FromClause:
        rows = func.json_array_elements(bindparam("bound", type_=JsonText()))
        row = rows.table_valued("value").c.value
        columns = (
            row.op("->>")(literal_column(str(place))).label(name)
            for place, name in enumerate(names)
        )
        return select(*columns).subquery("bound")

    def length(self, column: Column[Any]) -> ColumnElement[int]:
        if not is_json_text(column):
            return func.octet_length(column)
        # To be measured, JSON is written out, and most of it is "{}". What takes fewer
        # bytes than this is not packed, or holds some hundred.
        short = func.pg_column_size(column) < _SHORT
        return case((short, _SHORT), else_=func.octet_length(cast(column, Text)))

    def members(
        self, column: ColumnElement[str]
    ) -> tuple[ColumnElement[str], ColumnElement[str], FromClause]:
        each = func.json_each_text(column).table_valued("key", "value")
        each = each.render_derived(name="member")
        return each.c.key, each.c.value, each

    # FOR NO KEY UPDATE, as an UPDATE of ours takes it: no key is ever changed, and what
    # only refers to a row, such as the ledger's entry of an archived session, need not
    # wait for those who write to it.
    def locked(self, statement: Select[Any], table: Table) -> Select[Any]:
        in_order = statement.order_by(*table.primary_key.columns)
        return in_order.with_for_update(of=table, key_share=True)

    def skip_locked(self, statement: Select[Any]) -> Select[Any]:
        return statement.with_for_update(skip_locked=True, key_share=True)

    def claimed(self, *key: ColumnElement[str]) -> ColumnElement[bool]:
        return func.pg_try_advisory_xact_lock(number_of(key), type_=Boolean)

    def claim(self, *key: ColumnElement[str]) -> ColumnElement[Any]:
        return func.pg_advisory_xact_lock(number_of(key))

    def bound_waits(self, connection: Connection, wait_s: float) -> None:
        connection.exec_driver_sql(f"SET LOCAL lock_timeout = {int(wait_s * 1000)}")

    def share_snapshot(self, connection: Connection) -> str:
        return str(connection.execute(select(func.pg_export_snapshot())).scalar_one())

    def adopt_snapshot(self, connection: Connection, name: str) -> None:
        if _SNAPSHOT.fullmatch(name) is None:
            raise InvalidInputError("snapshot", "is no name of a snapshot")
        # It takes no bound value.
        connection.execute(text(f"SET TRANSACTION SNAPSHOT '{name}'"))

    def fetch(self, connection: Connection, sql: str, bound: Any) -> list[Any]:
        if connection.get_execution_options().get(DIRECT, False):
            return fetched(connection, sql, bound)
        return super().fetch(connection, sql, bound)


class PostgresBackend(Backend):
    """The connections to one PostgreSQL database."""

    lanes = 2
    migrates_itself = False

    def __init__(self, dialect: Dialect, options: BackendOptions) -> None:
        self.dialect = dialect
        self._limits = options.limits
        self._schema = schema_in(options)
        self._pooled = options.pooler == "transaction"
        self.opens_by_url = options.engine is None
        if options.engine is None:
            target = postgres_target(options.url)
            self._pooled = self._pooled or target.pooled
            engine = new_engine(target, options, self.lanes, pooled=self._pooled)
        else:
            engine = engine_like(options.engine, options)
        self.search = options.search
        engine = engine.execution_options(**{SEARCH: options.search})
        direct = engine.dialect.driver == "asyncpg" and not self._pooled
        self._reader = engine.execution_options(
            isolation_level="AUTOCOMMIT", **{DIRECT: direct}
        )
        self._resting = Resting(rests=direct and self.opens_by_url)
        # Whatever level an application has set for transactions of its own. Beside the
        # other: of two levels, one on the other, the lower one is in force.
        self._engine = (
            engine
            if options.engine is None
            else engine.execution_options(isolation_level="READ COMMITTED")
        )
        self._closed = False
        self._home = Home()

    async def locate(self) -> None:
        schema, encoding, self.is_spread = await self.read(_place)
        if encoding != "UTF8":
            # It would go well until somebody says what has no letter there.
            raise ConfigError(
                f"URL: the database is encoded as {encoding}: make one with CREATE "
                "DATABASE … ENCODING 'UTF8' TEMPLATE template0"
            )
        if self._schema is None:
            self._schema = led_to(schema)
        named = in_schema(self._schema)
        self._engine = self._engine.execution_options(**named)
        self._reader = self._reader.execution_options(**named)
        await self._resting.give_up()  # they know nothing of the schema

    @property
    def schema(self) -> str | None:
        """Where the tables are; known once the backend is ready."""
        return self._schema

    async def read(self, work: Work[T], *, snapshot: bool = False) -> T:
        self._check_open()
        for _ in range(_ATTEMPTS - 1):
            # The pool may have held connections of before a restart: reads can be
            # repeated without harm, on a fresh one.
            with suppress(DatabaseUnavailableError):
                return await self._read(work, snapshot)
        return await self._read(work, snapshot)

    async def _read(self, work: Work[T], snapshot: bool) -> T:
        with translated(self.dialect):
            if not (snapshot or self._pooled):
                return await self._run_at_once(work)
            async with self._connected(self._engine) as connection:
                await connection.execution_options(
                    isolation_level="REPEATABLE READ" if snapshot else "READ COMMITTED",
                    postgresql_readonly=True,
                )
                return await connection.run_sync(_Unit(work).look)

    async def write(self, work: Work[T]) -> T:
        self._check_open()
        deadline = time.monotonic() + self._limits.busy_timeout_s
        for attempt in range(1, _ATTEMPTS + 1):
            unit = _Unit(work)
            try:
                with translated(self.dialect):
                    async with self._connected(self._engine) as connection:
                        return await connection.run_sync(unit.run)
            except (DatabaseBusyError, DatabaseUnavailableError) as error:
                lost = isinstance(error, DatabaseUnavailableError)
                # A connection lost during COMMIT leaves the outcome unknown: only the
                # caller, with an external id, can ask what became of it.
                # A lock that was not to be had in the time set is not waited for again.
                late = time.monotonic() > deadline
                if attempt == _ATTEMPTS or late or (lost and unit.committing):
                    raise
                await asyncio.sleep(0.002 * attempt if not lost else 0.05 * attempt)
        raise AssertionError("unreachable")

    async def tidy(self, work: Work[T]) -> T:
        # An index is made anew beside the old one outside of any transaction.
        self._check_open()
        with translated(self.dialect):
            async with self._connected(self._reader) as connection:
                return await connection.run_sync(work)

    async def write_at_once(self, work: Work[T]) -> T:
        self._check_open()
        with translated(self.dialect):
            if self._pooled:
                async with self._connected(self._engine) as connection:
                    return await connection.run_sync(_Unit(work).run)
            return await self._run_at_once(work)

    async def _run_at_once(self, work: Work[T]) -> T:
        """Run work in autocommit, on a connection that rests if there is one."""
        connection = await self._resting.take(self._reader)
        kept = False
        try:
            result: T = await connection.run_sync(without_a_trace(work))
            kept = not self._closed and self._resting.rest(connection)
        except BaseException as error:
            await self._let_go(connection, error)
            raise
        finally:
            if not kept:
                await finished(self._give_back(connection))
        return result

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[OpenTransaction]:
        self._check_open()
        with translated(self.dialect):
            connection = await self._resting.connect(self._engine)
        try:
            with translated(self.dialect):
                await connection.begin()
            yield _PostgresTransaction(connection, self.dialect)
            # Seen through even when the caller is cancelled meanwhile: a commit that
            # was sent is either done or not, and the answer is awaited.
            await finished(self._commit(connection))
        except BaseException as error:
            if isinstance(error, DatabaseUnavailableError):
                await self._let_go_of_the_lost(connection)
            elif not isinstance(error, Exception):
                await let_go_of_the_interrupted(connection)
            raise
        finally:
            await finished(self._give_back(connection))

    @asynccontextmanager
    async def _connected(self, engine: AsyncEngine) -> AsyncIterator[AsyncConnection]:
        connection = await self._resting.connect(engine)
        try:
            yield connection
        except BaseException as error:
            await self._let_go(connection, error)
            raise
        finally:
            # Back in the pool before the caller is told, cancelled or not: SQLAlchemy's
            # own block leaves that to a task behind its back, and a store that is
            # closed just then would leave the connection open.
            await finished(self._give_back(connection))

    async def _let_go(self, connection: AsyncConnection, error: BaseException) -> None:
        """Give nobody else a connection that this error has left in doubt."""
        if not isinstance(error, Exception):
            await let_go_of_the_interrupted(connection)
            return
        known = ours(self.dialect, error)
        # A server that has become a standby is not the one to ask again.
        if isinstance(known, DatabaseUnavailableError | ReadOnlyDatabaseError):
            await self._let_go_of_the_lost(connection)

    async def _let_go_of_the_lost(self, connection: AsyncConnection) -> None:
        await self._resting.give_up(lost=True)
        await empty_the_pool(connection)

    async def _give_back(self, connection: AsyncConnection) -> None:
        used = connection.sync_connection
        if self._closed and used is not None and not used.invalidated:
            # The pool was disposed of while this one was in use, and what goes back to
            # it now nobody closes.
            used.detach()
        await connection.close()

    async def _commit(self, connection: AsyncConnection) -> None:
        with translated(self.dialect):
            await connection.commit()

    def new_guest(self) -> Guest:
        from convstore.db.dialects.postgres_joined import PostgresGuest

        return PostgresGuest(self, self._limits.busy_timeout_s)

    async def size_bytes(self) -> int:
        return await self.read(
            lambda c: int(
                c.execute(
                    text("SELECT pg_database_size(current_database())")
                ).scalar_one()
            )
        )

    async def examine(self) -> list[Finding]:
        return await self.read(examine)

    async def maintain(self, on_progress: OnProgress | None = None) -> dict[str, int]:
        return {}  # autovacuum does it

    def checked_out(self) -> int:
        pool = self._engine.pool  # another kind keeps no count
        if not isinstance(pool, QueuePool):
            return 0
        return pool.checkedout() - self._resting.count

    async def close(self) -> None:
        if not self._home.is_forked:
            self._closed = True
            # Again, too: of one that was cancelled connections are left.
            await self._resting.give_up()
            await self._engine.dispose()

    def _check_open(self) -> None:
        self._home.check()
        if self._closed:
            raise StoreClosedError("the store is closed")


def _place(connection: Connection) -> tuple[str | None, str, bool]:
    """The schema, the encoding, and whether it is a database of Citus."""
    encoding = func.current_setting("server_encoding")
    spread = text(f"EXISTS ({citus.VERSION})")
    asked = select(func.current_schema(), encoding, spread)
    place, name, is_spread = connection.execute(asked).one()
    return place, name, bool(is_spread)


class _Unit(Generic[T]):
    """Work and its commit, in one go; remembers whether COMMIT was sent."""

    def __init__(self, work: Work[T]) -> None:
        self._work = work
        self.committing = False

    def look(self, connection: Connection) -> T:
        """Do it in a transaction that needs no commit."""
        connection.begin()
        return self._work(connection)

    def run(self, connection: Connection) -> T:
        connection.begin()
        result = self._work(connection)
        self.committing = True
        connection.commit()
        return result


class _PostgresTransaction:
    """A transaction held open on one connection."""

    def __init__(self, connection: AsyncConnection, dialect: Dialect) -> None:
        self._connection = connection
        self._dialect = dialect

    async def run(self, work: Work[T]) -> T:
        with translated(self._dialect):
            return await self._connection.run_sync(work)
