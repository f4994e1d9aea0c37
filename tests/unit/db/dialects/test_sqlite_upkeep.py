"""Upkeep of a SQLite file takes as long for a large one as for a small one."""

from __future__ import annotations

import sqlite3
from contextlib import closing

from convstore.db.dialects.sqlite_upkeep import clear_log


def work_of_upkeep(rows: int) -> int:
    """How much the database does, for a table that has grown to so many rows."""
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as raw:
        raw.execute("CREATE TABLE acts (actor, label)")
        raw.execute("CREATE INDEX by_actor ON acts (actor)")
        raw.execute("INSERT INTO acts VALUES (1, 1)")
        raw.execute("ANALYZE")
        numbers = ((number, number % 7) for number in range(rows))
        raw.executemany("INSERT INTO acts VALUES (?, ?)", numbers)
        raw.execute("SELECT * FROM acts WHERE actor = 1").fetchall()
        done = 0

        def count() -> None:
            nonlocal done
            done += 1

        raw.set_progress_handler(count, 100)
        clear_log(raw)
        (looked,) = raw.execute("SELECT stat FROM sqlite_stat1").fetchone()
    assert int(looked.split()[0]) > 1  # it was looked at, and not left as it was
    return done


def test_statistics_are_made_of_a_part_of_a_large_table() -> None:
    assert work_of_upkeep(50_000) < 2 * work_of_upkeep(5_000)
