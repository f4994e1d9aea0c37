"""New SQLite files are migrated once in a test process; the rest are made from that.

Whoever opens a file that is not there has all migrations run, one after the other:
longer than most tests take, and several hundred tests begin so. The tables, rows and
triggers that the first one got are written down, and the others get the same. Tests of
migrations are given the migrations (`tests/migration`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cache
from typing import Any

from sqlalchemy import Connection

from convstore.db import migrate
from tests.databases import are_upgraded, make_former_with

upgrade_on = migrate.upgrade_on
"""What the package does."""

Statement = tuple[str, list[tuple[Any, ...]]]


@cache
def share_migrated() -> None:
    """From now on, in this process; once is enough."""
    migrate.upgrade_on = like_the_first(former=are_upgraded())


def like_the_first(*, former: bool = False) -> Callable[..., None]:
    """Migrates the first new file that it is given; those after it get the same.

    With `former` the first is what the former release made, and is upgraded.
    """
    made: list[Statement] = []

    def upgraded(connection: Connection, revision: str = "head") -> None:
        if revision != "head" or not _is_bare(connection):
            upgrade_on(connection, revision)
        elif made:
            for statement, rows in made:
                connection.exec_driver_sql(statement, rows or None)
        else:
            if former:
                make_former_with(connection.exec_driver_sql)
            upgrade_on(connection, revision)
            made.extend(_statements(connection))

    return upgraded


def _is_bare(connection: Connection) -> bool:
    """Whether it is of a SQLite file with nothing in it."""
    if connection.dialect.name != "sqlite":
        return False
    return connection.exec_driver_sql("SELECT 1 FROM sqlite_master").first() is None


def _statements(connection: Connection) -> Iterator[Statement]:
    """What makes a file with the same in it: tables, rows, then what watches them."""
    found = connection.exec_driver_sql(
        "SELECT type, name, sql FROM sqlite_master WHERE sql IS NOT NULL"
        " AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\' ORDER BY rowid"
    ).all()
    virtual = [name for _, name, sql in found if sql.startswith("CREATE VIRTUAL")]
    # An index of words makes tables of its own behind it.
    behind = tuple(f"{name}_" for name in virtual)
    found = [row for row in found if not (behind and row.name.startswith(behind))]
    tables = [(name, sql) for type_, name, sql in found if type_ == "table"]
    yield from ((sql, []) for _, sql in tables)
    for name in (name for name, _ in tables if name not in virtual):
        rows = connection.exec_driver_sql(f'SELECT * FROM "{name}"').all()
        if rows:
            places = ", ".join("?" * len(rows[0]))
            given = [tuple(row) for row in rows]
            yield f'INSERT INTO "{name}" VALUES ({places})', given
    yield from ((sql, []) for type_, _, sql in found if type_ != "table")
