"""The archive folder is not there: nothing is destroyed, nothing is called damaged."""

from __future__ import annotations

import os
import shutil
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from convstore import ArchiveAwayError, SegmentCorruptError, Store
from convstore.vocabulary.clock import ManualClock
from tests.integration.archives import (
    DAY_S,
    OpenAnother,
    Steps,
    archived,
    die_at,
    document,
    documents,
    everything_under,
    fill,
    policy,
    raw,
    segment_files,
    sound,
    states,
)
from tests.integration.conversations import contents, say


def is_missing(archive: Path) -> None:
    """The volume is not mounted, and there is no folder for it."""


def is_empty(archive: Path) -> None:
    """The volume is not mounted, and its folder is empty."""
    archive.mkdir(mode=0o700)


def is_another(archive: Path) -> None:
    """Another volume is mounted in its place."""
    archive.mkdir(mode=0o700)
    (archive / "archive.json").write_text(
        '{"format":"convstore.archive","format_version":1,"folder_id":"another"}\n'
    )


def is_older(archive: Path) -> None:
    """A copy of the folder from before the last segment is in its place."""
    shutil.copytree(archive.with_name("old"), archive)


HOW = [is_missing, is_empty, is_another, is_older]
Put = Callable[[Path], None]


def files_under(archive: Path) -> list[Path]:
    return sorted(path for path in archive.rglob("*") if path.is_file())


async def without_folder(store: Store, archive: Path, put: Put) -> None:
    """An archive of `s-1`, `s-2` and `s-3`, which is away, and live sessions beside."""
    await archived(store, "s-1")
    shutil.copytree(archive, archive.with_name("old"))
    await archived(store, "s-2", "s-3")
    for session_id in ("live-1", "live-2"):
        await fill(store, session_id)
    archive.rename(archive.with_name("aside"))  # noqa: ASYNC240
    put(archive)


def come_back(archive: Path) -> None:
    shutil.rmtree(archive, ignore_errors=True)
    archive.with_name("aside").rename(archive)


@pytest.mark.parametrize("put", HOW)
@pytest.mark.parametrize("anew", [False, True])
async def test_nothing_is_archived_purged_or_deleted_while_the_folder_is_away(
    store: Store,
    open_another: OpenAnother,
    archive_dir: Path,
    database_url: str,
    put: Put,
    anew: bool,
) -> None:
    before = archive_dir.with_name("aside")
    await without_folder(store, archive_dir, put)
    if anew:
        store = await open_another()
    there, was = files_under(archive_dir), await states(store)
    calls: list[Callable[[], Awaitable[object]]] = [
        lambda: store.run_retention(older_than_s=0),
        lambda: store.sessions.delete("live-1"),
        lambda: store.sessions.delete("live-1", archive=False),
        lambda: store.sessions.delete("s-2"),
        lambda: store.sessions.delete("s-2", archive=False),
        lambda: store.archive.recover(alone=True),
        lambda: store.archive.rebuild(),
        lambda: store.archive.verify(),
        lambda: store.replay_erasures(),
        lambda: store.probe_archive(),
    ]

    for call in calls:
        with pytest.raises(ArchiveAwayError) as caught:
            await call()
        assert (caught.value.code, caught.value.transient) == ("archive_away", True)

    assert files_under(archive_dir) == there
    assert await states(store) == was
    await say(store, "live-1", "goes on")
    assert (await contents(store, "live-1"))[-1] == "goes on"
    assert not (await store.archive.agreement()).ok

    come_back(archive_dir)
    assert not before.exists()
    assert {d.session.id for d in (await documents(store)).values()} == set(was)
    assert (await store.archive.verify()).ok
    report = await store.run_retention(older_than_s=0)
    assert (report.archived, report.purged) == (2, 2)
    sound(database_url, archive_dir)


@pytest.mark.parametrize("put", HOW)
async def test_a_session_whose_folder_is_away_is_not_called_damaged(
    store: Store, archive_dir: Path, put: Put
) -> None:
    await without_folder(store, archive_dir, put)

    for call in (
        lambda: store.restore("s-2"),
        lambda: store.archive.read("s-2"),
        lambda: store.turns.append("s-2", role="user", content="I am back"),
        lambda: store.sessions.get_or_create("s-2"),
        lambda: document(store, "s-2"),
        lambda: store.export("messages", to=archive_dir.with_name("out")),
    ):
        with pytest.raises(ArchiveAwayError):
            await call()

    async with store.transaction() as tx:
        with pytest.raises(ArchiveAwayError):
            await tx.turns.append("s-2", role="user", content="I am back")
    assert (await store.stats()).quarantined_segments == 0
    come_back(archive_dir)
    assert (await store.restore("s-2")).state == "active"


async def test_a_file_that_is_missing_in_the_folder_that_is_there_is_damage(
    store: Store, archive_dir: Path
) -> None:
    await archived(store, "s-1")
    segment_files(archive_dir)[0].unlink()

    with pytest.raises(SegmentCorruptError, match="missing"):
        await store.restore("s-1")

    assert (await store.stats()).quarantined_segments == 1


@pytest.mark.parametrize(
    "step",
    [
        "lease.acquired",
        "claim.after_commit",
        "read.end",
        "write.half_entry",
        "verify.done",
        "publish.dirsync",
        "export.done",
        "seal.begin",
        "seal.after_commit",
    ],
)
async def test_nothing_is_purged_when_the_folder_goes_during_a_run(
    open_another: OpenAnother, archive_dir: Path, database_url: str, step: str
) -> None:
    hook = Steps()
    store = await open_another(on_step=hook)
    await archived(store, "s-1")
    await fill(store, "s-2")

    def go() -> None:
        archive_dir.rename(archive_dir.with_name("aside"))
        is_empty(archive_dir)

    hook.at(step, go)
    with pytest.raises(ArchiveAwayError):
        await store.run_retention(older_than_s=0)

    assert await states(store) == {"s-1": "archived", "s-2": "active"}
    assert segment_files(archive_dir) == []
    come_back(archive_dir)
    await store.archive.recover(alone=True)
    await store.run_retention(older_than_s=0)
    assert await states(store) == {"s-1": "archived", "s-2": "archived"}
    assert len(await documents(store)) == 2
    sound(database_url, archive_dir)


@pytest.mark.parametrize("put", HOW)
async def test_an_erasure_stays_open_until_the_folder_is_back(
    store: Store, archive_dir: Path, database_url: str, put: Put
) -> None:
    await archived(store, "secret-1")
    (segment,) = segment_files(archive_dir)
    await without_folder(store, archive_dir, put)
    await fill(store, "secret-2", user_id="u-9")

    receipt = await store.erase(session_id="secret-1")
    live = await store.erase(user_id="u-9")

    assert (receipt.done_at, receipt.waits_for) == (None, "archive_away")
    (waiting,) = receipt.segments_waiting
    assert waiting in segment.name
    assert (live.done_at, live.segments_waiting) == (None, ())
    assert live.rows_deleted["turns"] == 3
    assert (await states(store))["secret-2"] == "erased"

    come_back(archive_dir)
    assert b"in secret-1?" in everything_under(archive_dir)
    report = await store.archive.recover()

    assert report.erasures_finished == 2
    assert b"in secret-1?" not in everything_under(archive_dir)
    assert len(list(archive_dir.glob("erasures/*.json"))) == 2  # noqa: ASYNC240
    rows = raw(database_url, "SELECT receipt FROM erasures WHERE state = 'done'")
    assert len(rows) == 2
    assert any('"turns":3' in str(row[0]).replace(" ", "") for row in rows)
    sound(database_url, archive_dir)


async def test_archives_do_not_expire_while_the_folder_is_away(
    open_another: OpenAnother, archive_dir: Path, clock: ManualClock
) -> None:
    store = await open_another(retention=policy(keep_archive_for_s=DAY_S))
    await archived(store, "s-1")
    archive_dir.rename(archive_dir.with_name("aside"))  # noqa: ASYNC240
    clock.advance(10 * DAY_S)

    with pytest.raises(ArchiveAwayError):
        await store.run_retention(older_than_s=0)

    assert await states(store) == {"s-1": "archived"}
    come_back(archive_dir)
    assert (await store.run_retention(older_than_s=0)).archives_expired == 1


async def test_an_import_waits_for_the_erasures_that_the_folder_tells_of(
    store: Store, archive_dir: Path, tmp_path: Path
) -> None:
    await archived(store, "s-1")
    archive_dir.rename(archive_dir.with_name("aside"))  # noqa: ASYNC240
    source = tmp_path / "talks.jsonl"
    source.write_text('{"messages":[{"role":"user","content":"hoi"}]}\n')

    with pytest.raises(ArchiveAwayError):
        await store.import_("messages", source)

    come_back(archive_dir)
    assert (await store.import_("messages", source)).sessions == 1


@pytest.mark.parametrize("put", [is_missing, is_empty])
async def test_who_means_it_begins_with_the_folder_that_is_there(
    store: Store, archive_dir: Path, put: Put, database_url: str
) -> None:
    await archived(store, "secret-1")
    await store.erase(session_id="secret-1")
    await without_folder(store, archive_dir, put)
    seen = await store.archive.adopt(dry_run=True)
    with pytest.raises(ArchiveAwayError):
        await store.run_retention(older_than_s=0)

    done = await store.archive.adopt()

    assert (len(done.segments_lost), done.sessions_lost) == (2, 3)
    assert (seen.segments_lost, seen.sessions_lost) == (done.segments_lost, 3)
    assert (await store.run_retention(older_than_s=0)).purged == 2
    # The erasures of before are refused in the new folder too.
    assert len(list(archive_dir.glob("erasures/*.json"))) == 1  # noqa: ASYNC240
    # What was lost is damage now: a person has said so.
    with pytest.raises(SegmentCorruptError):
        await store.restore("s-2")
    assert (await store.stats()).quarantined_segments == 2
    # The old folder, should it turn up after all, is not taken for this one.
    shutil.rmtree(archive_dir)
    archive_dir.with_name("aside").rename(archive_dir)
    with pytest.raises(ArchiveAwayError):
        await store.run_retention(older_than_s=0)
    await store.archive.adopt()
    assert (await store.restore("s-2")).state == "active"


@pytest.mark.parametrize("step", ["adopt.marked", "adopt.published", "adopt.settled"])
async def test_an_adoption_that_was_cut_short_can_be_made_again(
    open_another: OpenAnother, archive_dir: Path, step: str
) -> None:
    hook = Steps()
    store = await open_another(on_step=hook)
    await without_folder(store, archive_dir, is_empty)

    await die_at(hook, step, store.archive.adopt())
    done = await store.archive.adopt()

    assert done.sessions_lost in (0, 3)
    assert (await store.run_retention(older_than_s=0)).purged == 2


async def test_a_folder_that_cannot_be_reached_is_away(
    store: Store, archive_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A server of files that does not answer is no damage either."""
    await archived(store, "s-1")
    await fill(store, "s-2")
    real = os.open

    def stale(path: object, *args: object, **more: object) -> int:
        if str(path) == str(archive_dir):
            raise OSError(116, "Stale file handle")
        return real(path, *args, **more)  # type: ignore[call-overload, no-any-return]

    with monkeypatch.context() as patch:
        patch.setattr(os, "open", stale)
        with pytest.raises(ArchiveAwayError):
            await store.run_retention(older_than_s=0)

    assert await states(store) == {"s-1": "archived", "s-2": "active"}


async def test_a_database_of_before_the_marks_takes_the_folder_with_its_segments(
    store: Store, archive_dir: Path, database_url: str
) -> None:
    await archived(store, "s-1")
    raw(database_url, "DELETE FROM archive_folder")
    (archive_dir / "archive.json").unlink()
    shutil.rmtree(archive_dir / "generations")
    await fill(store, "s-2")
    archive_dir.rename(archive_dir.with_name("aside"))  # noqa: ASYNC240
    is_empty(archive_dir)

    with pytest.raises(ArchiveAwayError):
        await store.run_retention(older_than_s=0)
    come_back(archive_dir)

    assert (await store.run_retention(older_than_s=0)).purged == 1
    sound(database_url, archive_dir)


async def test_retention_says_what_was_in_the_way(
    store: Store, archive_dir: Path, clock: ManualClock
) -> None:
    await archived(store, "s-1")
    archive_dir.rename(archive_dir.with_name("aside"))  # noqa: ASYNC240
    clock.advance(2 * DAY_S)

    with pytest.raises(ArchiveAwayError):
        await store.run_retention()

    assert (await store.stats()).last_run_problem == "archive_away"
