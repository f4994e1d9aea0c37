"""The session ledger: pins, escalation, strikes, costs, budgets, sticky caches."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

import pytest

from convstore import (
    InvalidInputError,
    LedgerEntryNotFoundError,
    LimitExceededError,
    ManualClock,
    SessionErasedError,
    SessionNotFoundError,
    Store,
    Turn,
)
from convstore.db.batch import run_batch
from convstore.db.ledger import ChangeLedger
from convstore.policy import LedgerPolicy
from convstore.vocabulary.records import LedgerEntry, LedgerSummary
from tests.integration.sent_statements import counting

Open = Callable[..., Awaitable[Store]]


async def test_a_pin_is_read_back(store: Store) -> None:
    await store.sessions.get_or_create("s-1")

    entry = await store.ledger.pin("s-1", model="m-1", tier="small")

    assert (entry.model, entry.tier, entry.user_explicit) == ("m-1", "small", False)
    assert await store.ledger.get("s-1") == entry


async def test_a_ledger_entry_needs_a_session(store: Store) -> None:
    with pytest.raises(SessionNotFoundError):
        await store.ledger.pin("absent", model="m-1")


async def test_what_the_user_chose_is_left_alone(store: Store) -> None:
    await store.sessions.get_or_create("s-1")
    await store.ledger.pin("s-1", model="chosen", tier="small", user_explicit=True)

    routed = await store.ledger.pin("s-1", model="routed", tier="large")
    escalated = await store.ledger.escalate("s-1")

    assert (routed.model, routed.tier) == ("chosen", "small")
    assert escalated.tier == "small"


async def test_the_user_may_choose_again(store: Store) -> None:
    await store.sessions.get_or_create("s-1")
    await store.ledger.pin("s-1", model="first", user_explicit=True)

    second = await store.ledger.pin("s-1", model="second", user_explicit=True)

    assert second.model == "second"


async def test_escalation_goes_one_tier_up_and_stays_at_the_top(store: Store) -> None:
    await store.sessions.get_or_create("s-1")
    await store.ledger.pin("s-1", model="m", tier="small")

    tiers = [(await store.ledger.escalate("s-1")).tier for _ in range(3)]

    assert tiers == ["medium", "large", "large"]


async def test_an_expired_entry_reads_as_absent(
    store: Store, clock: ManualClock
) -> None:
    await store.sessions.get_or_create("s-1")
    await store.ledger.pin("s-1", model="m", tier="small")
    await store.ledger.add_cost("s-1", micros=5)
    clock.advance(LedgerPolicy().timeout_s + 1)

    assert await store.ledger.find("s-1") is None
    assert (await store.ledger.list()).items == ()
    with pytest.raises(LedgerEntryNotFoundError):
        await store.ledger.get("s-1")
    anew = await store.ledger.touch("s-1")
    assert (anew.model, anew.request_count, anew.cost_micros) == (None, 1, 5)


async def test_what_the_user_chose_outlives_the_timeout(
    store: Store, clock: ManualClock
) -> None:
    await store.sessions.get_or_create("s-1")
    await store.ledger.pin("s-1", model="chosen", tier="large", user_explicit=True)
    clock.advance(LedgerPolicy().timeout_s + 1)

    routed = await store.ledger.pin("s-1", model="routed", tier="small")

    assert (routed.model, routed.tier, routed.user_explicit) == (
        "chosen",
        "large",
        True,
    )
    assert (await store.ledger.escalate("s-1")).tier == "large"


@pytest.mark.parametrize("micros", [2**63 - 1, 10**15 + 1, -1, 1.5, True, "7"])
async def test_a_cost_that_no_model_has_is_refused(store: Store, micros: Any) -> None:
    await store.sessions.get_or_create("s-1")

    with pytest.raises(InvalidInputError):
        await store.ledger.add_cost("s-1", micros=micros)

    assert await store.ledger.cost() == 0


async def test_dollars_are_derived_from_micros(store: Store) -> None:
    await store.sessions.get_or_create("s-1")
    for micros in (1, 1_234_566):
        entry = await store.ledger.add_cost("s-1", micros=micros)

    assert (entry.cost_micros, entry.cost_usd) == (1_234_567, 1.234567)


async def test_how_many_strikes_and_hashes_count_are_settings(
    open_another: Open,
) -> None:
    policy = LedgerPolicy(tiers=("a", "b", "c"), max_strikes=2, window=3)
    store = await open_another(ledger=policy)
    await store.sessions.get_or_create("s-1")

    strikes = [await store.ledger.record_request("s-1", h) for h in "xyxxxx"]

    assert strikes == [0, 0, 0, 1, 2, 1]
    entry = await store.ledger.get("s-1")
    assert (entry.tier, entry.recent_hashes) == ("a", ("x", "x", "x"))


async def test_clearing_a_tenant_leaves_the_others_alone(store: Store) -> None:
    other = store.for_tenant("other")
    for each in (store, other):
        await each.sessions.get_or_create("s-1")
        await each.ledger.pin("s-1", model="m")

    assert await other.ledger.clear() == 1

    assert await other.ledger.find("s-1") is None
    assert (await store.ledger.get("s-1")).model == "m"


async def test_use_extends_the_timeout(store: Store, clock: ManualClock) -> None:
    await store.sessions.get_or_create("s-1")
    await store.ledger.pin("s-1", model="m")
    for _ in range(3):
        clock.advance(LedgerPolicy().timeout_s - 1)
        await store.ledger.touch("s-1")

    assert (await store.ledger.get("s-1")).request_count == 3


async def test_three_repeats_escalate_and_the_count_begins_again(store: Store) -> None:
    await store.sessions.get_or_create("s-1")
    await store.ledger.pin("s-1", model="m", tier="small")

    strikes = [await store.ledger.record_request("s-1", "same") for _ in range(4)]

    assert strikes == [0, 1, 2, 3]
    entry = await store.ledger.get("s-1")
    assert (entry.tier, entry.strikes, entry.request_count) == ("medium", 0, 4)


async def test_another_request_ends_the_row_of_repeats(store: Store) -> None:
    await store.sessions.get_or_create("s-1")

    strikes = [
        await store.ledger.record_request("s-1", name) for name in ("a", "a", "b", "a")
    ]

    assert strikes == [0, 1, 0, 0]


async def test_racing_costs_end_with_the_exact_sum(store: Store) -> None:
    for name in ("s-1", "s-2"):
        await store.sessions.get_or_create(name, user_id="u-1")
    await store.sessions.get_or_create("s-3")

    await asyncio.gather(
        *(store.ledger.add_cost(f"s-{1 + n % 3}", micros=7) for n in range(150))
    )

    assert (await store.ledger.get("s-1")).cost_micros == 350
    assert await store.ledger.cost(user_id="u-1") == 700
    assert await store.ledger.cost() == 1050


async def test_a_turn_is_charged_in_its_own_commit_and_once(
    open_another: Open,
) -> None:
    store, other = await open_another(lanes=1), await open_another()
    chats = [s.conversation("s-1", user_id="u-1") for s in (store, other)]
    await chats[0].append(role="user", content="q", external_id="q")
    commits = store.commit_stats().commits
    said: dict[str, Any] = {"role": "assistant", "content": "a", "external_id": "a"}

    first = await chats[0].append(**said, cost_micros=7, charge=True)

    assert store.commit_stats().commits == commits + 1
    assert (await store.ledger.get("s-1")).cost_micros == 7
    repeats = await asyncio.gather(
        *(c.append(**said, cost_micros=7, charge=True) for c in chats * 5)
    )
    assert repeats == [first] * 10
    assert (await store.ledger.get("s-1")).cost_micros == 7
    assert await store.ledger.cost(user_id="u-1") == await store.ledger.cost() == 7


async def test_what_races_for_one_external_id_is_charged_once(
    open_another: Open,
) -> None:
    stores = [await open_another() for _ in range(3)]
    await stores[0].sessions.get_or_create("s-1")

    def append(store: Store, number: int) -> Awaitable[Turn]:
        return store.turns.append(
            "s-1",
            role="assistant",
            external_id=f"m-{number % 5}",
            cost_micros=3,
            charge=True,
        )

    turns = await asyncio.gather(*(append(stores[n % 3], n) for n in range(60)))

    assert {turn.seq for turn in turns} == {1, 2, 3, 4, 5}
    assert (await stores[0].ledger.get("s-1")).cost_micros == 15
    assert await stores[0].ledger.cost() == 15


async def test_turns_and_their_charges_of_one_commit_add_up(store: Store) -> None:
    for number in range(3):
        await store.sessions.get_or_create(f"s-{number}", user_id="u-1")

    await asyncio.gather(
        *(
            store.turns.append(
                f"s-{n % 3}", role="assistant", cost_micros=n, charge=True
            )
            for n in range(30)
        ),
        *(store.ledger.add_cost(f"s-{n % 3}", micros=1) for n in range(30)),
    )

    assert await store.ledger.cost(user_id="u-1") == sum(range(30)) + 30
    for number in range(3):
        turns = await store.turns.window(f"s-{number}", limit=20)
        spent = sum(turn.cost_micros or 0 for turn in turns)
        assert (await store.ledger.get(f"s-{number}")).cost_micros == spent + 10


async def test_a_charge_that_is_refused_adds_no_turn(store: Store) -> None:
    await store.sessions.get_or_create("s-1")
    refused: list[tuple[str, dict[str, Any]]] = [
        ("charge", {}),
        ("cost_micros", {"cost_micros": 10**15 + 1}),
        ("cost_micros", {"cost_micros": -1}),
    ]

    for field, given in refused:
        with pytest.raises(InvalidInputError) as error:
            await store.turns.append("s-1", role="assistant", charge=True, **given)
        assert error.value.field == field

    assert await store.turns.window("s-1") == []
    assert await store.ledger.find("s-1") is None


async def test_a_transaction_charges_a_turn_or_neither(store: Store) -> None:
    async def answer(*, fails: bool) -> None:
        async with store.transaction() as tx:
            chat = tx.conversation("s-1", user_id="u-1")
            await chat.append(role="assistant", cost_micros=7, charge=True)
            await chat.append(role="assistant", cost_micros=2)
            await chat.add_cost(micros=2)
            if fails:
                raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await answer(fails=True)
    assert await store.sessions.find("s-1") is None
    assert await store.ledger.cost() == 0
    await answer(fails=False)

    assert len(await store.turns.window("s-1")) == 2
    assert (await store.ledger.get("s-1")).cost_micros == 9
    assert await store.ledger.cost(user_id="u-1") == 9


async def test_changes_of_one_commit_follow_one_another(store: Store) -> None:
    for name in ("s-1", "s-2"):
        await store.sessions.get_or_create(name, user_id="u-1")
    ledger = store.ledger

    made, spent, up, refused, other = await asyncio.gather(
        ledger.pin("s-1", model="m", tier="small"),
        ledger.add_cost("s-1", micros=5),
        ledger.escalate("s-1"),
        ledger.touch("absent"),
        ledger.add_cost("s-2", micros=4),
        return_exceptions=True,
    )

    assert (made.cost_micros, spent.cost_micros) == (0, 5)
    assert (up.model, up.tier, up.cost_micros) == ("m", "medium", 5)
    assert isinstance(refused, SessionNotFoundError)
    assert await ledger.get("s-1") == up
    assert await ledger.get("s-2") == other
    assert await ledger.cost(user_id="u-1") == 9


async def test_an_entry_may_come_and_go_within_one_commit(store: Store) -> None:
    for name in ("s-1", "s-2"):
        await store.sessions.get_or_create(name)
    await store.ledger.pin("s-1", model="old")
    new = dataclasses.replace(
        await store.ledger.pin("s-2", model="new"), session_id="s-1"
    )
    now = store._scope.now()

    def changes(session_id: str, *results: LedgerEntry | None) -> list[ChangeLedger]:
        key = store._scope.key(session_id)
        return [ChangeLedger(key, lambda _, r=r: r, now) for r in results]  # type: ignore[misc]

    writes = [*changes("s-1", None, new), *changes("s-2", new, None)]
    await store._parts.backend.write(lambda c: run_batch(c, writes))

    assert await store.ledger.find("s-1") == new
    assert await store.ledger.find("s-2") is None


async def test_a_commit_sends_no_more_statements_for_more_entries(
    open_another: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = await open_another(lanes=1)

    async def statements_for(names: list[str]) -> int:
        await asyncio.gather(*(store.ledger.touch(name) for name in names))
        commits = store.commit_stats().commits
        sent.clear()
        await asyncio.gather(*(store.ledger.add_cost(n, micros=1) for n in names))
        assert store.commit_stats().commits == commits + 1
        return len(sent)

    names = [f"s-{number}" for number in range(40)]
    for each in names:
        await store.sessions.get_or_create(each, user_id=f"u-{each}")
    sent = counting(monkeypatch)

    assert await statements_for(names) == await statements_for(names[:1])


@pytest.mark.parametrize("whose", ["session", "user", "tenant"])
async def test_a_used_up_budget_is_refused_by_name(
    store: Store, open_another: Open, whose: str
) -> None:
    budget = f"{whose}_budget_micros"
    tight = await open_another(ledger=LedgerPolicy(**{budget: 10}))
    # The session spends nine; its user ten, the tenant eleven.
    for name, user, micros in (("s-1", "u-1", 9), ("s-2", "u-1", 1), ("s-3", None, 1)):
        await store.sessions.get_or_create(name, user_id=user)
        await store.ledger.add_cost(name, micros=micros)
    spent = {"session": "s-1", "user": "s-1", "tenant": "s-3"}[whose]
    if whose == "session":
        await tight.ledger.check_budget(spent)
        await tight.ledger.add_cost(spent, micros=1)

    with pytest.raises(LimitExceededError) as refused:
        await tight.ledger.check_budget(spent)

    assert (refused.value.limit, refused.value.allowed) == (budget, 10)
    assert refused.value.actual == (11 if whose == "tenant" else 10)
    await store.ledger.check_budget(spent)  # nothing is limited unless told so


async def test_a_cache_is_sticky_until_the_provider_forgets(
    store: Store, clock: ManualClock
) -> None:
    await store.sessions.get_or_create("s-1")
    await store.ledger.set_cache_sticky("s-1", "anthropic")

    assert await store.ledger.is_cache_sticky("s-1")
    clock.advance(301)
    assert not await store.ledger.is_cache_sticky("s-1")


async def test_clearing_forgets_the_entry_and_keeps_the_totals(store: Store) -> None:
    for name in ("s-1", "s-2"):
        await store.sessions.get_or_create(name)
        await store.ledger.add_cost(name, micros=3)

    assert await store.ledger.clear("s-1") == 1
    assert await store.ledger.clear() == 1
    assert await store.ledger.find("s-2") is None
    assert await store.ledger.cost() == 6


async def test_the_ledger_is_archived_and_restored_with_the_session(
    store: Store,
) -> None:
    await store.sessions.get_or_create("s-1")
    entry = await store.ledger.pin("s-1", model="m", tier="large")
    await store.run_retention(older_than_s=0)
    assert (await store.archive.read("s-1")).ledger == entry

    await store.restore("s-1")

    assert await store.ledger.get("s-1") == entry


async def test_stats_count_entries_and_say_how_old_they_are(
    store: Store, clock: ManualClock
) -> None:
    for name in ("s-1", "s-2", "s-3"):
        await store.sessions.get_or_create(name)
    await store.ledger.pin("s-1", model="m-1")
    clock.advance(LedgerPolicy().timeout_s - 60)
    await store.ledger.touch("s-2")
    await store.ledger.pin("s-3", model="m-3")
    both = await store.ledger.stats()
    clock.advance(90)

    assert both.count == 3
    stats = await store.ledger.stats(limit=1)
    assert (stats.count, stats.sessions) == (2, (LedgerSummary("s-2", None, 90.0),))


async def test_tiers_and_the_ttl_of_a_provider_are_settings(
    open_another: Open, clock: ManualClock
) -> None:
    policy = LedgerPolicy(tiers=("a", "b"), cache_ttl_s={"local": 10, "default": 20})
    store = await open_another(ledger=policy)
    await store.sessions.get_or_create("s-1")

    raised = [(await store.ledger.escalate("s-1")).tier for _ in range(3)]
    await store.ledger.set_cache_sticky("s-1", "local")
    clock.advance(11)

    assert raised == ["a", "b", "b"]
    assert not await store.ledger.is_cache_sticky("s-1")
    await store.ledger.set_cache_sticky("s-1", "unknown")
    clock.advance(11)
    assert await store.ledger.is_cache_sticky("s-1")


async def test_tenants_have_ledgers_of_their_own(store: Store) -> None:
    other = store.for_tenant("other")
    for each in (store, other):
        await each.sessions.get_or_create("s-1", user_id="u-1")
    await store.ledger.add_cost("s-1", micros=3)

    assert await other.ledger.find("s-1") is None
    assert await other.ledger.cost() == 0
    assert await other.ledger.cost(user_id="u-1") == 0


async def test_a_handle_keeps_the_ledger_of_its_own_session(store: Store) -> None:
    mine = store.conversation("s-1", user_id="u-1")
    yours = store.conversation("s-1", user_id="u-2")

    turn, strikes, entry = await asyncio.gather(
        mine.append(role="user", content="Hi", cost_micros=7),
        mine.record_request("h"),
        mine.add_cost(micros=7),
    )

    assert (turn.seq, strikes, entry.cost_micros) == (1, 0, 7)
    assert await mine.ledger_entry() == await store.ledger.get("s-1")
    assert (await mine.session()).user_id == "u-1"
    for refused in (
        yours.ledger_entry,
        yours.is_cache_sticky,
        partial(yours.pin, model="m"),
        partial(yours.add_cost, micros=1),
        partial(yours.record_request, "h"),
    ):
        with pytest.raises(SessionNotFoundError):
            await refused()
    assert (await store.ledger.get("s-1")).cost_micros == 7


async def test_the_budget_of_another_users_session_is_not_found(
    open_another: Open,
) -> None:
    store = await open_another(ledger=LedgerPolicy(session_budget_micros=5))
    await store.sessions.get_or_create("s-1", user_id="u-1")

    await store.conversation("s-1", user_id="u-1").check_budget()
    with pytest.raises(SessionNotFoundError):
        await store.conversation("s-1", user_id="u-2").check_budget()


async def test_a_handle_of_an_erased_session_makes_none(store: Store) -> None:
    await store.sessions.get_or_create("s-1", user_id="u-1")
    await store.erase(session_id="s-1")
    chat = store.conversation("s-1", user_id="u-1")

    outcomes = await asyncio.gather(
        chat.append(role="user", content="Hi"),
        chat.record_request("h"),
        return_exceptions=True,
    )

    assert [type(outcome) for outcome in outcomes] == [SessionErasedError] * 2
