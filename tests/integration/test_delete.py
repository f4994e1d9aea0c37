"""Deleting archives first, unless told not to; a deleted id does not come back."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from convstore import Store
from convstore.archive.context import Context
from convstore.errors import (
    ConfigError,
    LegalHoldError,
    RowCorruptError,
    SessionDeletedError,
    SessionErasedError,
    SessionNotFoundError,
    VersionConflictError,
)
from convstore.retention import lifecycle
from convstore.vocabulary.clock import ManualClock
from tests.integration.archives import (
    DAY_S,
    OpenAnother,
    archived,
    document,
    everything_under,
    fill,
    policy,
    raw,
    sound,
    states,
    timeless,
)
from tests.integration.conversations import contents, say


async def test_delete_archives_first_and_restore_brings_it_back(
    store: Store, database_url: str, archive_dir: Path
) -> None:
    await fill(store, "s-1")
    live = await document(store, "s-1")

    await store.sessions.delete("s-1")

    assert await states(store) == {"s-1": "deleted"}
    assert [d async for d in store.documents()] == []
    assert b"in s-1?" in everything_under(archive_dir)
    sound(database_url, archive_dir)
    await store.restore("s-1")
    assert timeless(await document(store, "s-1")) == timeless(live)
    sound(database_url, archive_dir)


async def test_a_deleted_id_is_refused(store: Store) -> None:
    await fill(store, "s-1")

    await store.sessions.delete("s-1")

    for call in (
        store.sessions.get_or_create("s-1"),
        store.turns.append("s-1", role="user", content="x"),
        store.interactions.record("s-1", action="copy"),
        store.graph_states.put("s-1", {}),
    ):
        with pytest.raises(SessionDeletedError):
            await call
    with pytest.raises(SessionDeletedError):
        await store.sessions.get("s-1")
    assert await store.sessions.find("s-1") is None


async def test_deleting_an_archived_session_keeps_its_file(
    store: Store, database_url: str, archive_dir: Path
) -> None:
    await archived(store, "s-1")

    await store.sessions.delete("s-1")
    await store.sessions.delete("s-1")

    assert (await store.archive.list()).items == ()
    assert (await store.restore("s-1")).state == "active"
    sound(database_url, archive_dir)


@pytest.mark.parametrize("was", ["active", "archived", "deleted"])
async def test_without_an_archive_every_copy_is_destroyed(
    open_another: OpenAnother, database_url: str, archive_dir: Path, was: str
) -> None:
    store = await open_another(
        retention=policy(exports=("messages",), readable_json=True)
    )
    await archived(store, "secret-1", "s-2")
    other = await document(store, "s-2")
    if was == "active":
        await store.restore("secret-1")
    elif was == "deleted":
        await store.sessions.delete("secret-1")

    await store.sessions.delete("secret-1", archive=False)

    assert b"secret-1" not in everything_under(archive_dir)
    assert await document(store, "s-2") == other
    with pytest.raises(SessionNotFoundError):
        await store.restore("secret-1")
    sound(database_url, archive_dir)


async def test_what_is_not_there_cannot_be_deleted(store: Store) -> None:
    for archive in (True, False):
        with pytest.raises(SessionNotFoundError):
            await store.sessions.delete("nobody", archive=archive)
    await fill(store, "s-1")
    await store.erase(session_id="s-1")
    for archive in (True, False):
        with pytest.raises(SessionErasedError):
            await store.sessions.delete("s-1", archive=archive)


async def test_a_session_is_not_deleted_inside_a_transaction(store: Store) -> None:
    await fill(store, "s-1")

    with pytest.raises(ConfigError):
        async with store.transaction() as tx:
            await tx.sessions.delete("s-1")

    assert await states(store) == {"s-1": "active"}


async def test_an_unreadable_session_is_not_deleted(
    store: Store, database_url: str
) -> None:
    await fill(store, "s-1")
    raw(database_url, "UPDATE turns SET content = 'x' WHERE seq = 1")

    with pytest.raises(RowCorruptError):
        await store.sessions.delete("s-1")

    assert await states(store) == {"s-1": "active"}


async def test_deletions_and_appends_at_once_lose_nothing(
    store: Store, database_url: str, archive_dir: Path
) -> None:
    await fill(store, "s-1")

    done = await asyncio.gather(
        *(store.turns.append("s-1", role="user", content=f"{i}") for i in range(20)),
        store.sessions.delete("s-1"),
        *(store.turns.append("s-1", role="user", content=f"{i}") for i in range(20)),
        return_exceptions=True,
    )

    stored = [turn for turn in done[:20] + done[21:] if not isinstance(turn, Exception)]
    await store.restore("s-1")
    assert len((await document(store, "s-1")).turns) == 3 + len(stored)
    sound(database_url, archive_dir)


# How long an archive is kept


async def test_an_archive_is_destroyed_when_its_time_is_over_and_not_before(
    open_another: OpenAnother,
    clock: ManualClock,
    database_url: str,
    archive_dir: Path,
) -> None:
    store = await open_another(retention=policy(keep_archive_for_s=30 * DAY_S))
    await archived(store, "secret-1", "held")
    await store.holds.place("held", reason="case")
    clock.advance(29 * DAY_S)
    early = await store.run_retention()
    clock.advance(DAY_S)

    report = await store.run_retention()

    assert (early.archives_expired, report.archives_expired) == (0, 1)
    assert await states(store) == {"secret-1": "deleted", "held": "archived"}
    assert b"in secret-1?" not in everything_under(archive_dir)
    with pytest.raises(SessionDeletedError):
        await store.turns.append("secret-1", role="user", content="x")
    assert (await document(store, "held")).turns != ()
    sound(database_url, archive_dir)


async def test_a_held_session_is_not_deleted_in_any_way(store: Store) -> None:
    await fill(store, "live")
    await archived(store, "archived")
    await store.restore("live")
    for session_id in ("live", "archived"):
        await store.holds.place(session_id, reason="case")

    for session_id in ("live", "archived"):
        for archive in (True, False):
            with pytest.raises(LegalHoldError):
                await store.sessions.delete(session_id, archive=archive)
        with pytest.raises(LegalHoldError):
            await store.erase(session_id=session_id)
    with pytest.raises(LegalHoldError):
        await store.erase(user_id="u-1")
    assert (await store.run_retention(older_than_s=0)).purged == 0

    assert await states(store) == {"live": "active", "archived": "archived"}


async def test_a_hold_that_is_placed_while_an_archived_session_is_deleted_wins(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    await archived(store, "s-1")
    asked = lifecycle.guard

    async def late(context: Context) -> object:
        """Behind the look at the session, before its lock."""
        await store.holds.place("s-1", reason="case")
        return await asked(context)

    monkeypatch.setattr(lifecycle, "guard", late)

    with pytest.raises(LegalHoldError):
        await store.sessions.delete("s-1")

    assert await states(store) == {"s-1": "archived"}


async def test_sessions_deleted_at_the_same_time_share_a_segment(
    store: Store, database_url: str, archive_dir: Path
) -> None:
    names = [f"s-{number}" for number in range(12)]
    for name in names:
        await say(store, name, "Q", "A")
    await store.for_tenant("acme").sessions.get_or_create("s-0")
    await store.holds.place("s-3", reason="case 7")
    await store.erase(session_id="s-4")

    done = await asyncio.gather(
        *(store.sessions.delete(name) for name in [*names, "s-1", "absent"]),
        store.for_tenant("acme").sessions.delete("s-0"),
        return_exceptions=True,
    )

    refused = {name: type(e) for name, e in zip(names, done, strict=False) if e}
    assert refused == {"s-3": LegalHoldError, "s-4": SessionErasedError}
    assert isinstance(done[13], SessionNotFoundError)
    assert (done[12], done[14]) == (None, None)
    # Who comes first begins; who comes meanwhile goes down together.
    assert await store.archive.count_segments() < 6
    await store.restore("s-7")
    assert await contents(store, "s-7") == ["Q", "A"]
    sound(database_url, archive_dir)


async def test_one_that_is_held_elsewhere_keeps_no_other_waiting(
    store: Store, open_another: OpenAnother
) -> None:
    if store.config.url.startswith("sqlite"):
        pytest.skip("a transaction holds the whole of SQLite")
    await say(store, "s-1", "Q")
    await say(store, "s-2", "Q")
    other = await open_another()

    async with other.transaction() as tx:
        await tx.sessions.touch("s-1")
        held = asyncio.create_task(store.sessions.delete("s-1"))
        await store.sessions.delete("s-2")
        assert not held.done()
    await held

    assert await states(store) == {"s-1": "deleted", "s-2": "deleted"}


async def test_a_stale_delete_is_refused(store: Store) -> None:
    for archive in (True, False):
        name = f"s-{archive}"
        session, _ = await store.sessions.get_or_create(name)
        await say(store, name, "Q")
        with pytest.raises(VersionConflictError) as caught:
            await store.sessions.delete(
                name, archive=archive, expected_version=session.version
            )
        assert (caught.value.expected, caught.value.actual) == (1, 2)
        assert (await store.sessions.get(name)).state == "active"

        await store.sessions.delete(name, archive=archive, expected_version=2)

        await store.sessions.delete(name, archive=archive, expected_version=1)
        assert await store.sessions.find(name) is None


async def test_an_archived_session_is_deleted_at_its_version(store: Store) -> None:
    await archived(store, "s-1")
    stub = await store.sessions.get("s-1")

    with pytest.raises(VersionConflictError):
        await store.sessions.delete("s-1", expected_version=stub.version - 1)
    await store.sessions.delete("s-1", expected_version=stub.version)

    assert await states(store) == {"s-1": "deleted"}
