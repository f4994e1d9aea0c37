"""A whole database into another: every row, or nothing."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from convstore import ConfigError, Store, StoreConfig, migration, open_store
from convstore.vocabulary.progress import Progress
from convstore.vocabulary.records import SessionDocument


async def filled(store: Store) -> list[SessionDocument]:
    for number in range(3):
        name = f"s-{number}"
        await store.sessions.get_or_create(name, user_id="u-1", metadata={"k": number})
        await store.turns.append(name, role="user", content="Hoi 🎉", slots={"a": "b"})
        await store.turns.append(
            name,
            role="assistant",
            content="Dag",
            payload=b"\0\xff",
            payload_format="x",
            tools=[{"name": "f"}],
        )
        await store.interactions.record(
            name, action="feedback", turn_seq=2, feedback="correct", score=0.1
        )
        await store.graph_states.put(name, {"n": number})
    ref = await store.attachments.put(b"\x89PNG \0 a map", media_type="image/png")
    part = {"type": "image_url", "image_url": {"url": ref}}
    await store.turns.append("s-2", role="user", parts=[part])
    await store.holds.place("s-0", reason="r", actor_id="a")
    return [document async for document in store.documents()]


@pytest.mark.mostly_slow("sqlite-postgres", "postgres-sqlite")
async def test_a_copy_has_everything_and_says_so(
    store: Store, database_url: str, empty_database_url: str, tmp_path: Path
) -> None:
    before = await filled(store)
    target = empty_database_url
    told: list[Progress] = []

    rows = await asyncio.to_thread(
        migration.copy, database_url, target, on_progress=told.append
    )

    assert (rows["sessions"], rows["turns"], rows["legal_holds"]) == (3, 7, 1)
    assert (rows["attachments"], rows["session_attachments"]) == (1, 1)
    assert told[-1].done == told[-1].total == sum(rows.values())
    config = StoreConfig(url=target, archive_dir=tmp_path / "archive-of-the-copy")
    async with open_store(config) as copy:
        assert [document async for document in copy.documents()] == before
        stats = await copy.stats()
        assert stats.sessions == (await store.stats()).sessions


async def test_a_target_that_holds_something_is_refused(
    store: Store, database_url: str, empty_database_url: str
) -> None:
    await filled(store)
    target = empty_database_url
    await asyncio.to_thread(migration.copy, database_url, target)

    with pytest.raises(ConfigError, match="holds rows already"):
        await asyncio.to_thread(migration.copy, database_url, target)
