"""A copy of a live SQLite file, as of one moment, proven to be whole."""

from __future__ import annotations

import asyncio
import os
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from threading import Event

from sqlalchemy import Connection, create_engine
from sqlalchemy.pool import StaticPool

from convstore.concurrency.completion import finished
from convstore.db.dialects.base import silent_logging_name
from convstore.db.errors import Translator, translated
from convstore.vocabulary.errors import CorruptionError
from convstore.vocabulary.progress import OnProgress, Progress

_INSTRUCTIONS = 200_000
"""Of SQLite's machine between two looks at how far it is: some milliseconds."""


async def copy_file(
    dialect: Translator,
    source: Path,
    target: Path,
    on_progress: OnProgress | None = None,
) -> None:
    """Copy a live database into `target`, an empty file; durable on return.

    A caller that is cancelled has the copy stopped, and leaves when it has stopped.
    """
    loop, stopped = asyncio.get_running_loop(), Event()

    def look(done: int, total: int) -> None:
        if on_progress is not None:
            told = Progress("copy", "bytes", min(done, total), total)
            loop.call_soon_threadsafe(on_progress, told)

    def work() -> None:
        with translated(dialect):
            _copy(source, target, stopped.is_set, look)

    task = asyncio.ensure_future(asyncio.to_thread(work))
    try:
        await asyncio.shield(task)
    except asyncio.CancelledError:
        stopped.set()
        with suppress(Exception):  # that it was stopped
            await finished(task)
        raise


def _copy(
    source: Path,
    target: Path,
    stopped: Callable[[], bool],
    look: Callable[[int, int], None],
) -> None:
    """`VACUUM INTO` reads one moment while others write, the write-ahead log included,
    and leaves free pages behind: what was erased is not even there as a rest. It pins
    the log meanwhile, which grows by what is written."""
    with closing(sqlite3.connect(f"{source.as_uri()}?mode=ro", uri=True)) as live:
        pages, free, size = (
            live.execute(f"PRAGMA {name}").fetchone()[0]
            for name in ("page_count", "freelist_count", "page_size")
        )

        def now_and_then() -> int:
            look(os.stat(target).st_size, (pages - free) * size)
            return 1 if stopped() else 0

        live.set_progress_handler(now_and_then, _INSTRUCTIONS)
        live.execute("VACUUM INTO ?", [str(target)])
    descriptor = os.open(target, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def opened_copy(dialect: Translator, target: Path) -> Iterator[Connection]:
    """A connection to a copy, read whole; nothing is made beside it.

    Raises:
        CorruptionError: A page, an index or a constraint of it is wrong.
    """

    def connect() -> sqlite3.Connection:
        # Immutable: else a reader of a file in WAL makes its log and index.
        return sqlite3.connect(
            f"{target.as_uri()}?mode=ro&immutable=1",
            uri=True,
            isolation_level=None,
            check_same_thread=False,
        )

    engine = create_engine(
        "sqlite://",
        creator=connect,
        poolclass=StaticPool,
        hide_parameters=True,
        logging_name=silent_logging_name(),
    )
    try:
        with translated(dialect), engine.connect() as connection:
            rows = connection.exec_driver_sql("PRAGMA integrity_check(1)").fetchall()
            if [tuple(row) for row in rows] != [("ok",)]:
                raise CorruptionError("the copy of the database is not whole")
            yield connection
    finally:
        engine.dispose()
