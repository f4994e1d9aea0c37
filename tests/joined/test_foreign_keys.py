"""Foreign keys of an application to our tables, as `doctor` sees them."""

from __future__ import annotations

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from convstore import Store

TO_SESSIONS = (
    "CREATE TABLE good (tenant VARCHAR(255), session VARCHAR(255), "
    "FOREIGN KEY (tenant, session) REFERENCES sessions (tenant_id, session_id))"
)
TO_TURNS = (
    "CREATE TABLE bad (tenant VARCHAR(255), session VARCHAR(255), seq BIGINT, FOREIGN "
    "KEY (tenant, session, seq) REFERENCES turns (tenant_id, session_id, seq))"
)


@pytest.mark.parametrize(
    "driver", ["sqlite+aiosqlite", "postgresql+asyncpg"], indirect=True
)
async def test_a_key_to_sessions_is_fine_and_one_to_turns_is_found(
    store: Store, engine: AsyncEngine
) -> None:
    async with engine.begin() as connection:
        await connection.execute(text(TO_SESSIONS))
    (before,) = [f for f in await store.examine() if f.check == "foreign keys"]
    async with engine.begin() as connection:
        await connection.execute(text(TO_TURNS))
    (after,) = [f for f in await store.examine() if f.check == "foreign keys"]

    assert (before.ok, before.detail) == (True, "none in the way")
    assert (after.ok, after.detail) == (False, "bad to turns")
