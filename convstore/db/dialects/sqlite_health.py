"""What a SQLite file must be like to keep the guarantees, and whether it is."""

from __future__ import annotations

import sqlite3
from pathlib import Path

from sqlalchemy import Connection

from convstore.vocabulary.reports import Finding

# Versions 3.7.0 to 3.51.2 have the WAL-reset bug (sqlite.org/wal.html, section 11).
_WAL_RESET_FIXED = (3, 51, 3)


def examine(connection: Connection, path: Path) -> list[Finding]:
    """A line for each thing; reads every page of the file."""
    run = connection.exec_driver_sql
    mode = run("PRAGMA journal_mode").scalar_one()
    check = run("PRAGMA quick_check(1)").scalar_one()
    vacuum = run("PRAGMA auto_vacuum").scalar_one()
    bits = path.stat().st_mode & 0o777
    fixed = sqlite3.sqlite_version_info >= _WAL_RESET_FIXED
    warning = " (before 3.51.3: rare WAL-reset bug; upgrade when you can)"
    return [
        Finding("journal mode", mode == "wal", mode, "run `convstore db upgrade`"),
        Finding("database pages", check == "ok", check, "restore a backup"),
        Finding(
            "incremental vacuum",
            vacuum == 2,
            "on" if vacuum == 2 else "off: purged pages are reused, never returned",
            "run VACUUM once after PRAGMA auto_vacuum=2",
        ),
        Finding(
            "database permissions",
            not bits & 0o077,
            f"{bits:04o}",
            f"chmod 600 {path}",
        ),
        Finding(
            "SQLite version", True, sqlite3.sqlite_version + ("" if fixed else warning)
        ),
    ]
