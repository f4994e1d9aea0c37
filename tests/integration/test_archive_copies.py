"""A copy of a database, and its original, on one archive folder: neither can destroy
what the other needs, and workers of one database are not taken for copies."""

from __future__ import annotations

import asyncio
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from convstore import ArchiveTakenError, Store
from convstore.archive import mark
from convstore.archive.ownership import look
from convstore.blobs.local import LocalBlobs
from convstore.vocabulary.clock import ManualClock
from tests.integration.archives import (
    DAY_S,
    OpenAnother,
    Steps,
    archived,
    die_at,
    documents,
    everything_under,
    fill,
    ids,
    raw,
    segment_files,
    sound,
    states,
)

CopyDatabase = Callable[[str], str]
SESSIONS = ids("s", 12)
GENERATION = ["generation.announced", "generation.published", "generation.settled"]


async def twelve_archived(store: Store) -> None:
    """In four segments."""
    for start in range(0, 12, 3):
        await archived(store, *SESSIONS[start : start + 3])
    await store.close()


def forget_instance(url: str) -> None:
    """As if what tells a copy at once were the same: a snapshot of a whole volume."""
    raw(url, "UPDATE archive_folder SET instance = NULL")


async def restores_all(copy: Store) -> None:
    for session_id in SESSIONS:
        await copy.restore(session_id)


async def deletes(copy: Store) -> None:
    for session_id in SESSIONS[:6]:
        await copy.sessions.delete(session_id, archive=False)


async def erases(copy: Store) -> None:
    receipt = await copy.erase(user_id="u-1")
    assert (receipt.done_at, receipt.waits_for) == (None, "archive_taken")
    assert len(receipt.segments_waiting) == 4
    raise ArchiveTakenError("as the receipt says")


async def archives(copy: Store) -> None:
    await fill(copy, "s-new")
    await copy.run_retention(older_than_s=0)


async def deletes_what_is_archived(copy: Store) -> None:
    await copy.sessions.delete(SESSIONS[0])


ACTS = [restores_all, deletes, erases, archives, deletes_what_is_archived]


@pytest.mark.parametrize("act", ACTS)
async def test_a_copy_that_comes_first_destroys_nothing_that_the_original_needs(
    store: Store,
    open_another: OpenAnother,
    copy_database: CopyDatabase,
    database_url: str,
    archive_dir: Path,
    clock: ManualClock,
    act: Callable[[Store], object],
) -> None:
    await twelve_archived(store)
    url = copy_database(database_url)
    copy = await open_another(url=url)

    if act is restores_all:
        await restores_all(copy)
    else:
        with pytest.raises(ArchiveTakenError):
            await act(copy)  # type: ignore[misc]
    # What is superseded in the copy would be removed by now.
    clock.advance(3 * DAY_S)
    for call in (
        lambda: copy.archive.recover(alone=True),
        lambda: copy.run_retention(older_than_s=0),
    ):
        with pytest.raises(ArchiveTakenError) as caught:
            await call()
        assert (caught.value.code, caught.value.transient) == ("archive_taken", False)
    await copy.close()

    original = await open_another()
    assert (await original.archive.verify()).ok
    for session_id in SESSIONS:
        assert (await original.restore(session_id)).state == "active"
    assert len(await documents(original)) == 12
    await original.run_retention(older_than_s=0)
    sound(database_url, archive_dir)


@pytest.mark.parametrize("act", [restores_all, deletes, archives])
async def test_a_copy_is_told_by_the_generation_alone_once_the_original_went_on(
    store: Store,
    open_another: OpenAnother,
    copy_database: CopyDatabase,
    database_url: str,
    clock: ManualClock,
    act: Callable[[Store], object],
) -> None:
    await twelve_archived(store)
    url = copy_database(database_url)
    forget_instance(url)
    original = await open_another()
    # Nothing is due; the run alone takes a generation.
    await original.run_retention(older_than_s=DAY_S)
    copy = await open_another(url=url)

    if act is restores_all:
        await restores_all(copy)
        clock.advance(3 * DAY_S)
    else:
        with pytest.raises(ArchiveTakenError):
            await act(copy)  # type: ignore[misc]
    with pytest.raises(ArchiveTakenError):
        await copy.run_retention(older_than_s=0)

    for session_id in SESSIONS:
        assert (await original.restore(session_id)).state == "active"


@pytest.mark.mostly_slow("sqlite")
async def test_the_original_stops_where_a_copy_went_on_in_its_folder(
    store: Store,
    open_another: OpenAnother,
    copy_database: CopyDatabase,
    database_url: str,
) -> None:
    await archived(store, "s-1", "s-2")
    await store.close()
    url = copy_database(database_url)
    forget_instance(url)
    copy = await open_another(url=url)
    await archived(copy, "s-3")
    original = await open_another()
    await fill(original, "s-4")

    for call in (
        lambda: original.run_retention(older_than_s=0),
        lambda: original.sessions.delete("s-4"),
        lambda: original.archive.verify(),
    ):
        with pytest.raises(ArchiveTakenError, match="archive adopt"):
            await call()

    # Reading goes on, and what is said.
    assert (await original.archive.read("s-1")).session.id == "s-1"
    assert (await original.restore("s-2")).state == "active"
    # A person decides; then it is the copy that stops.
    await original.archive.adopt()
    assert (await original.run_retention(older_than_s=0)).purged == 2
    with pytest.raises(ArchiveTakenError):
        await copy.run_retention(older_than_s=0)


async def test_a_file_that_the_other_one_replaced_is_not_called_damaged(
    store: Store,
    open_another: OpenAnother,
    copy_database: CopyDatabase,
    database_url: str,
    archive_dir: Path,
) -> None:
    await archived(store, "secret-1", "s-2")
    await store.close()
    url = copy_database(database_url)
    original = await open_another()
    await original.erase(session_id="secret-1")
    copy = await open_another(url=url)

    with pytest.raises(ArchiveTakenError):
        await copy.restore("s-2")

    assert (await copy.stats()).quarantined_segments == 0
    assert b"in secret-1?" not in everything_under(archive_dir)


async def test_a_database_that_came_back_from_a_backup_goes_on_when_it_is_told_to(
    store: Store,
    open_another: OpenAnother,
    copy_database: CopyDatabase,
    database_url: str,
    archive_dir: Path,
) -> None:
    await archived(store, "s-1", "secret-2")
    await store.close()
    backup = copy_database(database_url)
    later = await open_another()
    await archived(later, "s-3")
    await later.erase(session_id="secret-2")
    await later.close()
    back = await open_another(url=backup)
    # Rows go at once; the archive waits for a word.
    (receipt,) = await back.replay_erasures()
    assert receipt.waits_for == "archive_taken"
    assert (await states(back))["secret-2"] == "erased"

    done = await back.archive.adopt()
    await back.archive.recover()
    await back.archive.rebuild()

    assert (done.sessions_lost, done.segments_unknown) == (1, 2)
    assert (await states(back)) == {
        "s-1": "archived",
        "secret-2": "erased",
        "s-3": "archived",
    }
    assert len(await documents(back)) == 2
    assert b"in secret-2?" not in everything_under(archive_dir)
    with pytest.raises(ArchiveTakenError):
        await (await open_another()).run_retention(older_than_s=0)


async def test_a_database_and_its_folder_can_be_copied_together(
    store: Store,
    open_another: OpenAnother,
    copy_database: CopyDatabase,
    database_url: str,
    archive_dir: Path,
    tmp_path: Path,
) -> None:
    await archived(store, "s-1")
    await store.close()
    url = copy_database(database_url)
    shutil.copytree(archive_dir, tmp_path / "copied")
    copy = await open_another(url=url, archive_dir=tmp_path / "copied")
    original = await open_another()

    for pair in (copy, original):
        await archived(pair, "s-2")
        assert (await pair.restore("s-1")).state == "active"


@pytest.mark.mostly_slow("sqlite")
async def test_workers_of_one_database_are_no_copies_of_each_other(
    open_another: OpenAnother, database_url: str, archive_dir: Path
) -> None:
    workers = [await open_another() for _ in range(4)]
    for number in range(16):
        await fill(workers[0], f"s-{number}")

    async def work(worker: Store, first: int) -> None:
        for number in range(first, 16, 4):
            if number % 2:
                await worker.sessions.delete(f"s-{number}")
            else:
                await worker.erase(session_id=f"s-{number}")
        await worker.run_retention(older_than_s=0)

    await asyncio.gather(*(work(worker, n) for n, worker in enumerate(workers)))

    assert set((await states(workers[0])).values()) == {"deleted", "erased"}
    await workers[0].archive.recover(alone=True)
    sound(database_url, archive_dir)


@pytest.mark.mostly_slow("sqlite-*", "postgres-folder.marked")
@pytest.mark.parametrize("step", ["folder.bound", "folder.marked", *GENERATION])
async def test_an_owner_that_died_at_its_first_claim_goes_on(
    open_another: OpenAnother, database_url: str, archive_dir: Path, step: str
) -> None:
    hook = Steps()
    first = await open_another(on_step=hook)
    await fill(first, "s-1")
    await die_at(hook, step, first.run_retention(older_than_s=0))

    second = await open_another()
    await second.archive.recover(alone=True)
    await second.run_retention(older_than_s=0)

    assert await states(second) == {"s-1": "archived"}
    sound(database_url, archive_dir)


@pytest.mark.mostly_slow("sqlite-*", "postgres-generation.settled")
@pytest.mark.parametrize("step", GENERATION)
async def test_an_owner_that_died_between_the_two_sides_is_not_locked_out(
    open_another: OpenAnother,
    database_url: str,
    archive_dir: Path,
    step: str,
) -> None:
    """At the begin of a run, at the seal, and at both, again and again."""
    times = 2
    await archived(await open_another(), "s-0")
    for number in range(1, times + 1):
        hook = Steps()
        worker = await open_another(on_step=hook)
        await fill(worker, f"s-{number}")
        await die_at(hook, step, worker.sessions.delete(f"s-{number}"))
        await die_at(hook, step, worker.run_retention(older_than_s=0))

    last = await open_another()
    await last.archive.recover(alone=True)
    report = await last.run_retention(older_than_s=0)

    assert (report.purged, report.problems) == (times, ())
    assert len(await documents(last)) == times + 1
    sound(database_url, archive_dir)


@pytest.mark.mostly_slow("sqlite-*", "postgres-generation.settled")
@pytest.mark.parametrize("step", GENERATION)
async def test_a_copy_of_an_owner_that_died_between_the_two_sides_is_told(
    open_another: OpenAnother,
    copy_database: CopyDatabase,
    database_url: str,
    step: str,
) -> None:
    hook = Steps()
    worker = await open_another(on_step=hook)
    await archived(worker, "s-1")
    await fill(worker, "s-2")
    await die_at(hook, step, worker.run_retention(older_than_s=0))
    await worker.close()
    url = copy_database(database_url)
    forget_instance(url)
    original = await open_another()
    await original.run_retention(older_than_s=0)

    with pytest.raises(ArchiveTakenError):
        await (await open_another(url=url)).run_retention(older_than_s=0)

    assert (await original.restore("s-1")).state == "active"


async def test_a_worker_that_comes_late_with_an_old_generation_does_no_harm(
    open_another: OpenAnother, database_url: str, archive_dir: Path
) -> None:
    """It paused between the two sides, and others went on."""
    hook = Steps()
    slow = await open_another(on_step=hook)
    other = await open_another()
    await archived(slow, "s-1")
    loop, resumed = asyncio.get_running_loop(), asyncio.Event()

    async def meanwhile() -> None:
        await archived(other, "s-2")
        await archived(other, "s-3")
        resumed.set()

    tasks: list[asyncio.Task[None]] = []
    hook.at("generation.announced", lambda: tasks.append(loop.create_task(meanwhile())))
    await fill(slow, "s-4")
    await slow.sessions.delete("s-4")
    await asyncio.gather(*tasks)

    assert resumed.is_set()
    assert (await look(slow._parts.archive.context)).kind == "ours"
    await other.archive.recover(alone=True)
    sound(database_url, archive_dir)


async def test_who_slept_while_a_copy_worked_destroys_nothing_when_it_wakes(
    open_another: OpenAnother, archive_dir: Path, clock: ManualClock
) -> None:
    """So long that the number it goes on with is free again: files go, numbers grow."""
    hook = Steps()
    slow = await open_another(on_step=hook)
    await archived(slow, "s-1")
    await slow.restore("s-1")
    clock.advance(3 * DAY_S)
    before = segment_files(archive_dir)
    newest, _ = mark.newest(LocalBlobs(archive_dir))

    def copy_works() -> None:
        for number in range(newest + 1, newest + 5):
            mark.publish_generation(LocalBlobs(archive_dir), number, f"its-{number}")

    hook.at("generation.announced", copy_works)
    with pytest.raises(ArchiveTakenError):
        await slow.archive.recover(alone=True)

    assert segment_files(archive_dir) == before != []
    assert mark.newest(LocalBlobs(archive_dir)) == (newest + 4, f"its-{newest + 4}")


async def test_the_generation_is_the_same_on_both_sides(
    store: Store, database_url: str, archive_dir: Path
) -> None:
    await archived(store, "s-1")
    await store.run_retention(older_than_s=0)

    ((number, token),) = raw(
        database_url, "SELECT generation, token FROM archive_folder"
    )
    files = sorted(archive_dir.glob("generations/*"))  # noqa: ASYNC240
    newest = json.loads(files[-1].read_bytes())
    assert (newest["number"], newest["token"]) == (number, token)
    assert len(files) <= 2
