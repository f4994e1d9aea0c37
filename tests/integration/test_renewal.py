"""A deleted id begins anew where the caller says so, and only there."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from convstore import (
    LegalHoldError,
    ManualClock,
    SessionDeletedError,
    SessionErasedError,
    SessionNotFoundError,
    Store,
)
from tests.integration.archives import (
    DAY_S,
    document,
    everything_under,
    fill,
    sound,
    states,
)
from tests.integration.conversations import contents, say

OpenAnother = Callable[..., Awaitable[Store]]


@pytest.mark.parametrize("archive", [True, False])
async def test_a_deleted_id_begins_anew_when_told(
    store: Store, database_url: str, archive_dir: Path, archive: bool
) -> None:
    await fill(store, "s")
    before = await store.sessions.get("s")
    await store.sessions.delete("s", archive=archive)
    with pytest.raises(SessionDeletedError):
        await store.sessions.get_or_create("s")

    session, created = await store.sessions.get_or_create(
        "s", renew=True, user_id="u-1", metadata={"new": 1}
    )

    assert created
    assert (session.generation, session.state) == (2, "active")
    assert session.version > before.version
    assert (session.metadata, session.tags) == ({"new": 1}, ())
    assert (session.turn_count, session.head_seq, session.title) == (
        0,
        None,
        "New Chat",
    )
    assert session == await store.sessions.get("s")
    assert await store.turns.branch("s") == []
    assert await store.sessions.adapter_state("s", "frame") is None
    assert (await store.items.list(session_id="s")).items == ()
    assert (await store.sessions.list(metadata={"new": 1})).items == (session,)
    assert (await store.sessions.list(tag="vip")).items == ()
    assert (await store.sessions.get_or_create("s", renew=True)) == (session, False)
    sound(database_url, archive_dir)


async def test_the_copy_of_the_older_generation_does_not_come_back(
    store: Store, clock: ManualClock, database_url: str, archive_dir: Path
) -> None:
    await say(store, "s", "old words")
    await store.sessions.delete("s")

    await store.sessions.get_or_create("s", renew=True)
    await say(store, "s", "new words")

    assert (await store.restore("s")).generation == 2
    assert await contents(store, "s") == ["new words"]
    clock.advance(2 * DAY_S)
    await store.run_retention()
    assert (await store.sessions.get("s")).state == "archived"
    assert await contents(store, "s") == ["new words"]
    said = [turn.content for turn in (await document(store, "s")).turns]
    assert said == ["new words"]
    sound(database_url, archive_dir)
    await store.restore("s")
    assert await contents(store, "s") == ["new words"]
    assert (await store.sessions.get("s")).generation == 2


async def test_erasure_finds_the_copies_of_every_generation(
    store: Store, database_url: str, archive_dir: Path
) -> None:
    for word in ("first", "second", "third"):
        await store.sessions.get_or_create("s", renew=True, user_id="u")
        await say(store, "s", f"{word} secret")
        await store.sessions.delete("s")
    await store.sessions.get_or_create("s", renew=True, user_id="u")

    await store.erase(user_id="u")

    assert b"secret" not in everything_under(archive_dir)
    with pytest.raises(SessionErasedError):
        await store.sessions.get_or_create("s", renew=True)
    sound(database_url, archive_dir)


async def test_an_older_copy_is_not_restored_by_a_rebuild(
    store: Store, open_another: OpenAnother, archive_dir: Path
) -> None:
    await say(store, "s", "old words")
    await store.sessions.delete("s")
    await store.sessions.get_or_create("s", renew=True)
    await say(store, "s", "new words")
    await store.run_retention(older_than_s=0)

    await store.archive.rebuild()

    assert await contents(store, "s") == ["new words"]


async def test_what_is_held_or_another_s_is_not_begun_anew(store: Store) -> None:
    await store.sessions.get_or_create("theirs", user_id="u")
    await store.sessions.delete("theirs")
    with pytest.raises(SessionNotFoundError):
        await store.sessions.get_or_create("theirs", user_id="v", renew=True)

    await say(store, "held", "words")
    await store.sessions.delete("held")
    await store.holds.place("held", reason="case 7")
    with pytest.raises(LegalHoldError):
        await store.sessions.get_or_create("held", renew=True)

    assert await states(store) == {"theirs": "deleted", "held": "deleted"}
    await store.holds.release("held")
    assert (await store.sessions.get_or_create("held", renew=True))[1]


async def test_of_any_number_of_callers_one_begins_it(
    store: Store, open_another: OpenAnother
) -> None:
    other = await open_another()
    await say(store, "s", "words")
    await store.sessions.delete("s")

    done = await asyncio.gather(
        *(
            (store, other)[n % 2].sessions.get_or_create("s", renew=True)
            for n in range(20)
        )
    )

    assert sum(created for _, created in done) == 1
    assert {session.generation for session, _ in done} == {2}


async def test_a_step_begins_a_deleted_id_anew(store: Store) -> None:
    await store.sessions.apply(
        "s",
        create=True,
        turns=[{"role": "user", "content": "Q", "external_id": "e-1"}],
        adapter_state={"adk": {"a": 1}},
    )
    await store.sessions.delete("s")
    with pytest.raises(SessionDeletedError):
        await store.sessions.apply("s", create=True)

    done = await store.sessions.apply(
        "s",
        create=True,
        renew=True,
        expected_version=0,
        turns=[{"role": "user", "content": "Q2", "external_id": "e-1"}],
        adapter_state={"adk": {"b": 2}},
        metadata={"n": 1},
    )

    assert (done.created, done.repeated, done.session.generation) == (True, False, 2)
    assert done.turns[0].seq == 1
    assert await store.sessions.adapter_state("s", "adk") == {"b": 2}
    assert done.session == await store.sessions.get("s")
