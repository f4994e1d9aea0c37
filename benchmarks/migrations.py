"""`python -m benchmarks.migrations`: how long each revision takes, and who waits.

A database with 100,000 turns is taken back to the first revision, with what that can
hold, and brought up again, one revision at a time. The same is done with an empty one:
the difference is what the rows cost.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from benchmarks import machine, report
from benchmarks.bench import Bench, Figures, postgres_server
from benchmarks.migrations_table import LOCKS_OUT, RESULTS
from benchmarks.processor import spent

SESSIONS = 8_334
"""Of twelve turns and four judgements each: 100,008 turns."""

_CHANGES = ("ALTER", "COMMENT", "CREATE", "DROP", "LOCK")
_TABLES = """
SELECT relname FROM pg_class
WHERE relkind = 'r' AND relnamespace = current_schema()::regnamespace
"""
_LOCKS = """
SELECT c.relname, l.mode FROM pg_locks l JOIN pg_class c ON c.oid = l.relation
WHERE l.pid = pg_backend_pid() AND l.granted AND c.relkind = 'r'
AND c.relnamespace = current_schema()::regnamespace
"""


def main() -> int:
    """Measure both databases, keep the figures, and put them on the page."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.migrations")
    parser.add_argument("--postgres", metavar="URL", help="a server; else one is begun")
    parser.add_argument("--sessions", type=int, default=SESSIONS, help="of 12 turns")
    parser.add_argument("--dir", type=Path, help="where the SQLite files are put")
    asked = parser.parse_args()
    found: dict[str, Any] = {}
    with ExitStack() as stack:
        url = asked.postgres or stack.enter_context(postgres_server())
        named = stack.enter_context(tempfile.TemporaryDirectory(dir=asked.dir))
        bench = Bench(False, url, Path(named))
        found["machine"] = machine.describe(url)
        for database in bench.databases:
            for kind, sessions in (("empty", 0), ("filled", asked.sessions)):
                print(f"{database}, {kind} …", file=sys.stderr, flush=True)
                with bench.database(database) as where:
                    found.setdefault(database, {})[kind] = measured(where, sessions)
    if asked.sessions != SESSIONS:
        print(json.dumps(found, indent=1))
        return 0
    text = json.dumps(found, indent=1, sort_keys=True, ensure_ascii=False)
    RESULTS.write_text(text + "\n", "utf-8")
    report.publish_migrations()
    return 0


def measured(url: str, sessions: int) -> Figures:
    """Each revision from the second on, by its name; and all in one transaction."""
    from alembic.script import ScriptDirectory

    from benchmarks.judged import fill
    from convstore.db.migrate import configure

    fill(url, sessions)
    _back(url)
    script = ScriptDirectory.from_config(configure())
    steps = [revision.revision for revision in script.walk_revisions()]
    found = {revision: step(url, revision) for revision in steps[-2::-1]}
    _back(url)
    whole = step(url, steps[0])
    return {"turns": _turns(url), "revisions": found, "whole": whole}


def _back(url: str) -> None:
    """To the first revision, settled as a database that has been used a while."""
    from convstore.db.migrate import downgrade

    downgrade(url, "convstore_0001")
    with _connection(url) as connection:
        # Judgements in a word, counted as the first revision did not: each session is
        # counted anew on the way up, and gets a row of its labels. Each is somebody's,
        # and has a place in the index of actors.
        for statement in (
            "UPDATE interactions SET actor_id = 'rater' WHERE actor_id IS NULL",
            "UPDATE interactions SET feedback = 'correct' WHERE seq = 1",
            "UPDATE sessions SET feedback_counts = '{}'",
        ):
            connection.exec_driver_sql(statement)
    _settle(url)


def _settle(url: str) -> None:
    if url.startswith("postgresql"):
        with _connection(url, isolation_level="AUTOCOMMIT") as connection:
            connection.exec_driver_sql("VACUUM ANALYZE")


@contextmanager
def _connection(url: str, **options: Any) -> Iterator[Any]:
    from sqlalchemy import create_engine

    engine = create_engine(url, **options)
    try:
        with engine.begin() as connection:
            yield connection
    finally:
        engine.dispose()


def _turns(url: str) -> int:
    with _connection(url) as connection:
        counted = connection.exec_driver_sql("SELECT count(*) FROM turns")
        return int(counted.scalar_one())


def step(url: str, revision: str) -> Figures:
    """One revision in a transaction of its own: processor time of both sides, time by
    the clock until the commit has returned, and how long which tables were locked."""
    from convstore.db.migrate import run_on, upgrade_on

    watch = Watch()

    def work(connection: Any) -> None:
        watch.begin(connection)
        upgrade_on(connection, revision)
        watch.end()

    run_on(url, work)
    return watch.figures()


class Watch:
    """Of one transaction: what it takes, and since when it holds which locks."""

    def __init__(self) -> None:
        self._locks: dict[str, dict[str, float]] = {}
        self._tables: set[str] = set()
        self._asking = False
        self._pid: int | None = None
        self._server = 0.0

    def begin(self, connection: Any) -> None:
        """At the beginning of the transaction."""
        from sqlalchemy import event

        if connection.dialect.name == "postgresql":
            asked = connection.exec_driver_sql("SELECT pg_backend_pid()")
            self._pid = asked.scalar_one()
            self._tables = set(connection.exec_driver_sql(_TABLES).scalars())
            event.listen(connection, "before_cursor_execute", self._before)
            event.listen(connection, "after_cursor_execute", self._after)
        self._server = self._spent()
        self._client, self._clock = time.process_time(), time.perf_counter()

    def end(self) -> None:
        """Before the commit: after it the server's process may be gone."""
        self._server = self._spent() - self._server

    def figures(self) -> Figures:
        """After the commit, which let go of all locks."""
        now = time.perf_counter()
        return {
            "seconds": round(now - self._clock, 4),
            "client_s": round(time.process_time() - self._client, 4),
            "server_s": round(self._server, 4),
            "locks": {
                table: {mode: round(now - since, 4) for mode, since in modes.items()}
                for table, modes in self._locks.items()
            },
        }

    def _spent(self) -> float:
        try:
            return 0.0 if self._pid is None else spent(self._pid)
        except OSError:  # the server is elsewhere
            return 0.0

    def _before(self, *_: Any) -> None:
        if not self._asking:
            self._statement = time.perf_counter()

    def _after(self, connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        """What locks out others is taken by statements that change tables."""
        if self._asking or not statement.lstrip().upper().startswith(_CHANGES):
            return
        began, self._asking = self._statement, True
        for table, mode in connection.exec_driver_sql(_LOCKS):
            if table in self._tables and mode in LOCKS_OUT:
                self._locks.setdefault(table, {}).setdefault(mode, began)
        self._asking = False


if __name__ == "__main__":
    sys.exit(main())
