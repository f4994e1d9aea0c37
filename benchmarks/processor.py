"""Processor time of a server's processes, where they are on this machine."""

from __future__ import annotations

from pathlib import Path


async def server_seconds(url: str | None) -> float:
    """Seconds that the connections to a database of PostgreSQL have spent computing so
    far, of those that are open; 0 without one. Their difference is what was asked for
    in between, as long as none was closed.

    Raises:
        OSError: The server is on another machine, or not Linux.
    """
    if url is None:
        return 0.0
    import asyncpg

    connection = await asyncpg.connect(url)
    rows = await connection.fetch(
        "SELECT pid FROM pg_stat_activity"
        " WHERE datname = current_database() AND pid <> pg_backend_pid()"
    )
    await connection.close()
    return sum(spent(row["pid"]) for row in rows)


def spent(pid: int) -> float:
    """Of one process: the kernel counts nanoseconds in its `schedstat`."""
    text = Path(f"/proc/{pid}/schedstat").read_text("ascii")
    return int(text.split()[0]) / 1e9
