"""A task that is cancelled again at every turn of the loop, as anyio and the web
frameworks on it do until the task has ended, harms no more than one cancelled once."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest

from convstore import Store
from convstore.concurrency.feed import AT_ONCE, Feed
from convstore.errors import UnavailableError
from convstore.imports.model import ImportReport
from convstore.vocabulary.codec import dumps
from tests.integration.archives import OpenAnother, Steps, fill, sound, states
from tests.integration.conversations import contents, say

MESSAGES = [{"role": "user", "content": "?"}, {"role": "assistant", "content": "!"}]


async def insist(task: asyncio.Task[Any], *, after: int = 0) -> Any:
    """Cancel a task until it has ended, from so many turns of the loop on."""
    for _ in range(after):
        await asyncio.sleep(0)
    while not task.done():
        task.cancel()
        await asyncio.sleep(0)
    return (await asyncio.gather(task, return_exceptions=True))[0]


@pytest.mark.parametrize("after", range(1, 40, 3))
async def test_a_transaction_is_whole_or_not_there(store: Store, after: int) -> None:
    await store.sessions.get_or_create("s-1")

    async def transact() -> None:
        async with store.transaction() as tx:
            await say(tx, "s-1", *map(str, range(20)))
            await tx.graph_states.put("s-1", [])

    result = await insist(asyncio.create_task(transact()), after=after)

    await say(store, "s-1", "after")
    stored = await contents(store, "s-1")
    graphs = (await store.sessions.get("s-1")).graph_state_count
    assert (stored, graphs) in (
        (["after"], 0),
        ([*map(str, range(20)), "after"], 1),
    )
    assert result is None or isinstance(
        result, asyncio.CancelledError | UnavailableError
    )


@pytest.mark.parametrize("after", range(4))
async def test_a_commit_that_was_begun_is_seen_through(
    store: Store, after: int
) -> None:
    await store.sessions.get_or_create("s-1")
    committing = asyncio.Event()

    async def transact() -> None:
        async with store.transaction() as tx:
            await say(tx, "s-1", "0")
            committing.set()

    task = asyncio.create_task(transact())
    await committing.wait()
    await insist(task, after=after)

    await say(store, "s-1", "after")
    assert await contents(store, "s-1") in (["after"], ["0", "after"])


@pytest.mark.parametrize(
    "step",
    ["read.end", "write.half_entry", "fsync.file", "publish.link", "purge.guard"],
)
async def test_a_run_of_retention_leaves_nothing_undone_behind(
    open_another: OpenAnother, database_url: str, archive_dir: Path, step: str
) -> None:
    hook = Steps()
    store = await open_another(on_step=hook)
    await fill(store, "s-1")
    loop = asyncio.get_running_loop()
    reached = asyncio.Event()
    hook.at(step, lambda: loop.call_soon_threadsafe(reached.set))
    running = asyncio.create_task(store.run_retention(older_than_s=0))
    await reached.wait()

    await insist(running)

    # No thread writes on: nothing is held, and nothing comes later.
    await store.archive.recover(alone=True)
    report = await store.run_retention(older_than_s=0)
    assert report.skipped is None or report.purged == 0
    assert await states(store) in ({"s-1": "active"}, {"s-1": "archived"})
    sound(database_url, archive_dir)


async def test_work_in_a_thread_has_ended_when_its_caller_is_told(store: Store) -> None:
    context = store._parts.archive.context
    began, ended = asyncio.Event(), []
    loop = asyncio.get_running_loop()

    def work() -> None:
        loop.call_soon_threadsafe(began.set)
        for number in range(200_000):
            ended[:] = [number]
        ended.append("end")

    task = asyncio.create_task(context.files(work))
    await began.wait()
    result = await insist(task)

    assert isinstance(result, asyncio.CancelledError)
    assert ended[-1] == "end"


@pytest.mark.mostly_slow("sqlite")
async def test_a_stream_that_feeds_a_thread_is_closed(store: Store) -> None:
    """As an export does: its source is a half-read stream of documents."""
    for number in range(3 * AT_ONCE):
        await fill(store, f"s-{number}")
    loop, began = asyncio.get_running_loop(), asyncio.Event()
    closed = []

    async def source() -> AsyncIterator[Any]:
        try:
            async for document in store.documents():
                yield document
        finally:
            closed.append(True)

    def work(items: Iterator[Any]) -> None:
        for _ in items:
            loop.call_soon_threadsafe(began.set)

    task = asyncio.create_task(Feed(source()).run(work))
    await began.wait()
    result = await insist(task)

    assert result is None or isinstance(result, asyncio.CancelledError)
    assert closed == [True]


@pytest.mark.mostly_slow("sqlite")
async def test_an_import_lets_go_of_its_files(store: Store, tmp_path: Path) -> None:
    lines = [{"session_id": f"s-{n}", "messages": MESSAGES} for n in range(2_000)]
    source = tmp_path / "sessions.jsonl"
    source.write_bytes(b"\n".join(map(dumps, [*lines, {"bad": 1}] * 2)))
    began = asyncio.Event()
    importing = asyncio.create_task(
        store.import_(
            "messages",
            source,
            report_to=tmp_path / "report",
            on_progress=lambda _: began.set(),
        )
    )
    await began.wait()

    result = await insist(importing)

    assert isinstance(result, asyncio.CancelledError | ImportReport)
    # Closed by now, by the thread that wrote to it: an open file would be a warning.
    gc.collect()
    assert (tmp_path / "report" / "report.json").exists()
    again = await store.import_("messages", source)
    assert again.records == 4_002
    assert await store.sessions.count() == 2_000
