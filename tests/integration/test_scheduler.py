"""The recurring jobs: they come round whatever happens, and end between two batches."""

from __future__ import annotations

import asyncio
import logging
import re
import sqlite3
from collections.abc import Awaitable, Callable, Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import Engine, event

from convstore import (
    ConfigError,
    ManualClock,
    RetentionPolicy,
    Store,
    StoreConfig,
    open_store,
)
from convstore.tasks.scheduler import (
    VERIFY_ALL_S,
    VERIFY_EVERY_S,
    ClockWatch,
    Scheduler,
    VerifyShare,
)
from tests.integration.conversations import say
from tests.servers import PostgresServer

OpenAnother = Callable[..., Awaitable[Store]]
DAY_S = 86_400.0
NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)


def told(caplog: pytest.LogCaptureFixture, level: int) -> list[str]:
    """What the scheduler and the jobs said at this level."""
    ours = ("convstore.tasks.scheduler", "convstore.retention.job")
    return [r.message for r in caplog.records if r.name in ours and r.levelno == level]


def flip_a_bit(archive_dir: Path) -> None:
    (segment,) = archive_dir.rglob("*.jsonl.zst")
    data = bytearray(segment.read_bytes())
    data[len(data) // 2] ^= 1
    segment.write_bytes(data)


async def test_what_is_stale_is_archived_by_the_scheduler(
    store: Store, clock: ManualClock
) -> None:
    await say(store, "s-1", "a", "b")
    clock.advance(2 * DAY_S)
    await say(store, "s-2", "c")

    async with store.scheduler() as scheduler:
        await scheduler.run("retention")

    states = {s.id: s.state for s in (await store.sessions.list()).items}
    assert states == {"s-1": "archived", "s-2": "active"}


async def test_every_job_comes_round_when_the_scheduler_starts(store: Store) -> None:
    async with store.scheduler() as scheduler:
        assert scheduler.jobs == ("retention", "verification", "upkeep", "compaction")
        for name in scheduler.jobs:
            await scheduler.run(name)
            assert scheduler.next_run_at(name) is not None

    assert scheduler.running == ()
    assert (await store.stats()).last_run_at is not None


def segments_in(archive_dir: Path) -> int:
    return len(list(archive_dir.rglob("*.jsonl.zst")))


async def scattered(store: Store, count: int) -> None:
    """Archived sessions, each in a segment of its own."""
    for number in range(count):
        await say(store, f"s-{number}", "a")
    report = await store.run_retention(older_than_s=0, batch=1)
    assert len(report.segments) == count


async def test_small_segments_are_joined_by_the_scheduler(
    store: Store, archive_dir: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    await scattered(store, 3)

    async with store.scheduler() as scheduler:
        await scheduler.run("compaction")

    assert segments_in(archive_dir) == 1
    assert "joined 3 small segments" in told(caplog, logging.INFO)


async def test_a_policy_leaves_joining_to_people(open_another: OpenAnother) -> None:
    store = await open_another(retention=RetentionPolicy(compact_interval_s=0))

    assert "compaction" not in Scheduler(store).jobs


async def test_a_stop_in_the_middle_of_joining_is_gone_on_from(
    database_url: str, archive_dir: Path, clock: ManualClock
) -> None:
    loop, moved = asyncio.get_running_loop(), asyncio.Event()

    def on_step(name: str) -> None:
        if name == "compact.moved":
            loop.call_soon_threadsafe(moved.set)

    config = StoreConfig(url=database_url, archive_dir=archive_dir)
    async with open_store(config, clock=clock, on_step=on_step) as store:
        await scattered(store, 5)
        async with store.scheduler() as scheduler:
            await moved.wait()

        assert scheduler.running == ()
        # The lease was given back, and what is left is known.
        report = await store.archive.compact()
        assert report.skipped is None
        assert report.made == 0
        assert segments_in(archive_dir) == 1
        assert (await store.archive.verify(deep=True)).ok


async def test_two_calls_at_once_are_one_run(
    store: Store, clock: ManualClock, caplog: pytest.LogCaptureFixture
) -> None:
    await say(store, "s-1", "a")
    clock.advance(2 * DAY_S)

    with caplog.at_level(logging.INFO, "convstore.retention.job"):
        async with store.scheduler() as scheduler:
            await asyncio.gather(*(scheduler.run("retention") for _ in range(5)))

    archived = [m for m in told(caplog, logging.INFO) if m.startswith("archived")]
    assert archived == ["archived 1 sessions, purged 1"]


async def test_a_halt_is_said_once_and_so_is_its_end(
    store: Store, clock: ManualClock, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    await say(store, "s-1", "a")

    async with store.scheduler() as scheduler:
        clock.advance(-DAY_S)
        for _ in range(3):
            await scheduler.run("retention")
        clock.advance(DAY_S)
        await scheduler.run("retention")

    (error,) = told(caplog, logging.ERROR)
    assert error.startswith("retention: halted")
    again = [m for m in told(caplog, logging.INFO) if "works again" in m]
    assert len(again) == 1


async def test_rotten_bits_are_found_and_reported(
    store: Store,
    clock: ManualClock,
    archive_dir: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    await say(store, "s-1", "a")
    await store.run_retention(older_than_s=0)
    flip_a_bit(archive_dir)

    async with store.scheduler() as scheduler:
        await scheduler.run("verification")

    assert (await store.stats()).quarantined_segments == 1
    assert any(m.startswith("segment ") for m in told(caplog, logging.ERROR))


async def test_a_database_that_is_away_is_survived_and_said_once(
    own_postgres: PostgresServer,
    clock: ManualClock,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO)
    url = own_postgres.url
    await asyncio.to_thread(_upgrade, url)
    config = StoreConfig(url=url, archive_dir=tmp_path / "archive")

    async with open_store(config, clock=clock) as store:
        await say(store, "s-1", "a")
        clock.advance(2 * DAY_S)
        async with store.scheduler() as scheduler:
            await scheduler.run("retention")
            await asyncio.to_thread(own_postgres.kill)
            for _ in range(3):
                await scheduler.run("retention")
            await asyncio.to_thread(own_postgres.start)
            await scheduler.run("retention")

    (error,) = [m for m in told(caplog, logging.ERROR) if m.startswith("retention")]
    assert "database_unavailable" in error
    again = [m for m in told(caplog, logging.INFO) if m.startswith("retention works")]
    assert len(again) == 1


def _upgrade(url: str) -> None:
    from convstore import migration

    migration.upgrade(url)


@pytest.mark.mostly_slow("sqlite")
async def test_a_stop_finishes_the_batches_begun_and_begins_no_other(
    database_url: str, archive_dir: Path, clock: ManualClock
) -> None:
    """Batches hold 500 sessions: a run over 1,100 has three. The second may have begun,
    since it is written while the first is purged."""
    loop, sealed = asyncio.get_running_loop(), asyncio.Event()

    def on_step(name: str) -> None:
        if name == "seal.after_commit":
            loop.call_soon_threadsafe(sealed.set)

    config = StoreConfig(
        url=database_url,
        archive_dir=archive_dir,
        retention=RetentionPolicy(max_fraction=1.0),
    )
    async with open_store(config, clock=clock, on_step=on_step) as store:
        await asyncio.gather(*(say(store, f"s-{n}", "a") for n in range(1_100)))
        clock.advance(2 * DAY_S)
        async with store.scheduler() as scheduler:
            await sealed.wait()

        assert scheduler.running == ()
        archived = await store.sessions.count(state="archived")
        assert archived in (500, 1_000)
        assert await store.sessions.count(state="active") == 1_100 - archived
        # The lease was given back: whoever comes next need not wait for its end.
        report = await store.run_retention()
        assert (report.skipped, report.recovered) == (None, 0)
        assert report.purged == 1_100 - archived


async def test_a_scheduler_is_used_once(store: Store) -> None:
    async with store.scheduler() as scheduler:
        with pytest.raises(ConfigError):
            await scheduler.start()

    with pytest.raises(ConfigError):
        await scheduler.start()
    await scheduler.stop()
    await scheduler.run("upkeep")
    assert scheduler.next_run_at("upkeep") is None


async def test_a_clock_that_was_set_back_does_not_keep_the_jobs_waiting(
    store: Store,
) -> None:
    async with store.scheduler() as scheduler:
        scheduler.look_at_clock(NOON, 100.0)
        scheduler.look_at_clock(NOON - timedelta(days=1), 130.0)

        interval = timedelta(seconds=store.config.retention.interval_s)
        assert scheduler.next_run_at("retention") == NOON - timedelta(days=1) + interval


# The pure parts


def test_a_clock_that_goes_on_has_not_jumped() -> None:
    watch = ClockWatch()

    looks = [watch.jumped(NOON + timedelta(seconds=s), 7.0 + s) for s in (0, 30, 60)]

    assert looks == [False, False, False]


@pytest.mark.parametrize("by_s", [-DAY_S, -10, 10, DAY_S])
def test_a_clock_that_was_set_has_jumped_once(by_s: float) -> None:
    watch = ClockWatch()
    watch.jumped(NOON, 0.0)

    assert watch.jumped(NOON + timedelta(seconds=30 + by_s), 30.0)
    assert not watch.jumped(NOON + timedelta(seconds=60 + by_s), 60.0)


@pytest.mark.parametrize("segments", [1, 10, 719, 720, 721, 100_000])
def test_every_segment_is_verified_within_the_time(segments: int) -> None:
    share = VerifyShare()
    runs = int(VERIFY_ALL_S / VERIFY_EVERY_S)

    verified = [share.due(segments) for _ in range(runs)]

    assert segments <= sum(verified) <= segments + 1
    # And evenly: the disk has other things to do.
    assert max(verified) - min(verified) <= 2


def test_an_empty_archive_has_nothing_to_verify() -> None:
    assert VerifyShare().due(0) == 0


@pytest.mark.mostly_slow("sqlite")
async def test_a_log_that_an_open_read_keeps_is_told_once(
    open_another: OpenAnother, sqlite_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    store = await open_another(url=sqlite_url)
    caplog.set_level(logging.INFO)
    await say(store, "s-1", "a")
    with closing(sqlite3.connect(sqlite_url.removeprefix("sqlite:///"))) as reader:
        reader.execute("BEGIN")
        reader.execute("SELECT count(*) FROM sessions").fetchall()
        await say(store, "s-2", "b")
        scheduler = Scheduler(store)
        await scheduler.run("upkeep")
        first = told(caplog, logging.ERROR)
        for _ in range(3):
            await scheduler.run("upkeep")
        kept = (await store.stats()).log_bytes
        reader.rollback()
        await scheduler.run("upkeep")

    assert first == []  # a reader that is not done yet is no news
    (line,) = told(caplog, logging.ERROR)
    assert "an open read keeps" in line
    assert "upkeep works again after 3 runs" in told(caplog, logging.INFO)
    assert kept > 0
    assert (await store.stats()).log_bytes == 0


@contextmanager
def statements() -> Iterator[list[str]]:
    """What is sent to databases while the block lasts."""
    seen: list[str] = []

    def note(_: object, __: object, text: str, *___: object) -> None:
        seen.append(" ".join(text.replace('"', "").split()))

    event.listen(Engine, "before_cursor_execute", note)
    try:
        yield seen
    finally:
        event.remove(Engine, "before_cursor_execute", note)


async def test_verification_walks_no_sessions(store: Store) -> None:
    """However many there are, to know how many segments are to be read."""
    await say(store, "s-1", "a")

    with statements() as seen:
        await Scheduler(store).run("verification")

    assert [text for text in seen if "archive_segments" in text]
    assert not [text for text in seen if re.search(r"FROM (\w+\.)?sessions", text)]


async def test_a_run_that_takes_little_counts_nothing(
    open_another: OpenAnother, clock: ManualClock
) -> None:
    policy = RetentionPolicy(keep_archive_for_s=30 * DAY_S)
    store = await open_another(retention=policy)
    await say(store, "s-1", "a", "b")
    clock.advance(2 * DAY_S)

    with statements() as seen:
        done = await store.run_retention()

    assert done.archived == 1
    counting = r"SELECT .*count\(.*FROM (\w+\.)?sessions"
    assert not [text for text in seen if re.search(counting, text)]
