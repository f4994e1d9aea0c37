"""The files that other tests get in place of migrated ones are as those."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from convstore import migration
from convstore.db import migrate
from tests import migrated


def _everything(path: Path) -> list[Any]:
    with closing(sqlite3.connect(path)) as connection:
        made = connection.execute(
            "SELECT type, name, tbl_name, sql FROM sqlite_master ORDER BY type, name"
        ).fetchall()
        tables = [
            name
            for type_, name, _, sql in made
            # What an index of words knows lies in tables of its own.
            if type_ == "table" and not str(sql).startswith("CREATE VIRTUAL")
        ]
        return [made] + [
            connection.execute(f'SELECT * FROM "{name}"').fetchall() for name in tables
        ]


def test_a_file_like_the_first_is_as_if_it_were_migrated(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert migrate.upgrade_on is migrated.upgrade_on  # here nothing stands in for it
    paths = [tmp_path / f"{name}.db" for name in ("migrated", "first", "second")]
    migration.upgrade(f"sqlite:///{paths[0]}")
    monkeypatch.setattr(migrate, "upgrade_on", migrated.like_the_first())
    for path in paths[1:]:
        migration.upgrade(f"sqlite:///{path}")

    whole, first, second = map(_everything, paths)
    assert whole == first == second
    assert len(whole) > 30
