"""Raters on one queue: nobody is given what another has, or what they judged."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from convstore import InvalidInputError, NotFoundError, Store
from convstore.types import Choice, QueueItem
from convstore.vocabulary.clock import ManualClock


async def asked(store: Store, count: int, tag: str | None = None) -> None:
    for number in range(count):
        chat = store.conversation(f"s-{number}", user_id="u-1")
        await chat.append(role="user", content=f"Question {number}?")
        await chat.append(role="assistant", content=f"Answer {number}.")
        if tag:
            await store.sessions.patch(f"s-{number}", add_tags=[tag])


async def judge(store: Store, item: QueueItem, label: str = "thumbs_up") -> None:
    await store.interactions.record(
        item.session.id,
        action="feedback",
        turn_seq=item.turn_seq,
        feedback=label,
        actor_id=item.rater,
    )
    await store.queues.release(item.queue, item.session.id, rater=item.rater)


async def given(store: Store, rater: str, name: str = "q") -> QueueItem | None:
    return (await store.queues.next(name, rater=rater)).item


async def test_two_raters_never_have_one_item_and_judge_all(
    store: Store, open_another: Callable[..., Awaitable[Store]]
) -> None:
    await asked(store, 12)
    await store.queues.put("q")
    other = await open_another()
    had: list[tuple[str, str]] = []

    async def work(own: Store, rater: str) -> None:
        while True:
            item = await given(own, rater)
            if item is None:
                return
            had.append((item.session.id, rater))
            await judge(own, item)

    await asyncio.gather(work(store, "ann"), work(other, "bo"))

    # One who ends while the other holds the last ones leaves those to the other.
    assert sorted(session_id for session_id, _ in had) == sorted(
        f"s-{number}" for number in range(12)
    )


async def test_an_item_is_judged_by_as_many_as_were_asked_for(store: Store) -> None:
    await asked(store, 1)
    await store.queues.put("q", raters=2)

    ann, bo, cy = [await given(store, rater) for rater in ("ann", "bo", "cy")]
    assert ann is not None
    assert bo is not None
    await judge(store, ann)
    await judge(store, bo, "thumbs_down")

    assert cy is None
    assert await given(store, "ann") is None
    assert await given(store, "cy") is None


async def test_what_one_holds_is_given_again(store: Store) -> None:
    await asked(store, 3)
    await store.queues.put("q")

    first, again = await given(store, "ann"), await given(store, "ann")

    assert first is not None
    assert again is not None
    assert first.session.id == again.session.id


async def test_a_lease_that_ran_out_returns(store: Store, clock: ManualClock) -> None:
    await asked(store, 1)
    await store.queues.put("q")
    assert await given(store, "ann") is not None

    before = await given(store, "bo")
    clock.advance(601)
    after = await given(store, "bo")

    assert before is None
    assert after is not None


async def test_what_was_given_back_is_anybodys_and_what_was_skipped_anothers(
    store: Store,
) -> None:
    await asked(store, 1)
    await store.queues.put("q")
    item = await given(store, "ann")
    assert item is not None

    await store.queues.release("q", item.session.id, rater="ann", skip=True)
    await store.queues.release("q", item.session.id, rater="ann")

    assert await given(store, "ann") is None
    assert await given(store, "bo") is not None


async def test_a_judgement_that_was_taken_back_opens_the_item_again(
    store: Store,
) -> None:
    await asked(store, 1)
    await store.queues.put("q")
    item = await given(store, "ann")
    assert item is not None
    await judge(store, item)
    assert await given(store, "ann") is None

    await store.interactions.record(
        "s-0", action="retract", turn_seq=2, supersedes=1, actor_id="ann"
    )

    assert await given(store, "ann") is not None


async def test_answers_to_one_question_are_given_together(store: Store) -> None:
    await asked(store, 1)
    await store.turns.append("s-0", role="assistant", content="No.", parent_seq=1)
    await store.queues.put("q")

    item = await given(store, "ann")

    assert item is not None
    assert (item.turn_seq, item.others) == (3, (2,))
    choice = Choice(2, (3,))
    await store.interactions.record(
        "s-0", action="choose", choice=choice, actor_id="ann"
    )
    await store.queues.release("q", "s-0", rater="ann")
    assert await given(store, "ann") is None


async def test_only_what_meets_the_filter_and_has_an_answer(store: Store) -> None:
    await asked(store, 2, tag="vip")
    await store.sessions.patch("s-1", remove_tags=["vip"])
    await store.conversation("s-9").append(role="user", content="Nobody answers")
    await store.sessions.patch("s-9", add_tags=["vip"])
    await store.queues.put("q", tag="vip")

    item = await given(store, "ann")
    other = await store.queues.next("q", rater="bo")

    assert item is not None
    assert item.session.id == "s-0"
    assert (other.item, other.complete) == (None, True)


async def test_queues_are_made_changed_listed_and_ended(store: Store) -> None:
    made = await store.queues.put("b", question="Better?", raters=3, user_id="u-1")
    await store.queues.put("a")
    changed = await store.queues.put("a", label="thumbs_down")

    assert (made.question, made.raters, made.user_id) == ("Better?", 3, "u-1")
    assert await store.queues.get("a") == changed
    names = [queue.name for queue in (await store.queues.list()).items]
    assert names == ["a", "b"]
    assert not (await store.for_tenant("other").queues.list()).items
    assert await store.queues.delete("a")
    assert not await store.queues.delete("a")
    with pytest.raises(NotFoundError):
        await store.queues.next("a", rater="ann")


async def test_a_queue_of_an_erased_user_goes_with_them(store: Store) -> None:
    await asked(store, 1)
    await store.queues.put("q", user_id="u-1")

    await store.erase(user_id="u-1")

    assert await store.queues.find("q") is None


async def test_what_cannot_be_meant_is_refused(store: Store) -> None:
    for field, call in (
        ("raters", {"raters": 0}),
        ("raters", {"raters": True}),
        ("name", {"name": "x" * 101}),
        ("tag", {"tag": ""}),
    ):
        with pytest.raises(InvalidInputError) as caught:
            await store.queues.put(**{"name": "q", **call})  # type: ignore[arg-type]
        assert caught.value.field == field
