"""Upkeep of a SQLite file: free pages go back to the disk, and its log is emptied."""

from __future__ import annotations

import sqlite3

from convstore.vocabulary.reports import Finding

PAGES = 2_000
"""Free pages that one step gives back: 8 MB."""

_ROWS_LOOKED_AT = 400
"""Of each index, for the statistics that plans go by: as many as SQLite advises."""

LARGE_LOG_BYTES = 64 * 1024 * 1024
"""A write-ahead log that nobody keeps is emptied long before."""


def give_back(raw: sqlite3.Connection) -> tuple[int, int]:
    """Give some free pages back to the disk; how many, and how many are left."""
    before = raw.execute("PRAGMA freelist_count").fetchone()[0]
    # executescript steps to the end; execute frees one page on Python 3.11.
    raw.executescript(f"PRAGMA incremental_vacuum({PAGES});")
    after = raw.execute("PRAGMA freelist_count").fetchone()[0]
    return before - after, after


def clear_log(raw: sqlite3.Connection) -> int:
    """Empty the write-ahead log; the frames that a reader keeps in it."""
    # Without the limit it reads whole tables, while whoever writes waits for seconds.
    raw.executescript(f"PRAGMA analysis_limit={_ROWS_LOOKED_AT}; PRAGMA optimize;")
    busy, frames, _ = raw.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
    return int(frames) if busy else 0


def kept_log(raw: sqlite3.Connection) -> int:
    """Move what may be moved into the database, and wait for nobody; the frames that a
    reader keeps in the log."""
    _, frames, done = raw.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
    return max(int(frames) - int(done), 0)


def examined_log(size_bytes: int, kept: int) -> Finding:
    """Whether somebody reads for so long that the write-ahead log only grows."""
    told = f", {kept} pages kept by an open read" if kept else ""
    return Finding(
        "write-ahead log",
        not (kept and size_bytes >= LARGE_LOG_BYTES),
        f"{size_bytes / 1e6:.1f} MB{told}",
        "end the program that holds a read of the database open (`fuser` names those "
        "that have the file), then `convstore db maintain`",
    )
