"""What differs between the databases; this class is the whole list.

A dialect opens a backend, words a few statements, and knows its driver's errors.
A backend runs synchronous units of work and owns every connection.
"""

from __future__ import annotations

import asyncio
import logging
import os
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager, AbstractContextManager
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, TypeVar

from sqlalchemy import (
    Column,
    ColumnElement,
    Connection,
    FromClause,
    Insert,
    Select,
    Table,
)

from convstore.vocabulary.errors import (
    ConfigError,
    ConvstoreError,
    DatabaseUnavailableError,
)
from convstore.vocabulary.limits import Limits
from convstore.vocabulary.policy import SearchMode
from convstore.vocabulary.progress import OnProgress
from convstore.vocabulary.record import Value
from convstore.vocabulary.reports import Finding

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncEngine

    from convstore.db.dialects.words import WordIndex
    from convstore.db.visits import Guest

T = TypeVar("T")
Work = Callable[[Connection], T]

SEARCH = "convstore_search"
"""The execution option of our connections that says what writes do for the index of
words; see `search_mode_of`."""


class Stamp(NamedTuple):
    """A moment in the life of a file, as the writer of this process sees it.

    Attributes:
        ended: Changes by one with each commit of his, and by more with what is rolled
            back.
        version: Changes with each commit of anybody else.
    """

    ended: int
    version: int

    @property
    def after_commit(self) -> Stamp:
        """Of the unit behind this one, if this one is committed and none is between."""
        return Stamp(self.ended + 1, self.version)


class BackendOptions(Value, frozen=True):
    """What a backend needs of the settings.

    `reflects` is for looking at the schema: SQLAlchemy's own queries then want JSON
    decoded, which rows do not. `engine` is an application's, to connect as it does.
    `schema` is where the tables are, in a database that has such; None is the one of
    the URL, or else the role's first. `search` is what writes do for the index.
    """

    url: str
    pool_size: int
    pooler: str
    limits: Limits
    reflects: bool = False
    schema: str | None = None
    engine: AsyncEngine | None = None
    search: SearchMode = "off"


class ServerEndedError(DatabaseUnavailableError):
    """A connection was lost, and whatever the server was doing on it has ended too, one
    way or the other: whoever looks now sees how."""


class OpenTransaction(Protocol):
    """A transaction that a caller holds open; `run` keeps to its connection."""

    async def run(self, work: Work[T]) -> T:
        """Run `work` inside the transaction."""
        ...


class Backend(ABC):
    """Runs synchronous work on connections, in the database's own best way.

    Every method raises only errors of `ConvstoreError`; those that a unit of work
    raises itself pass through unchanged.
    """

    dialect: Dialect
    lanes: int
    migrates_itself: bool
    search: SearchMode = "off"
    # Whether another process can connect as this one does, by what the settings say.
    opens_by_url = True
    # Whether its tables lie on several nodes, as Citus has them: there a statement that
    # writes to two tables sends what the first gave to every node.
    is_spread = False
    _instance: tuple[str, ...] | None = None

    async def instance(self) -> tuple[str, ...]:
        """What tells this database from a copy of it; see `Dialect.instance`."""
        if self._instance is None:
            self._instance = await self.read(self.dialect.instance)
        return self._instance

    @property
    def schema(self) -> str | None:
        """The schema that the tables are in; None where a database has no schemas."""
        return None

    @property
    def file(self) -> Path | None:
        """The database's file, absolute; None where a server has it."""
        return None

    @abstractmethod
    async def locate(self) -> None:
        """Find out in which schema the tables are, before anything else is asked.

        Raises:
            DatabaseAccessError: The role may use none.
        """

    @abstractmethod
    async def read(self, work: Work[T], *, snapshot: bool = False) -> T:
        """Run reading `work`; with `snapshot`, all its statements see one moment."""

    @abstractmethod
    def write(self, work: Work[T]) -> Awaitable[T]:
        """Run `work` in one transaction; when this returns, it is durable."""

    async def write_at_once(self, work: Work[T]) -> T:
        """Run `work`, which is one statement, as a transaction of its own.

        Only where `dialect.has_far_server`. Unlike `write`, never tries again.
        """
        raise NotImplementedError

    @abstractmethod
    def transaction(self) -> AbstractAsyncContextManager[OpenTransaction]:
        """Hold a transaction open: committed at the end, rolled back on any error."""

    @cached_property
    def guest(self) -> Guest:
        """Does our work in transactions of an application."""
        # Made when it is asked for: it loads SQLAlchemy's sessions.
        return self.new_guest()

    @abstractmethod
    def new_guest(self) -> Guest:
        """For `guest`."""

    @abstractmethod
    async def size_bytes(self) -> int:
        """Bytes that the database takes on its disk."""

    @abstractmethod
    async def examine(self) -> list[Finding]:
        """Check what this database needs to keep the guarantees; changes nothing."""

    async def log_bytes(self) -> int:
        """Bytes of a write-ahead log that lies beside the database's file."""
        return 0

    @abstractmethod
    async def maintain(self, on_progress: OnProgress | None = None) -> dict[str, int]:
        """Do the upkeep that is due, in bounded steps; returns what was done."""

    async def copy_into(
        self, target: Path, on_progress: OnProgress | None = None
    ) -> None:
        """Copy the whole database, as of one moment, into an empty file.

        Raises:
            ConfigError: A server's own tools do that.
        """
        raise ConfigError(
            "a database on a server is copied by the server's own tools: `pg_dump` "
            "first, then the archive"
        )

    def stamp(self, connection: Connection) -> Stamp:
        """The stamp of a writing unit, of a database that is a file."""
        raise NotImplementedError

    def opened_copy(self, target: Path) -> AbstractContextManager[Connection]:
        """A copy that `copy_into` made, read and proven to be whole."""
        raise NotImplementedError

    async def tidy(self, work: Work[T]) -> T:
        """Run a step of tidying an index, as the database wants such run."""
        return await self.write(work)

    @abstractmethod
    def checked_out(self) -> int:
        """Connections in use now."""

    @abstractmethod
    async def close(self) -> None:
        """Close every connection. Idempotent."""


class Home:
    """The process and the event loop that connections belong to: those of first use."""

    def __init__(self) -> None:
        self._pid = os.getpid()
        self._loop: asyncio.AbstractEventLoop | None = None

    @property
    def is_forked(self) -> bool:
        """Whether this is a child process: the connections are its parent's."""
        return os.getpid() != self._pid

    def check_process(self) -> None:
        """Refuse what would wait for ever for threads that are not here.

        Raises:
            ConfigError: This is another process.
        """
        if self.is_forked:
            raise ConfigError(
                "the store was opened before this process was forked: open one in each "
                "process"
            )

    def check(self) -> None:
        """Refuse to use connections that are bound to an event loop in another one.

        Raises:
            ConfigError: This is another process, or another event loop.
        """
        self.check_process()
        loop = asyncio.get_running_loop()
        if self._loop is None:
            self._loop = loop
        if self._loop is not loop:
            raise ConfigError(
                "the store was opened in another event loop: open one in each"
            )


class Dialect(ABC):
    """The wording and the errors of one database."""

    name: str
    # Whether a statement is a trip to a server, so that one is better than five.
    has_far_server = False
    # Whether another transaction can hold a row while this one writes.
    has_row_locks = False
    # SQLAlchemy's drivers whose transactions can be joined.
    joins: tuple[str, ...] = ()
    # Whether one transaction can see what another does, as of the same moment.
    shares_snapshots = False
    # Whether a subquery in FROM may refer to what stands before it.
    has_lateral = False
    # The index of words.
    words: WordIndex
    # Where the server may keep the bytes of a deleted row for a while: words of the
    # receipt of an erasure, explained in the manual.
    residue: tuple[str, ...] = ()

    @abstractmethod
    def open(self, options: BackendOptions) -> Backend:
        """A backend for the database; connects lazily."""

    @abstractmethod
    def new_insert(self, table: Table) -> Any:
        """SQLAlchemy's INSERT of this database, which knows ON CONFLICT."""

    def fetch(self, connection: Connection, sql: str, bound: Any) -> list[Any]:
        """Every row of a statement, past SQLAlchemy's execution; see `statements`."""
        cursor = connection.connection.cursor()
        try:
            cursor.execute(sql, bound)
            return list(cursor.fetchall())
        finally:
            cursor.close()

    def insert_ignore(self, table: Table) -> Insert:
        """INSERT that does nothing where a key exists; rowcount tells."""
        ignoring: Insert = self.new_insert(table).on_conflict_do_nothing()
        return ignoring

    def insert_or_add(self, table: Table, amount: str) -> Insert:
        """INSERT that adds its `amount` to that of the row where a key exists.

        One statement: no row goes between the look and the addition.
        """
        new = self.new_insert(table)
        total = table.c[amount] + new.excluded[amount]
        key = list(table.primary_key.columns)
        adding: Insert = new.on_conflict_do_update(
            index_elements=key, set_={amount: total}
        )
        return adding

    def insert_or_replace(self, table: Table) -> Insert:
        """INSERT that gives a row whose key exists all the other columns anew."""
        new = self.new_insert(table)
        key = list(table.primary_key.columns)
        others = {c.name: new.excluded[c.name] for c in table.c if not c.primary_key}
        replacing: Insert = new.on_conflict_do_update(index_elements=key, set_=others)
        return replacing

    @abstractmethod
    def bound_rows(self, *names: str) -> FromClause:
        """The rows that are bound as `bound`, as a table with these columns.

        They are bound as JSON text, a list of lists of text, so that one wording of
        the statement, and one plan, serves any number of rows.
        """

    @abstractmethod
    def length(self, column: Column[Any]) -> ColumnElement[int]:
        """How long the text or the bytes of a column are, in characters or in bytes:
        whichever takes less to find out."""

    @abstractmethod
    def members(
        self, column: ColumnElement[str]
    ) -> tuple[ColumnElement[str], ColumnElement[str], FromClause]:
        """Names and values of a JSON object of texts, and what gives them in FROM, to
        be joined to the table of `column`."""

    @abstractmethod
    def locked(self, statement: Select[Any], table: Table) -> Select[Any]:
        """The SELECT with locks on its rows of `table`, where the database has them,
        taken in key order, so that two of them never wait for each other."""

    @abstractmethod
    def skip_locked(self, statement: Select[Any]) -> Select[Any]:
        """The SELECT that locks rows and passes over those locked by others."""

    @abstractmethod
    def instance(self, connection: Connection) -> tuple[str, ...]:
        """What tells a database from a copy of it: two that have none of these in
        common are two. It may be moved and keep one of them."""

    def claimed(self, *key: ColumnElement[str]) -> ColumnElement[bool]:
        """Whether this transaction could take the right to make the row of `key`, which
        it keeps until it ends. Only where `has_row_locks`, as is the next."""
        raise NotImplementedError

    def claim(self, *key: ColumnElement[str]) -> ColumnElement[Any]:
        """Take that right, waiting for whoever has it."""
        raise NotImplementedError

    def bound_waits(self, connection: Connection, wait_s: float) -> None:
        """Let no statement of this transaction wait for a lock of a row longer than
        that. Without such locks there is nothing to do."""
        if self.has_row_locks:
            raise NotImplementedError

    def share_snapshot(self, connection: Connection) -> str:
        """A name of what this transaction sees, for others while it is open. Only where
        `shares_snapshots`, as is the next."""
        raise NotImplementedError

    def adopt_snapshot(self, connection: Connection, name: str) -> None:
        """See what that transaction sees. Call it first in a snapshot of its own."""
        raise NotImplementedError

    @abstractmethod
    def translate(self, error: BaseException) -> ConvstoreError | None:
        """Our error for a driver's error; None when it is not the driver's."""

    @abstractmethod
    def is_taken(self, error: BaseException | None) -> bool:
        """Whether it says that what was to be made cannot have the name: something
        else there has it."""

    def called(self, name: str) -> str:
        """A table's name as the database compares it with others."""
        return name


def in_schema(schema: str) -> dict[str, Any]:
    """The execution options under which our tables are those of `schema`.

    Every statement names it: a `search_path` may have the tables of somebody else
    before ours, and behind a pooler it is whatever another client made it.
    """
    return {"schema_translate_map": {None: schema}}


def schema_of(connection: Connection) -> str | None:
    """The schema that our tables are in; None where the database knows no schemas."""
    places = connection.get_execution_options().get("schema_translate_map")
    return None if places is None else places[None]


def search_mode_of(connection: Connection) -> SearchMode:
    """What writes do for the index of words, in the store whose connection it is."""
    mode: SearchMode = connection.get_execution_options().get(SEARCH, "off")
    return mode


def silent_logging_name() -> str:
    """The `logging_name` of our engines: statements may be logged, rows never.

    At DEBUG SQLAlchemy logs every row that it reads, whatever `hide_parameters` says,
    and an application that sets its loggers to DEBUG means no such thing. A filter and
    not a level: a level of our own would turn the statements on, and each costs more to
    log than to run.
    """
    name = "convstore"
    logging.getLogger(f"sqlalchemy.engine.Engine.{name}").addFilter(_is_no_row)
    return name


def _is_no_row(record: logging.LogRecord) -> bool:
    return record.levelno >= logging.INFO
