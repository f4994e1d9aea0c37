"""Nothing names an erased user in the totals, and no charge is lost by an erasure."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from convstore import Store
from convstore.errors import ConvstoreError, LegalHoldError
from tests.integration.archives import OpenAnother, Steps, die_at, raw
from tests.integration.conversations import say
from tests.postgres_locks import until_somebody_waits

USER = "jan@example.org"


async def charged(store: Store, session_id: str, micros: int) -> None:
    await store.sessions.get_or_create(session_id, user_id=USER)
    await store.ledger.add_cost(session_id, micros=micros)


def totals(url: str) -> dict[str, int]:
    rows = raw(url, "SELECT user_id, cost_micros FROM cost_totals")
    return {user: cost for user, cost in rows if cost}


async def test_a_charge_between_the_beginning_of_an_erasure_and_its_end_names_nobody(
    store: Store, database_url: str
) -> None:
    await charged(store, "s-1", 5)
    eraser = store._parts.eraser
    carry_out = eraser.carry_out

    async def late(erasure: Any, **more: Any) -> Any:
        await store.ledger.add_cost("s-1", micros=7)
        return await carry_out(erasure, **more)

    eraser.carry_out = late  # type: ignore[method-assign]
    receipt = await store.erase(user_id=USER)

    assert totals(database_url) == {"": 12}
    assert receipt.rows_deleted["cost_totals"] == 1
    assert await store.ledger.cost() == 12


async def test_charges_beside_an_erasure_are_counted_and_name_nobody(
    open_another: OpenAnother, database_url: str
) -> None:
    stores = [await open_another(), await open_another()]
    names = [f"s-{number}" for number in range(12)]
    for name in names:
        await charged(stores[0], name, 1)
    paid = len(names)

    async def charge(store: Store, name: str) -> int:
        counted = 0
        for _ in range(8):
            try:
                await store.ledger.add_cost(name, micros=1)
            except ConvstoreError:
                return counted
            counted += 1
        return counted

    *counts, _ = await asyncio.gather(
        *(charge(stores[place % 2], name) for place, name in enumerate(names)),
        stores[0].erase(user_id=USER),
    )

    paid += sum(c for c in counts if isinstance(c, int))
    assert totals(database_url) == {"": paid}


async def test_an_erasure_that_died_before_it_forgot_forgets_when_it_is_taken_up(
    open_another: OpenAnother, database_url: str
) -> None:
    hook = Steps()
    store = await open_another(on_step=hook)
    await charged(store, "s-1", 5)
    await say(store, "s-1", "Hoi", "Dag")
    await die_at(hook, "erase.tombstone_file", store.erase(user_id=USER))
    assert totals(database_url) == {USER: 5}

    report = await store.archive.recover(alone=True)

    assert report.erasures_finished == 1
    assert totals(database_url) == {"": 5}
    (kept,) = raw(database_url, "SELECT receipt FROM erasures")
    assert '"turns":2' in str(kept[0]).replace(" ", "")


async def test_a_user_who_came_back_meanwhile_keeps_what_the_new_session_cost(
    store: Store, database_url: str
) -> None:
    await charged(store, "old", 5)
    eraser = store._parts.eraser
    carry_out = eraser.carry_out

    async def late(erasure: Any, **more: Any) -> Any:
        await charged(store, "new", 2)
        return await carry_out(erasure, **more)

    eraser.carry_out = late  # type: ignore[method-assign]
    await store.erase(user_id=USER)

    assert totals(database_url) == {"": 5, USER: 2}


async def test_an_erasure_that_a_hold_refuses_forgets_nothing(
    store: Store, database_url: str
) -> None:
    await charged(store, "s-1", 5)
    await store.holds.place("s-1", reason="case")

    with pytest.raises(LegalHoldError):
        await store.erase(user_id=USER)

    assert totals(database_url) == {USER: 5}


async def test_a_charge_that_commits_while_its_user_is_being_forgotten_is_kept(
    store: Store, database_url: str
) -> None:
    import asyncpg

    if database_url.startswith("sqlite"):
        pytest.skip("on SQLite one transaction writes at a time")
    await charged(store, "s-1", 5)
    other = await asyncpg.connect(database_url)
    charge = other.transaction()
    await charge.start()
    await other.execute("UPDATE cost_totals SET cost_micros = cost_micros + 7")

    erasing = asyncio.create_task(store.erase(user_id=USER))
    await until_somebody_waits(database_url)
    await charge.commit()
    await erasing
    await other.close()

    assert totals(database_url) == {"": 12}


async def test_a_charge_that_waits_for_a_total_being_deleted_makes_a_new_one(
    store: Store, database_url: str
) -> None:
    import asyncpg

    if database_url.startswith("sqlite"):
        pytest.skip("on SQLite one transaction writes at a time")
    await charged(store, "s-1", 5)
    other = await asyncpg.connect(database_url)
    deleting = other.transaction()
    await deleting.start()
    await other.execute("DELETE FROM cost_totals")

    charging = asyncio.create_task(store.ledger.add_cost("s-1", micros=7))
    await until_somebody_waits(database_url)
    await deleting.commit()
    await charging
    await other.close()

    assert totals(database_url) == {USER: 7}
