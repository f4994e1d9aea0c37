"""What was charged on each day: `ledger.report`."""

from __future__ import annotations

import asyncio
from datetime import UTC, date, datetime
from typing import Any

import pytest

from convstore import InvalidInputError, ManualClock, Store
from convstore.types import CostReport

SECOND = date(2026, 1, 2)


def told(report: CostReport) -> dict[str, int]:
    """Its rows, which are in order and add up to its total."""
    assert report.complete
    assert sum(row.cost_micros for row in report.rows) == report.total_micros
    return {row.name: row.cost_micros for row in report.rows}


@pytest.fixture
async def spent(store: Store, clock: ManualClock) -> Store:
    """Two days, two users and nobody, two models and none."""
    await store.sessions.get_or_create("s-1", user_id="ann")
    await store.sessions.get_or_create("s-2", user_id="bob")
    await store.sessions.get_or_create("s-3")
    await store.ledger.pin("s-1", model="pinned")
    await store.ledger.add_cost("s-1", micros=1)
    await store.turns.append(
        "s-1", role="assistant", model="said", cost_micros=20, charge=True
    )
    clock.advance(86_400)
    await asyncio.gather(*(store.ledger.add_cost("s-2", micros=30) for _ in range(10)))
    await store.ledger.add_cost("s-3", micros=4_000)
    return store


async def test_costs_add_up_by_day_model_and_user(spent: Store) -> None:
    report = spent.ledger.report

    assert list(told(await report()).items()) == [
        ("2026-01-02", 4_300),
        ("2026-01-01", 21),
    ]
    by_model = told(await report("model"))
    assert by_model == {"": 4_300, "said": 20, "pinned": 1}
    assert list(by_model) == ["", "said", "pinned"]
    assert told(await report("user")) == {"": 4_000, "bob": 300, "ann": 21}
    assert told(await report("model", user_id="ann")) == {"said": 20, "pinned": 1}
    assert told(await report("user", since=SECOND)) == {"": 4_000, "bob": 300}
    assert told(await report("user", until=SECOND)) == {"ann": 21}
    assert told(await report(since=SECOND, until=SECOND)) == {}
    assert (await report()).total_micros == await spent.ledger.cost()


async def test_a_report_that_leaves_rows_out_says_so_and_has_the_whole_sum(
    spent: Store,
) -> None:
    report = await spent.ledger.report("user", limit=1)

    assert [(row.name, row.cost_micros) for row in report.rows] == [("", 4_000)]
    assert (report.total_micros, report.complete) == (4_321, False)


@pytest.mark.parametrize(
    ("given", "field"),
    [
        ({"by": "week"}, "by"),
        ({"since": "2026-01-01"}, "since"),
        ({"until": datetime(2026, 1, 1, tzinfo=UTC)}, "until"),
        ({"limit": 0}, "limit"),
        ({"user_id": ""}, "user_id"),
    ],
)
async def test_what_is_no_question_is_refused_by_name(
    store: Store, given: dict[str, Any], field: str
) -> None:
    with pytest.raises(InvalidInputError) as refused:
        await store.ledger.report(**given)
    assert refused.value.field == field


async def test_days_stay_when_sessions_go(spent: Store) -> None:
    before = await spent.ledger.report("user")

    await spent.run_retention(older_than_s=0)
    await spent.sessions.delete("s-2")

    assert await spent.ledger.report("user") == before


async def test_a_charge_that_is_refused_is_on_no_day(store: Store) -> None:
    with pytest.raises(InvalidInputError):
        await store.ledger.add_cost("s-1", micros=-1)
    await store.sessions.get_or_create("s-1")
    await store.turns.append(
        "s-1", role="assistant", external_id="t", cost_micros=5, charge=True
    )
    await store.turns.append(
        "s-1", role="assistant", external_id="t", cost_micros=5, charge=True
    )

    assert (await store.ledger.report()).total_micros == 5


async def test_who_claims_a_session_was_not_charged_before(store: Store) -> None:
    await store.sessions.get_or_create("s-1")
    await store.ledger.add_cost("s-1", micros=3)
    await store.sessions.get_or_create("s-1", user_id="ann")
    await store.ledger.add_cost("s-1", micros=4)

    assert told(await store.ledger.report("user")) == {"ann": 4, "": 3}
    assert await store.ledger.cost(user_id="ann") == 7


async def test_an_erased_user_is_named_on_no_day_and_the_sums_stay(
    spent: Store,
) -> None:
    before = await spent.ledger.report()

    receipt = await spent.erase(user_id="ann")

    assert receipt.rows_deleted["cost_days"] == 1
    assert told(await spent.ledger.report("user")) == {"": 4_021, "bob": 300}
    assert await spent.ledger.report() == before
    assert told(await spent.ledger.report(user_id="ann")) == {}


async def test_a_day_is_of_one_tenant(spent: Store) -> None:
    other = spent.for_tenant("other")
    await other.sessions.get_or_create("s-1", user_id="ann")
    await other.ledger.add_cost("s-1", micros=9)
    await other.erase(user_id="ann")

    assert told(await other.ledger.report("user")) == {"": 9}
    assert told(await spent.ledger.report("user"))["ann"] == 21
