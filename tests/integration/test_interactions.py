"""The noun `interactions`: record, supersede, count, summarise."""

import asyncio
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from convstore import (
    Choice,
    ConflictError,
    Interaction,
    InteractionNotFoundError,
    InvalidInputError,
    ManualClock,
    SessionNotFoundError,
    Store,
    StoreConfig,
    TurnNotFoundError,
    open_store,
)
from convstore.vocabulary.feedback import label_counts
from convstore.vocabulary.records import ActorKind
from tests.integration.conversations import every_page, everything, say

WHOLE: dict[str, Any] = {
    "action": "feedback",
    "turn_seq": 2,
    "node_id": "n-1",
    "choice": Choice(2, (1, 3)),
    "actor_id": "u-1",
    "actor_kind": "model",
    "feedback": "partial",
    "score": 0.1,
    "reason": "half of it",
    "content": "better: …",
    "shown": [{"turn": 2, "position": 0}],
    "surface": "web",
    "supersedes": None,
    "metadata": {"z": 1, "a": 2},
    "external_id": "f-1",
    "created_at": datetime(2025, 1, 1, tzinfo=UTC),
}


@pytest.fixture(name="store")
async def store_with_three_turns(store: Store) -> Store:
    await say(store, "s-1", "q", "a", "b")
    return store


async def _counts(store: Store) -> dict[str, int]:
    return (await store.sessions.get("s-1")).feedback_counts


async def test_an_interaction_comes_back_as_it_was_given(store: Store) -> None:
    recorded = await store.interactions.record("s-1", **WHOLE)

    assert {name: getattr(recorded, name) for name in WHOLE} == WHOLE
    assert (recorded.session_id, recorded.seq) == ("s-1", 1)
    assert (await store.interactions.list("s-1")).items == (recorded,)
    session = await store.sessions.get("s-1")
    assert (session.interaction_count, session.feedback_counts) == (1, {"partial": 1})


@pytest.mark.parametrize(
    "action", ["feedback", "prune", "inject", "resurrect", "any word ☂"]
)
async def test_every_action_is_kept(store: Store, action: str) -> None:
    await store.interactions.record("s-1", action=action, node_id="n-1")

    assert [i.action for i in (await store.interactions.list("s-1")).items] == [action]


async def test_any_label_is_counted(store: Store) -> None:
    labels = ["correct", "thumbs_down", "hallucinated", "ongeluk ☂", "correct"]
    for number, label in enumerate(labels):
        await store.interactions.add_feedback(
            "s-1", node_id=f"n-{number}", feedback=label, context={"n": number}
        )

    assert await _counts(store) == Counter(labels)
    first = (await store.interactions.list("s-1", limit=1)).items[0]
    assert (first.action, first.metadata) == ("feedback", {"n": 0})


async def test_later_feedback_of_an_actor_replaces_the_earlier(store: Store) -> None:
    add = store.interactions.add_feedback

    await add("s-1", turn_seq=2, actor_id="u-1", feedback="correct")
    await add("s-1", turn_seq=2, actor_id="u-2", feedback="correct")
    await add("s-1", turn_seq=3, actor_id="u-1", feedback="correct")
    await add("s-1", turn_seq=2, actor_id="u-1", feedback="incorrect")

    assert await _counts(store) == {"correct": 2, "incorrect": 1}


async def test_a_retraction_brings_the_earlier_feedback_back(store: Store) -> None:
    record = store.interactions.record
    await record("s-1", action="feedback", turn_seq=2, feedback="correct")
    second = await record("s-1", action="feedback", turn_seq=2, feedback="incorrect")

    await record("s-1", action="retract", turn_seq=2, supersedes=second.seq)
    assert await _counts(store) == {"correct": 1}
    await record("s-1", action="retract", turn_seq=2, supersedes=1)

    assert await _counts(store) == {}
    assert (await store.interactions.summary("s-1")).total == 0
    assert (await store.sessions.get("s-1")).interaction_count == 4


async def test_retracting_twice_counts_once(store: Store) -> None:
    record = store.interactions.record
    await record("s-1", action="feedback", turn_seq=2, feedback="a", actor_id="u-1")
    await record("s-1", action="feedback", turn_seq=2, feedback="a", actor_id="u-2")

    await record("s-1", action="retract", supersedes=1)
    await record("s-1", action="retract", supersedes=1)

    assert await _counts(store) == {"a": 1}


async def test_a_summary_tells_labels_turns_nodes_and_the_mean_score(
    store: Store,
) -> None:
    add = store.interactions.add_feedback
    await add("s-1", turn_seq=2, feedback="correct", score=1.0)
    await add("s-1", turn_seq=3, feedback="incorrect", score=0.0)
    await add("s-1", node_id="n-1", feedback="correct")
    await add("s-1", node_id="n-1", feedback="partial", actor_id="u-2", score=0.5)
    await store.interactions.record("s-1", action="copy", turn_seq=2)

    summary = await store.interactions.summary("s-1")

    assert summary.total == 4
    assert summary.by_label == {"correct": 2, "incorrect": 1, "partial": 1}
    assert summary.by_turn == {2: {"correct": 1}, 3: {"incorrect": 1}}
    assert summary.by_node == {"n-1": {"correct": 1, "partial": 1}}
    assert summary.mean_score == 0.5


async def test_a_session_without_feedback_has_an_empty_summary(store: Store) -> None:
    summary = await store.interactions.summary("s-1")

    assert (summary.total, summary.mean_score) == (0, None)


async def test_repeating_an_interaction_gives_the_first_one_back(store: Store) -> None:
    first = await store.interactions.record("s-1", **WHOLE)
    before = await everything(store, "s-1")

    again = await store.interactions.record("s-1", **WHOLE)

    assert again == first
    assert await everything(store, "s-1") == before


@pytest.mark.parametrize("field", ["feedback", "turn_seq", "score", "content"])
async def test_an_external_id_taken_by_another_interaction_is_a_conflict(
    store: Store, field: str
) -> None:
    await store.interactions.record("s-1", **WHOLE)
    before = await everything(store, "s-1")

    with pytest.raises(ConflictError):
        await store.interactions.record("s-1", **{**WHOLE, field: None})

    assert await everything(store, "s-1") == before


async def test_what_is_aimed_at_must_be_there(store: Store) -> None:
    record = store.interactions.record
    before = await everything(store, "s-1")

    for seq in (0, 4, 2**63 - 1):
        with pytest.raises(TurnNotFoundError):
            await record("s-1", action="copy", turn_seq=seq)
        with pytest.raises(TurnNotFoundError):
            await record("s-1", action="choose", choice=Choice(1, (seq,)))
        with pytest.raises(InteractionNotFoundError):
            await record("s-1", action="retract", supersedes=seq)
    with pytest.raises(SessionNotFoundError):
        await record("absent", action="copy")

    assert await everything(store, "s-1") == before


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("score", float("nan")),
        ("score", float("inf")),
        ("score", True),
        ("score", "1"),
        ("score", 10**400),
        ("actor_kind", "robot"),
        ("choice", Choice(1, ())),
        ("choice", Choice(1, (1,))),
        ("choice", Choice(None, (2,))),
        ("choice", {"chosen": 1}),
        ("action", ""),
        ("feedback", ""),
        ("feedback", "x" * 256),
        ("turn_seq", "2"),
        ("metadata", {"a": float("nan")}),
        ("metadata", []),
        ("created_at", datetime(2025, 1, 1)),  # noqa: DTZ001
        ("created_at", datetime(1969, 1, 1, tzinfo=UTC)),
    ],
)
async def test_what_cannot_be_stored_is_refused_by_name(
    store: Store, field: str, value: Any
) -> None:
    with pytest.raises(InvalidInputError) as caught:
        await store.interactions.record("s-1", **{**WHOLE, field: value})

    assert caught.value.field == field
    assert (await store.sessions.get("s-1")).interaction_count == 0


@pytest.mark.parametrize("score", [0, -1, 1e300, -5e-324, 0.1, 2**70])
async def test_a_score_comes_back_bit_for_bit(store: Store, score: float) -> None:
    await store.interactions.record("s-1", action="feedback", score=score)

    (act,) = (await store.interactions.list("s-1")).items
    assert act.score == float(score)


async def test_a_tie_has_no_chosen_turn(store: Store) -> None:
    await store.interactions.record("s-1", action="choose", choice=Choice(None, (2, 3)))

    (act,) = (await store.interactions.list("s-1")).items
    assert act.choice == Choice(None, (2, 3))


async def test_interactions_are_paged_in_the_order_of_recording(store: Store) -> None:
    for number in range(12):
        await store.interactions.record("s-1", action=f"a-{number}")

    found = await every_page(store.interactions.list, "s-1", limit=5)

    assert [i.action for i in found] == [f"a-{n}" for n in range(12)]
    assert [i.seq for i in found] == list(range(1, 13))


async def test_recording_at_once_leaves_no_gap_and_right_counts(store: Store) -> None:
    await asyncio.gather(
        *(
            store.interactions.add_feedback(
                "s-1", turn_seq=2, actor_id=f"u-{i % 7}", feedback=f"l-{i % 3}"
            )
            for i in range(60)
        )
    )

    acts = await every_page(store.interactions.list, "s-1")
    assert [i.seq for i in acts] == list(range(1, 61))
    assert await _counts(store) == _recount(acts)


def _recount(acts: list[Interaction]) -> dict[str, int]:
    """The effective feedback from the whole list, worked out beside the library."""
    superseded = {act.supersedes for act in acts}
    last: dict[object, str | None] = {}
    for act in acts:
        if act.seq in superseded or act.action == "retract":
            continue
        between = act.choice and frozenset({act.choice.chosen, *act.choice.rejected})
        by = act.actor_id, act.actor_kind
        each = act.seq if act.action == "inject" else None  # of these, all stand
        last[by, act.action, act.turn_seq, act.node_id, between, each] = act.feedback
    return dict(Counter(label for label in last.values() if label is not None))


@dataclass(frozen=True)
class _Act:
    action: str
    actor_id: str | None
    turn_seq: int | None
    node_id: str | None
    feedback: str | None
    score: float | None
    choice: Choice | None
    actor_kind: ActorKind
    supersedes: int | None


_ACTS = st.builds(
    _Act,
    action=st.sampled_from(["feedback", "retract", "inject"]),
    actor_id=st.sampled_from([None, "u-1"]),
    turn_seq=st.sampled_from([None, 1, 2]),
    node_id=st.sampled_from([None, "n"]),
    feedback=st.sampled_from([None, "up", "down"]),
    score=st.sampled_from([None, 0.5]),
    choice=st.sampled_from([None, None, Choice(1, (2,)), Choice(2, (1,))]),
    actor_kind=st.sampled_from(["human", "model"]),
    supersedes=st.none() | st.integers(1, 8),
)


@pytest.mark.mostly_slow("postgres")
@pytest.mark.parametrize("kind", ["sqlite", "postgres"])
def test_counts_equal_a_recount_whatever_was_recorded(
    request: pytest.FixtureRequest, kind: str
) -> None:
    url, number = str(request.getfixturevalue(f"{kind}_url")), iter(range(10**6))

    async def check(acts: list[_Act]) -> None:
        async with open_store(StoreConfig(url=url)) as store:
            session_id = f"s-{next(number)}"
            await say(store, session_id, "q", "a")
            one_by_one, together = acts[::2], [vars(act) for act in acts[1::2]]
            for act in one_by_one:
                with suppress(InteractionNotFoundError):
                    await store.interactions.record(session_id, **vars(act))
            with suppress(InteractionNotFoundError):
                await store.interactions.record_many(together, session_id=session_id)
            recorded = await every_page(store.interactions.list, session_id)
            session = await store.sessions.get(session_id)
            summary = await store.interactions.summary(session_id)
            assert session.feedback_counts == _recount(recorded)
            assert summary.by_label == _recount(recorded)
            judged = await store.interactions.effective(session_id)
            assert label_counts(judged) == _recount(recorded)
            listed = await store.sessions.list(label="up")
            assert (session_id in {s.id for s in listed.items}) == (
                "up" in _recount(recorded)
            )

    @settings(max_examples=30)
    @given(st.lists(_ACTS, max_size=12))
    def explore(acts: list[_Act]) -> None:
        asyncio.run(check(acts))

    explore()


async def test_an_interaction_is_activity(store: Store, clock: ManualClock) -> None:
    clock.advance(60)

    await store.interactions.record("s-1", action="copy", turn_seq=2)

    session = await store.sessions.get("s-1")
    assert session.last_activity_at == session.created_at + timedelta(seconds=60)
