"""What a delta channel is made of, walked back along a thread, on both databases; and
what else is asked of checkpointers in no package: nested metadata, a task that writes
again after a restart."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import pytest
from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.base import Checkpoint, CheckpointMetadata
from langgraph.checkpoint.base.id import uuid6
from langgraph.checkpoint.serde.types import _DeltaSnapshot

from convstore import Store
from convstore.adapters.langgraph import ConvstoreSaver

THREAD: RunnableConfig = {"configurable": {"thread_id": "t", "checkpoint_ns": ""}}
Step = tuple[dict[str, Any], Sequence[tuple[str, Any]]]
"""The values that a checkpoint has when it is put, and what a task writes to it."""


def snapshot(value: Any) -> dict[str, Any]:
    return {"said": _DeltaSnapshot(value)}


def wrote(*values: Any) -> list[tuple[str, Any]]:
    return [("said", value) for value in values]


async def put(
    saver: ConvstoreSaver, above: RunnableConfig, values: dict[str, Any], **more: Any
) -> RunnableConfig:
    checkpoint = Checkpoint(
        v=1,
        id=str(uuid6()),
        ts="",
        channel_values=values,
        channel_versions={name: saver.get_next_version(None, None) for name in values},
        versions_seen={},
        updated_channels=None,
    )
    metadata: CheckpointMetadata = {"source": "loop", "step": 1, **more}  # type: ignore[typeddict-item]
    return await saver.aput(above, checkpoint, metadata, checkpoint["channel_versions"])


async def line(
    saver: ConvstoreSaver, steps: Sequence[Step], above: RunnableConfig = THREAD
) -> RunnableConfig:
    """Put one checkpoint below the other; the last one."""
    for number, (values, writes) in enumerate(steps):
        above = await put(saver, above, values)
        if writes:
            await saver.aput_writes(above, writes, f"task-{number}")
    return above


async def history(
    saver: ConvstoreSaver, head: RunnableConfig, channel: str = "said"
) -> tuple[Any, list[Any]]:
    """The seed, None where there is none, and what was written since, in order."""
    told = await saver.aget_delta_channel_history(config=head, channels=[channel])
    seed = told[channel].get("seed")
    values = [value for _, _, value in told[channel]["writes"]]
    return getattr(seed, "value", seed), values


LINES: dict[str, tuple[list[Step], tuple[Any, list[Any]]]] = {
    "oldest first, and without what waits at the end": (
        [(snapshot(["a"]), []), *(({}, wrote([n])) for n in (1, 2, 3, 4))],
        (["a"], [[1], [2], [3]]),
    ),
    "from the nearest value": (
        [
            (snapshot(["a"]), []),
            ({}, wrote([1])),
            (snapshot(["b"]), []),
            ({}, wrote([2])),
            ({}, wrote([3])),
        ],
        (["b"], [[2]]),
    ),
    "from the beginning": (
        [({}, wrote([n])) for n in range(4)],
        (None, [[0], [1], [2]]),
    ),
    "from the value of the channel that was there before": (
        [({}, wrote([0])), ({"said": [10, 20]}, []), ({}, wrote([2])), ({}, [])],
        ([10, 20], [[2]]),
    ),
    "with what was written where the value lies, which came after it": (
        [
            ({"said": [10]}, wrote("older")),
            ({"said": [10, 20]}, wrote("there")),
            ({}, wrote("after")),
            ({}, wrote("waiting")),
        ],
        ([10, 20], ["there", "after"]),
    ),
}


@pytest.mark.parametrize("what", LINES)
async def test_a_channel_is_what_was_written_since_its_value(
    store: Store, what: str
) -> None:
    saver = ConvstoreSaver(store)
    steps, expected = LINES[what]
    head = await line(saver, steps)
    assert await history(saver, head) == expected

    # Also in a copy, and when the session was in the archive.
    await saver.acopy_thread("t", "copy")
    await store.run_retention(older_than_s=0)
    copy: RunnableConfig = {
        "configurable": {**head["configurable"], "thread_id": "copy"}
    }
    assert await history(saver, head) == expected
    assert await history(saver, copy) == expected


async def test_each_channel_ends_at_a_value_of_its_own(store: Store) -> None:
    saver = ConvstoreSaver(store)
    both = [("a", 1), ("b", 1)]
    head = await line(
        saver,
        [
            ({}, both),
            ({"a": _DeltaSnapshot("a")}, both),
            ({}, both),
            ({"b": _DeltaSnapshot("b")}, both),
            ({}, both),
        ],
    )

    assert await history(saver, head, "a") == ("a", [1, 1, 1])
    assert await history(saver, head, "b") == ("b", [1])
    assert await saver.aget_delta_channel_history(config=head, channels=[]) == {}


async def test_only_what_lies_on_the_way_counts(store: Store) -> None:
    saver = ConvstoreSaver(store)
    fork = await line(saver, [(snapshot([]), wrote("both"))])
    left = await line(saver, [({}, wrote("left")), ({}, [])], fork)
    right = await line(saver, [({}, wrote("right")), ({}, [])], fork)

    assert await history(saver, left) == ([], ["both", "left"])
    assert await history(saver, right) == ([], ["both", "right"])


async def test_tasks_of_one_step_come_in_the_order_of_their_paths(
    store: Store,
) -> None:
    saver = ConvstoreSaver(store)
    step = await line(saver, [(snapshot([]), [])])
    # Neither the order of their ids, nor that in which they were done.
    for task_id, path, value in (
        ("0", "~pull, b", "second"),
        ("9", "~pull, a", "first"),
        ("5", "", "given"),
    ):
        await saver.aput_writes(step, wrote(value), task_id, path)
    head = await line(saver, [({}, [])], step)

    assert await history(saver, head) == ([], ["given", "first", "second"])


async def test_what_a_delta_channel_is_made_of_is_not_pruned(store: Store) -> None:
    saver = ConvstoreSaver(store)
    above = await line(
        saver, [({}, wrote(0)), (snapshot(["b"]), wrote(1)), ({}, wrote(2))]
    )
    counters = {"counters_since_delta_snapshot": {"said": [2, 1]}}
    head = await put(saver, above, {}, **counters)
    before = await history(saver, head)

    await saver.aprune(["t"])

    assert before == (["b"], [1, 2])
    assert await history(saver, head) == before
    assert len([one async for one in saver.alist(THREAD)]) == 3


async def test_metadata_comes_back_however_deep_it_is(store: Store) -> None:
    saver = ConvstoreSaver(store)
    deep = {"plan": {"steps": [{"tool": "weather", "args": {"days": [1, 2]}}, None]}}

    head = await put(saver, THREAD, {}, **deep)

    found = await saver.aget_tuple(head)
    assert found is not None
    assert found.metadata["plan"] == deep["plan"]  # type: ignore[typeddict-item]


async def test_a_task_that_writes_again_after_a_restart_has_written_once(
    store: Store, open_another: Callable[..., Awaitable[Store]]
) -> None:
    saver = ConvstoreSaver(store)
    head = await line(saver, [({}, [])])
    await saver.aput_writes(head, wrote("once"), "task")

    again = ConvstoreSaver(await open_another())
    await again.aput_writes(head, wrote("once"), "task")

    for one in (saver, again):
        found = await one.aget_tuple(head)
        assert found is not None
        assert found.pending_writes == [("task", "said", "once")]
