"""No owner is not a permission: who writes first owns a session that nobody did."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from convstore import (
    ConflictError,
    InvalidInputError,
    SessionNotFoundError,
    Store,
    TurnNotFoundError,
)
from convstore.errors import VersionConflictError
from tests.integration.archives import OpenAnother, document, raw
from tests.integration.conversations import contents


def totals(url: str) -> dict[str, int]:
    rows = raw(url, "SELECT user_id, cost_micros FROM cost_totals")
    return {user: cost for user, cost in rows if cost}


def reads(store: Store, user: str, session_id: str = "s-1") -> list[Any]:
    chat = store.conversation(session_id, user_id=user)
    return [
        lambda: chat.window(),
        lambda: chat.history(),
        lambda: chat.branches(),
        lambda: chat.feedback(),
        lambda: chat.graph_state(),
        lambda: chat.ledger_entry(),
    ]


async def refused(calls: list[Any]) -> None:
    for call in calls:
        with pytest.raises(SessionNotFoundError):
            await call()


async def ownerless(store: Store, session_id: str = "s-1") -> None:
    await store.sessions.get_or_create(session_id)
    await store.turns.append(session_id, role="user", content="van niemand")


WRITES = {
    "append": lambda c: c.append(role="user", content="van ann"),
    "append_many": lambda c: c.append_many([{"role": "user", "content": "van ann"}]),
    "append again": lambda c: _twice(c),
    "record": lambda c: c.record(action="copy"),
    "graph": lambda c: c.put_graph_state({"a": 1}),
    "update": lambda c: c.update(title="van ann"),
    "touch": lambda c: c.touch(),
    "switch to where it is": lambda c: c.switch(1),
    "pin": lambda c: c.pin(model="m-1"),
    "add_cost": lambda c: c.add_cost(micros=3),
    "session": lambda c: c.session(),
}


async def _twice(chat: Any) -> None:
    for _ in range(2):
        await chat.append(role="user", content="van ann", external_id="m-1")


@pytest.mark.parametrize("name", WRITES)
async def test_the_first_write_of_a_user_takes_an_ownerless_session(
    store: Store, name: str
) -> None:
    await ownerless(store)
    before = await store.sessions.get("s-1")
    await refused(reads(store, "ann"))

    await WRITES[name](store.conversation("s-1", user_id="ann"))

    session = await store.sessions.get("s-1")
    assert session.user_id == "ann"
    assert session.version > before.version
    assert (await store.conversation("s-1", user_id="ann").window())[0].seq == 1
    bob = store.conversation("s-1", user_id="bob")
    await refused(
        [*reads(store, "bob"), *(lambda w=w: w(bob) for w in WRITES.values())]
    )
    assert (await store.sessions.list(user_id="ann")).items == (session,)
    receipt = await store.erase(user_id="ann")
    assert receipt.session_ids == ("s-1",)


async def test_getting_a_session_for_a_user_takes_it_too(store: Store) -> None:
    await ownerless(store)

    session, created = await store.sessions.get_or_create("s-1", user_id="ann")

    assert (session.user_id, created) == ("ann", False)
    assert session == await store.sessions.get("s-1")
    with pytest.raises(SessionNotFoundError):
        await store.sessions.get_or_create("s-1", user_id="bob")
    # Without a user it is the application that asks, of anybody's session.
    assert (await store.sessions.get_or_create("s-1"))[0] == session


async def test_of_many_users_at_once_one_takes_it(
    open_another: OpenAnother,
) -> None:
    stores = [await open_another(), await open_another()]
    await ownerless(stores[0])
    users = [f"u-{n}" for n in range(10)]

    answers = await asyncio.gather(
        *(
            stores[n % 2]
            .conversation("s-1", user_id=user)
            .append(role="user", content=f"van {user}")
            for n, user in enumerate(users)
        ),
        return_exceptions=True,
    )

    owner = (await stores[0].sessions.get("s-1")).user_id
    said = await contents(stores[0], "s-1")
    assert said == ["van niemand", f"van {owner}"]
    lost = [each for each in answers if isinstance(each, Exception)]
    assert len(lost) == len(users) - 1
    assert all(isinstance(each, SessionNotFoundError) for each in lost)


async def test_costs_follow_the_session_to_its_owner(
    store: Store, database_url: str
) -> None:
    await ownerless(store)
    await store.ledger.add_cost("s-1", micros=5)
    assert totals(database_url) == {"": 5}

    await store.conversation("s-1", user_id="ann").add_cost(micros=7)

    assert totals(database_url) == {"ann": 12}
    assert raw(database_url, "SELECT user_id FROM session_ledger") == [("ann",)]
    assert await store.ledger.cost() == 12
    await store.erase(user_id="ann")
    assert totals(database_url) == {"": 12}


async def test_costs_of_one_batch_follow_too(store: Store, database_url: str) -> None:
    await ownerless(store)
    ann = store.conversation("s-1", user_id="ann")

    await asyncio.gather(
        store.ledger.add_cost("s-1", micros=5),
        ann.append(role="user", content="van ann", cost_micros=2, charge=True),
        ann.add_cost(micros=3),
        store.ledger.add_cost("s-1", micros=7),
    )

    assert totals(database_url) == {"ann": 17}
    assert (await store.ledger.get("s-1")).cost_micros == 17


async def test_a_write_that_is_refused_takes_nothing(store: Store) -> None:
    await ownerless(store)
    ann = store.conversation("s-1", user_id="ann")

    for call, error in (
        (lambda: ann.append(role="user", parent_seq=9), TurnNotFoundError),
        (lambda: ann.switch(9), TurnNotFoundError),
        (lambda: ann.update(title="x", expected_version=99), VersionConflictError),
        (lambda: ann.record(action="x", turn_seq=9), TurnNotFoundError),
    ):
        # Beside a write that shares its commit and changes the whole row.
        done = await asyncio.gather(
            store.sessions.update("s-1", title="t"), call(), return_exceptions=True
        )
        assert isinstance(done[1], error)

    assert (await store.sessions.get("s-1")).user_id is None


async def test_a_transaction_takes_it_or_leaves_it(
    store: Store, database_url: str
) -> None:
    await ownerless(store)
    await store.ledger.add_cost("s-1", micros=5)

    async def gives_up() -> None:
        async with store.transaction() as tx:
            await tx.conversation("s-1", user_id="ann").touch()
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await gives_up()
    assert (await store.sessions.get("s-1")).user_id is None

    async with store.transaction() as tx:
        await tx.conversation("s-1", user_id="ann").append(role="user", content="hoi")

    assert (await store.sessions.get("s-1")).user_id == "ann"
    assert totals(database_url) == {"ann": 5}


async def test_an_archived_session_without_owner_is_taken_by_a_write(
    store: Store,
) -> None:
    await ownerless(store)
    await store.run_retention(older_than_s=0)
    await refused(reads(store, "ann"))

    await store.conversation("s-1", user_id="ann").append(role="user", content="hoi")

    assert (await store.sessions.get("s-1")).user_id == "ann"
    await store.run_retention(older_than_s=0)
    assert (await document(store, "s-1")).session.user_id == "ann"
    await refused(reads(store, "bob"))


async def test_an_update_gives_an_owner_once(store: Store, database_url: str) -> None:
    await ownerless(store)
    await store.ledger.add_cost("s-1", micros=5)

    given = await store.sessions.update("s-1", user_id="ann", title="t")
    again = await store.sessions.update("s-1", user_id="ann")

    assert (given.user_id, given.title, again.user_id) == ("ann", "t", "ann")
    assert totals(database_url) == {"ann": 5}
    with pytest.raises(ConflictError):
        await store.sessions.update("s-1", user_id="bob", title="u")
    session = await store.sessions.get("s-1")
    assert (session.user_id, session.title) == ("ann", "t")
    for wrong in (None, "", "x" * 256):
        with pytest.raises(InvalidInputError):
            await store.sessions.update("s-1", user_id=wrong)  # type: ignore[arg-type]


async def test_a_transfer_changes_the_owner_and_leaves_an_interaction(
    store: Store, database_url: str
) -> None:
    await store.sessions.get_or_create("s-1", user_id="ann")
    await store.ledger.add_cost("s-1", micros=5)

    session = await store.sessions.transfer(
        "s-1", user_id="bob", actor_id="beheer", reason="samengevoegd"
    )

    assert session == await store.sessions.get("s-1")
    assert session.user_id == "bob"
    assert totals(database_url) == {"bob": 5}
    (act,) = (await store.interactions.list("s-1")).items
    assert (act.action, act.actor_id, act.reason) == (
        "transfer",
        "beheer",
        "samengevoegd",
    )
    await refused(reads(store, "ann"))
    assert await store.sessions.transfer("s-1", user_id="bob") == session
    # Nothing names who had it before.
    assert "ann" not in str(raw(database_url, "SELECT * FROM interactions"))
    with pytest.raises(SessionNotFoundError):
        await store.sessions.transfer("absent", user_id="bob")


async def test_a_store_that_remembers_a_session_without_owner_lets_it_be_taken(
    open_another: OpenAnother,
) -> None:
    """Plain appends to sessions that were written to last take a shorter way."""
    store, other = await open_another(), await open_another()
    await ownerless(store)
    for said in ("een", "twee"):
        await store.turns.append("s-1", role="user", content=said)
    await other.conversation("s-1", user_id="ann").append(role="user", content="drie")

    with pytest.raises(SessionNotFoundError):
        await store.conversation("s-1", user_id="bob").append(role="user", content="x")
    await store.conversation("s-1", user_id="ann").append(role="user", content="vier")

    assert await contents(store, "s-1") == [
        "van niemand",
        "een",
        "twee",
        "drie",
        "vier",
    ]
