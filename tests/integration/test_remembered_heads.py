"""Appends on heads that a process remembers: what another store did meanwhile counts.

Every test writes once before, so that the head is remembered where that is done.
"""

from __future__ import annotations

import asyncio

import pytest
from sqlalchemy import Connection

from convstore import (
    Applied,
    ConflictError,
    ConvstoreError,
    ItemInput,
    SessionDeletedError,
    Store,
    TurnInput,
    VersionConflictError,
)
from tests.integration.archives import OpenAnother
from tests.integration.conversations import contents, say
from tests.integration.sent_statements import counting


@pytest.fixture
async def other(open_another: OpenAnother) -> Store:
    """Another store on the same database, as another process would have it."""
    return await open_another()


@pytest.fixture
async def store(store: Store) -> Store:
    """A store that has just written to session s-1."""
    await store.sessions.get_or_create("s-1")
    await say(store, "s-1", "one")
    return store


async def test_appends_of_two_stores_take_turns_without_a_gap(
    store: Store, other: Store
) -> None:
    for number in range(5):
        await say(store, "s-1", f"a{number}")
        await say(other, "s-1", f"b{number}")

    window = await store.turns.window("s-1", limit=20)
    assert [turn.seq for turn in window] == list(range(1, 12))
    assert [turn.content for turn in window[1:5]] == ["a0", "b0", "a1", "b1"]


async def test_racing_appends_of_two_stores_are_all_there(
    store: Store, other: Store
) -> None:
    await asyncio.gather(
        *(say(one, "s-1", f"{n}") for n in range(25) for one in (store, other))
    )

    turns = await store.turns.window("s-1", limit=100)
    assert [turn.seq for turn in turns] == list(range(1, 52))
    assert [turn.parent_seq for turn in turns] == [None, *range(1, 51)]


async def test_slots_of_another_store_are_inherited(store: Store, other: Store) -> None:
    await other.turns.append("s-1", role="user", content="?", slots={"a": "1"})

    await store.turns.append("s-1", role="user", content="?", slots={"b": "2"})

    session = await other.sessions.get("s-1")
    assert session.current_slots == {"a": "1", "b": "2"}


async def test_an_external_id_of_another_store_is_seen(
    store: Store, other: Store
) -> None:
    await other.turns.append("s-1", role="user", content="x", external_id="m-1")
    await say(store, "s-1", "y")

    again = await store.turns.append("s-1", role="user", content="x", external_id="m-1")
    with pytest.raises(ConflictError):
        await store.turns.append("s-1", role="user", content="z", external_id="m-1")

    assert again.seq == 2
    assert await contents(store, "s-1") == ["one", "x", "y"]


async def test_an_external_id_of_its_own_is_seen(store: Store) -> None:
    first = await store.turns.append("s-1", role="user", content="x", external_id="m-1")

    again = await store.turns.append("s-1", role="user", content="x", external_id="m-1")

    assert again == first
    assert await contents(store, "s-1") == ["one", "x"]


async def test_one_batch_of_repeats_has_one_effect(store: Store) -> None:
    turns = await asyncio.gather(
        *(
            store.turns.append("s-1", role="user", content="x", external_id="m-1")
            for _ in range(20)
        )
    )

    assert {turn.seq for turn in turns} == {2}
    assert await contents(store, "s-1") == ["one", "x"]


async def test_a_session_deleted_by_another_store_stays_deleted(
    store: Store, other: Store
) -> None:
    await other.sessions.delete("s-1", archive=False)

    with pytest.raises(SessionDeletedError):
        await say(store, "s-1", "late")


async def test_a_session_purged_by_another_store_is_restored_first(
    store: Store, other: Store
) -> None:
    report = await other.run_retention(older_than_s=0)
    assert report.purged == 1

    await say(store, "s-1", "late")

    assert await contents(store, "s-1") == ["one", "late"]


async def test_a_branch_begun_by_another_store_is_continued(
    store: Store, other: Store
) -> None:
    await say(store, "s-1", "two")
    await other.turns.append("s-1", role="user", content="2b", parent_seq=1)

    turn = (await say(store, "s-1", "three"))[0]

    assert (turn.seq, turn.parent_seq) == (4, 3)
    assert await contents(store, "s-1") == ["one", "2b", "three"]


async def test_a_batch_on_many_sessions_leaves_out_only_those_that_moved(
    store: Store, other: Store
) -> None:
    for number in range(6):
        await store.sessions.get_or_create(f"t-{number}")
        await say(store, f"t-{number}", "mine")
    await say(other, "t-3", "theirs")

    await asyncio.gather(*(say(store, f"t-{n}", "next") for n in range(6)))

    for number in range(6):
        wanted = ["mine", *(["theirs"] if number == 3 else []), "next"]
        assert await contents(store, f"t-{number}") == wanted


async def test_an_append_after_another_reads_no_head(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    await store.sessions.get_or_create("s-1")
    sent = counting(monkeypatch)

    await store.turns.append("s-1", role="user", content="two")

    # PostgreSQL has one statement, and SQLite two: the turn and its session.
    assert sent in (["all"], ["many", "many"])


async def test_a_transaction_of_the_same_store_is_seen(store: Store) -> None:
    async with store.transaction() as tx:
        await tx.turns.append("s-1", role="user", content="two", slots={"a": "1"})

    (turn,) = await say(store, "s-1", "three")

    assert (turn.seq, turn.parent_seq) == (3, 2)
    assert (await store.sessions.get("s-1")).current_slots == {"a": "1"}


async def test_what_is_no_append_is_seen(store: Store) -> None:
    await store.turns.pop("s-1")
    await say(store, "s-1", "two")
    await store.sessions.update("s-1", title="named")
    await say(store, "s-1", "three")

    assert await contents(store, "s-1") == ["two", "three"]
    assert (await store.sessions.get("s-1")).title == "named"


async def test_an_append_that_was_rolled_back_leaves_no_head(store: Store) -> None:
    await _refuse(store, "bad")
    for number in range(3):
        with pytest.raises(ConvstoreError):
            await say(store, "s-1", "bad")
        async with store.transaction() as tx:  # as many commits as there should be
            await tx.turns.append("s-1", role="user", content=f"{number} a")
        await say(store, "s-1", f"{number} b")

    turns = (await store.turns.list("s-1")).items
    assert [turn.seq for turn in turns] == [1, 2, 3, 4, 5, 6, 7]
    assert [turn.parent_seq for turn in turns] == [None, 1, 2, 3, 4, 5, 6]


async def _refuse(store: Store, content: str) -> None:
    """Have the database itself refuse a turn that says this."""

    def work(connection: Connection) -> None:
        name, said = connection.dialect.name, f"NEW.content = '{content}'"
        if name == "sqlite":
            connection.exec_driver_sql(
                f"CREATE TRIGGER refuses BEFORE INSERT ON turns WHEN {said} "
                "BEGIN SELECT RAISE(ABORT, 'refused'); END"
            )
            return
        connection.exec_driver_sql(
            f"ALTER TABLE turns ADD CONSTRAINT refuses CHECK (content <> '{content}')"
        )

    await store._parts.backend.write(work)


async def kept(store: Store, seq: int, *, key: str = "k") -> Applied:
    """A turn that follows turn `seq - 1`, and an item that is not there yet."""
    return await store.sessions.apply(
        "s-1",
        create=True,
        expected_head=seq - 1,
        turns=[TurnInput("user", f"{seq}", external_id=f"e-{seq}")],
        items=[ItemInput("n", f"{key}-{seq}", seq, inside=True, expected_version=0)],
    )


async def test_turns_with_items_of_two_stores_are_all_there(
    store: Store, other: Store
) -> None:
    for seq in range(2, 8):
        await kept(store if seq % 2 else other, seq)

    assert await contents(store, "s-1") == ["one", *map(str, range(2, 8))]
    items = (await other.items.list("n", session_id="s-1")).items
    assert [(item.value, item.version) for item in items] == [
        (seq, 1) for seq in range(2, 8)
    ]
    assert (await other.sessions.get("s-1")).turn_count == 7


async def test_a_turn_and_its_item_are_one_statement_where_a_server_is_far(
    store: Store, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    await kept(store, 2)

    sent = counting(monkeypatch)
    await kept(store, 3)

    if database_url.startswith("postgresql"):
        assert sent == ["all"]


async def test_an_item_that_is_there_leaves_its_turn_out(
    store: Store, other: Store
) -> None:
    await kept(store, 2)
    await other.items.put("n", "k-3", "theirs", session_id="s-1")
    await say(store, "s-1", "3")

    with pytest.raises(VersionConflictError):
        await store.sessions.apply(
            "s-1",
            turns=[TurnInput("user", "lost", external_id="e-4")],
            items=[ItemInput("n", "k-3", 3, inside=True, expected_version=0)],
        )

    assert await contents(store, "s-1") == ["one", "2", "3"]
    item = await store.items.get("n", "k-3", session_id="s-1")
    assert (item.value, item.version) == ("theirs", 1)
    repeated = await kept(other, 2)
    assert repeated.repeated
    with pytest.raises(ConflictError):
        await store.sessions.apply(
            "s-1", turns=[TurnInput("user", "?", external_id="e-2")]
        )


async def test_many_sessions_get_turns_with_items_in_one_commit(store: Store) -> None:
    names = [f"t-{number}" for number in range(12)]
    for seq in (1, 2, 3):
        await asyncio.gather(
            *(
                store.sessions.apply(
                    name,
                    create=True,
                    turns=[TurnInput("user", f"{seq}", external_id=f"e-{seq}")],
                    items=[
                        ItemInput(
                            *("n", f"k-{seq}", {"of": name}),
                            inside=True,
                            expected_version=0,
                        )
                    ],
                )
                for name in names
            )
        )

    for name in names:
        assert await contents(store, name) == ["1", "2", "3"]
        items = (await store.items.list("n", session_id=name)).items
        assert [item.value for item in items] == [{"of": name}] * 3
