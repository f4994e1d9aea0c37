"""Windows and history of a stored branch; how a window is cut is a unit test."""

from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from convstore import InvalidInputError, Store, StoreConfig, Turn, open_store
from convstore.messages import windows
from tests.integration.conversations import say


def _call(number: int) -> dict[str, Any]:
    return {
        "id": f"c-{number}",
        "type": "function",
        "function": {"name": "f", "arguments": "{}"},
    }


async def _with_calls(store: Store, rounds: int) -> list[Turn]:
    """Rounds of question, call, two results, answer."""
    await store.sessions.get_or_create("s-1")
    turns: list[dict[str, Any]] = []
    for i in range(rounds):
        turns += [
            {"role": "user", "content": f"q{i}"},
            {"role": "assistant", "parts": [_call(2 * i), _call(2 * i + 1)]},
            {"role": "tool", "content": "r", "tool_call_id": f"c-{2 * i}"},
            {"role": "tool", "content": "r", "tool_call_id": f"c-{2 * i + 1}"},
            {"role": "assistant", "content": f"a{i}"},
        ]
    return await store.turns.append_many("s-1", turns)


async def test_a_window_is_the_newest_turns_oldest_first(store: Store) -> None:
    turns = await say(store, "s-1", *map(str, range(30)))

    assert await store.turns.window("s-1") == turns[-20:]
    assert await store.turns.window("s-1", limit=1) == turns[-1:]
    assert await store.turns.window("s-1", limit=10_000) == turns


async def test_no_window_parts_a_call_from_its_results(store: Store) -> None:
    turns = await _with_calls(store, 4)

    for limit in range(1, len(turns) + 1):
        window = await store.turns.window("s-1", limit=limit)
        assert window == turns[len(turns) - len(window) :]
        assert not windows.has_orphan_results(window)
        assert len(window) <= limit


async def test_an_exchange_over_the_limit_comes_back_whole(store: Store) -> None:
    turns = await _with_calls(store, 2)
    await store.turns.append("s-1", role="assistant", parts=[_call(9)])
    result = {"role": "tool", "content": "r", "tool_call_id": "c-9"}
    await store.turns.append_many("s-1", [result] * 300)

    window = await store.turns.window("s-1", limit=3)

    assert window[0].seq == len(turns) + 1
    assert len(window) == 301


async def test_a_result_without_its_call_does_not_read_for_ever(store: Store) -> None:
    await say(store, "s-1", *map(str, range(200)))
    await store.turns.append("s-1", role="tool", content="r", tool_call_id="lost")

    window = await store.turns.window("s-1", limit=5)

    assert window[-1].tool_call_id == "lost"


async def test_a_window_by_characters_is_the_longest_that_fits(store: Store) -> None:
    turns = await say(store, "s-1", *("x" * 10 for _ in range(300)))

    assert await store.turns.window("s-1", limit=300, max_chars=35) == turns[-3:]
    assert await store.turns.window("s-1", limit=300, max_chars=1005) == turns[-100:], (
        "more than the first piece that is read"
    )
    assert await store.turns.window("s-1", limit=2, max_chars=1000) == turns[-2:]
    assert await store.turns.window("s-1", limit=10, max_chars=1) == turns[-1:]


async def test_a_window_by_tokens_asks_the_callers_counter(store: Store) -> None:
    turns = await say(store, "s-1", *("a b c" for _ in range(300)))

    window = await store.turns.window(
        "s-1",
        limit=300,
        max_tokens=400,
        count_tokens=lambda turn: len((turn.content or "").split()),
    )

    assert window == turns[-133:]


async def test_tokens_need_a_counter_and_a_counter_tokens(store: Store) -> None:
    await say(store, "s-1", "x")

    with pytest.raises(InvalidInputError):
        await store.turns.window("s-1", max_tokens=5)
    with pytest.raises(InvalidInputError):
        await store.turns.window("s-1", count_tokens=lambda _: 1)


@pytest.mark.parametrize("limit", [0, -1, 10_001, True, "5"])
async def test_a_window_size_out_of_bounds_is_refused(store: Store, limit: Any) -> None:
    await say(store, "s-1", "x")

    with pytest.raises(InvalidInputError) as caught:
        await store.turns.window("s-1", limit=limit)

    assert caught.value.field == "limit"


async def test_the_start_of_a_strided_window_stays_between_strides(
    store: Store,
) -> None:
    await store.sessions.get_or_create("s-1")
    starts = []
    for number in range(60):
        await store.turns.append("s-1", role="user", content=str(number))
        window = await store.turns.window("s-1", limit=20, step=10)
        starts.append(window[0].seq)

    assert starts[:20] == [1] * 20
    assert sorted(set(starts)) == [1, 11, 21, 31, 41]


async def test_a_window_is_a_prefix_of_later_ones_while_its_start_stays(
    store: Store,
) -> None:
    await store.sessions.get_or_create("s-1")
    earlier: list[Turn] = []
    for number in range(25):
        await store.turns.append("s-1", role="user", content=str(number))
        window = await store.turns.window("s-1", limit=100)
        assert window[: len(earlier)] == earlier
        earlier = window


async def test_windows_of_a_branched_session_follow_its_path(store: Store) -> None:
    turns = await say(store, "s-1", *map(str, range(100)))
    branch = await store.turns.append("s-1", role="user", content="b", parent_seq=50)

    window = await store.turns.window("s-1", limit=30)

    assert window == [*turns[21:50], branch]
    by_chars = await store.turns.window("s-1", limit=100, max_chars=10_000)
    assert by_chars == [*turns[:50], branch]


async def test_history_has_resolved_questions_in_place_of_the_asked(
    store: Store,
) -> None:
    await store.sessions.get_or_create("s-1")
    await store.turns.add_exchange("s-1", "Waar?", "Daar.")
    await store.turns.add_exchange("s-1", "En?", "Hier.", resolved_question="Waar nog?")

    assert await store.turns.history("s-1") == [
        {"role": "user", "content": "Waar?"},
        {"role": "assistant", "content": "Daar."},
        {"role": "user", "content": "Waar nog?"},
        {"role": "assistant", "content": "Hier."},
    ]


async def test_history_is_six_turns_unless_told_otherwise(store: Store) -> None:
    await say(store, "s-1", *map(str, range(10)))

    assert [m["content"] for m in await store.turns.history("s-1")] == list("456789")
    assert [m["content"] for m in await store.turns.history("s-1", limit=2)] == [
        "8",
        "9",
    ]


async def test_history_names_calls_and_results(store: Store) -> None:
    await _with_calls(store, 1)

    _, call, result, *_ = await store.turns.history("s-1")

    assert [c["id"] for c in call["tool_calls"]] == ["c-0", "c-1"]
    assert result == {"role": "tool", "content": "r", "tool_call_id": "c-0"}


@st.composite
def _trees(draw: st.DrawFn) -> list[tuple[int, str]]:
    """For each turn the parent (0 begins anew) and the text."""
    size = draw(st.integers(1, 25))
    return [
        (draw(st.integers(0, seq)), draw(st.text("ab", max_size=5)))
        for seq in range(size)
    ]


@pytest.fixture
def kept_url(request: pytest.FixtureRequest) -> Callable[[str], str]:
    return lambda kind: str(request.getfixturevalue(f"{kind}_url"))


@pytest.mark.mostly_slow("sqlite")
@pytest.mark.parametrize("kind", ["sqlite", "postgres"])
def test_any_tree_is_read_as_it_was_built(
    kept_url: Callable[[str], str], kind: str
) -> None:
    """Every branch, switched to, shows just its path; against a dictionary."""
    import asyncio

    url, number = kept_url(kind), iter(range(10**6))

    async def check(tree: list[tuple[int, str]]) -> None:
        async with open_store(StoreConfig(url=url)) as store:
            session_id = f"s-{next(number)}"
            await store.sessions.get_or_create(session_id)
            await store.turns.append_many(
                session_id,
                [{"role": "user", "content": t, "parent_seq": p} for p, t in tree],
            )
            parents = {seq: parent for seq, (parent, _) in enumerate(tree, 1)}
            for branch in await store.turns.branches(session_id):
                path = []
                seq = branch.head_seq
                while seq:
                    path.append(seq)
                    seq = parents[seq]
                await store.turns.switch(session_id, branch.head_seq)
                window = await store.turns.window(session_id, limit=100)
                assert [turn.seq for turn in window] == path[::-1]
                assert branch.turn_count == len(path)

    @settings(max_examples=20)
    @given(_trees())
    def explore(tree: list[tuple[int, str]]) -> None:
        asyncio.run(check(tree))

    explore()


async def test_a_window_of_another_store_sees_what_was_acknowledged(
    store: Store, open_another: Callable[..., Awaitable[Store]]
) -> None:
    another = await open_another()
    await store.sessions.get_or_create("s-1")
    for number in range(20):
        turn = await store.turns.append("s-1", role="user", content=str(number))
        assert (await another.turns.window("s-1", limit=1)) == [turn]
