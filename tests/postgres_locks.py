"""Who waits for a lock in PostgreSQL, for tests that order two transactions."""

from __future__ import annotations

import asyncio

_WAITING = (
    "SELECT count(*) FROM pg_stat_activity"
    " WHERE datname = current_database() AND wait_event_type = 'Lock'"
)


async def until_somebody_waits(url: str, count: int = 1) -> None:
    """Return when `count` backends of the database wait for a lock.

    Raises:
        TimeoutError: Nobody does within two minutes.
    """
    import asyncpg

    connection = await asyncpg.connect(url)
    try:
        async with asyncio.timeout(120):
            while await connection.fetchval(_WAITING) < count:  # noqa: ASYNC110
                await asyncio.sleep(0.01)
    finally:
        await connection.close()
