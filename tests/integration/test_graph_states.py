"""The noun `graph_states`: versions, namespaces, races."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Any

import pytest

from convstore import (
    ConflictError,
    GraphStateNotFoundError,
    InvalidInputError,
    SessionNotFoundError,
    Store,
    TurnNotFoundError,
    VersionConflictError,
)
from tests.integration.conversations import every_page, everything, say

WHOLE: dict[str, Any] = {
    "namespace": "plan",
    "turn_seq": 1,
    "metadata": {"z": 1, "a": [None]},
    "external_id": "g-1",
    "created_at": datetime(2025, 1, 1, tzinfo=UTC),
}


@pytest.fixture(name="store")
async def store_with_a_turn(store: Store) -> Store:
    await say(store, "s-1", "q")
    return store


async def test_a_graph_state_comes_back_as_it_was_given(store: Store) -> None:
    state = {"nodes": [{"id": 2, "": None}, {"id": 1}], "edges": [], "a": 0.1}

    put = await store.graph_states.put("s-1", state, **WHOLE)

    assert (put.session_id, put.version, put.state) == ("s-1", 1, state)
    assert {name: getattr(put, name) for name in WHOLE} == WHOLE
    assert await store.graph_states.get("s-1", namespace="plan") == put
    assert repr(put.state) == repr(state), "keys keep their order"


@pytest.mark.parametrize("state", [None, True, 0, -1.5, "", "text", [], {}, [[{}]]])
async def test_any_json_value_is_a_state(store: Store, state: Any) -> None:
    await store.graph_states.put("s-1", state)

    found = (await store.graph_states.get("s-1")).state
    assert found == state
    assert type(found) is type(state)


async def test_every_version_stays_readable(store: Store) -> None:
    for number in range(5):
        await store.graph_states.put("s-1", {"n": number})

    for version in range(1, 6):
        found = await store.graph_states.get("s-1", version=version)
        assert found.state == {"n": version - 1}
    assert (await store.graph_states.get("s-1")).version == 5
    assert await store.graph_states.find("s-1", version=6) is None
    with pytest.raises(GraphStateNotFoundError) as caught:
        await store.graph_states.get("s-1", version=6)
    assert (caught.value.namespace, caught.value.version) == ("default", 6)


async def test_a_session_without_graph_has_none(store: Store) -> None:
    assert await store.graph_states.find("s-1") is None
    assert await store.graph_states.namespaces("s-1") == {}
    with pytest.raises(GraphStateNotFoundError):
        await store.graph_states.get("s-1")


async def test_namespaces_count_their_versions_apart(store: Store) -> None:
    put = store.graph_states.put
    await put("s-1", 1, namespace="a")
    await put("s-1", 2, namespace="a", expected_version=1)
    await put("s-1", 1, namespace="b/ü", expected_version=0)

    assert await store.graph_states.namespaces("s-1") == {"a": 2, "b/ü": 1}
    assert (await store.sessions.get("s-1")).graph_state_count == 3
    listed = await every_page(store.graph_states.list, "s-1", namespace="a", limit=1)
    assert [(g.version, g.state) for g in listed] == [(2, 2), (1, 1)]


@pytest.mark.parametrize("expected", [0, 1, 3])
async def test_a_put_that_lost_the_race_names_both_versions(
    store: Store, expected: int
) -> None:
    await store.graph_states.put("s-1", 1)
    await store.graph_states.put("s-1", 2)

    with pytest.raises(VersionConflictError) as caught:
        await store.graph_states.put("s-1", 3, expected_version=expected)

    assert (caught.value.expected, caught.value.actual) == (expected, 2)
    assert (await store.graph_states.get("s-1")).state == 2


async def test_of_racing_conditional_puts_exactly_one_wins(
    store: Store, open_another: Callable[..., Awaitable[Store]]
) -> None:
    stores = [store, await open_another()]

    done = await asyncio.gather(
        *(
            stores[i % 2].graph_states.put("s-1", i, expected_version=0)
            for i in range(20)
        ),
        return_exceptions=True,
    )

    lost = [result for result in done if isinstance(result, VersionConflictError)]
    assert len(lost) == 19
    assert await store.graph_states.namespaces("s-1") == {"default": 1}


async def test_unconditional_puts_at_once_all_get_a_version(store: Store) -> None:
    done = await asyncio.gather(*(store.graph_states.put("s-1", i) for i in range(30)))

    assert sorted(g.version for g in done) == list(range(1, 31))


async def test_repeating_a_put_gives_the_first_one_back(store: Store) -> None:
    first = await store.graph_states.put("s-1", {"n": 1}, **WHOLE, expected_version=0)
    before = await everything(store, "s-1")

    again = await store.graph_states.put("s-1", {"n": 1}, **WHOLE, expected_version=0)

    assert again == first
    with pytest.raises(ConflictError):
        await store.graph_states.put("s-1", {"n": 2}, **WHOLE)
    assert await everything(store, "s-1") == before


async def test_the_turn_that_made_it_must_be_there(store: Store) -> None:
    for seq in (0, 2):
        with pytest.raises(TurnNotFoundError):
            await store.graph_states.put("s-1", 1, turn_seq=seq)
    with pytest.raises(SessionNotFoundError):
        await store.graph_states.put("absent", 1)


async def test_what_cannot_be_stored_is_refused_by_name(store: Store) -> None:
    put = store.graph_states.put
    for field, call in {
        "state": put("s-1", {"a": float("inf")}),
        "namespace": put("s-1", 1, namespace=""),
        "expected_version": put("s-1", 1, expected_version=-1),
        "turn_seq": put("s-1", 1, turn_seq=True),  # type: ignore[arg-type]
        "metadata": put("s-1", 1, metadata={"a": {1}}),
        "external_id": put("s-1", 1, external_id="\0"),
    }.items():
        with pytest.raises(InvalidInputError) as caught:
            await call
        assert caught.value.field == field
    assert await store.graph_states.namespaces("s-1") == {}
