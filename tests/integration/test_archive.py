"""From rows to a sealed segment: what is in it, and what failing to write one does."""

from __future__ import annotations

import json
import os
import stat
from pathlib import Path
from typing import Any

import pytest
import zstandard

from convstore import Store
from convstore.blobs.base import StagedBlob, StepHook, silent
from convstore.blobs.local import LocalBlobs
from convstore.errors import (
    ConfigError,
    ConvstoreError,
    SegmentCorruptError,
    StorageFullError,
)
from convstore.vocabulary.clock import ManualClock
from convstore.vocabulary.documents import decode_document
from tests.integration.archives import (
    OpenAnother,
    archived,
    document,
    fill,
    ids,
    policy,
    raw,
    segment_files,
    sound,
    states,
)
from tests.integration.conversations import say


def names_under(folder: Path) -> list[str]:
    """The files of a folder, relative to it."""
    return [str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file()]


def modes_under(folder: Path) -> tuple[set[int], set[int]]:
    """The permissions of the files of a folder, and of itself and its folders."""
    modes: dict[bool, set[int]] = {True: set(), False: set()}
    for path in (folder, *folder.rglob("*")):
        modes[path.is_dir()].add(stat.S_IMODE(path.stat().st_mode))
    return modes[False], modes[True]


async def test_a_segment_is_json_lines_that_zstd_alone_can_read(
    store: Store, archive_dir: Path
) -> None:
    for session_id in ids("s", 3):
        await fill(store, session_id)
    before = [await document(store, session_id) for session_id in ids("s", 3)]

    await store.run_retention(older_than_s=0)

    (path,) = segment_files(archive_dir)
    stream = zstandard.ZstdDecompressor().stream_reader(
        path.read_bytes(), read_across_frames=True
    )
    lines = stream.read().splitlines()
    assert [json.loads(line)["session"]["id"] for line in lines] == ids("s", 3)
    assert [decode_document(line) for line in lines] == before


async def test_files_are_for_their_owner_alone_whatever_the_umask(
    open_another: OpenAnother, archive_dir: Path
) -> None:
    before = os.umask(0)
    try:
        store = await open_another(
            retention=policy(exports=("messages",), readable_json=True)
        )
        await archived(store, "s-1")
        await store.erase(session_id="s-1")
        await archived(store, "s-2")
    finally:
        os.umask(before)

    modes, folders = modes_under(archive_dir)

    assert (modes, folders) == ({0o600}, {0o700})


async def test_shards_and_readable_copies_lie_beside_the_segment(
    open_another: OpenAnother, archive_dir: Path
) -> None:
    store = await open_another(
        retention=policy(exports=("messages",), readable_json=True)
    )

    await archived(store, "../../escaped", "s-2")

    names = names_under(archive_dir)
    assert len([name for name in names if name.startswith("shards/")]) >= 1
    assert len([name for name in names if name.startswith("sessions/")]) == 2
    assert not any("escaped" in name for name in names)


@pytest.mark.parametrize(
    "session_id", ["../../x", "/etc/x", "CON", "a" * 255, "é", "e\u0301", "s\n1", " "]
)
async def test_no_id_ever_reaches_a_path(
    store: Store, archive_dir: Path, session_id: str
) -> None:
    await archived(store, session_id)

    assert (await document(store, session_id)).session.id == session_id
    assert [p.parent.parent.parent for p in segment_files(archive_dir)] == [
        archive_dir / "segments"
    ]


# Faults of the disk


class FailingBlobs:
    """A blob store on a disk that fails at its N-th write, sync or publication."""

    def __init__(self, inner: Any, number: int, error: ConvstoreError) -> None:
        self.inner, self.left, self.error = inner, number, error

    def __getattr__(self, name: str) -> Any:
        return getattr(self.inner, name)

    def create(self, key: str, *, on_step: StepHook = silent) -> StagedBlob:
        self.count()
        return FailingStaged(self, self.inner.create(key, on_step=on_step))  # type: ignore[return-value]

    def count(self) -> None:
        self.left -= 1
        if self.left == 0:
            raise self.error


class FailingStaged:
    def __init__(self, blobs: FailingBlobs, inner: StagedBlob) -> None:
        self.blobs, self.inner = blobs, inner

    def __getattr__(self, name: str) -> Any:
        return getattr(self.inner, name)

    def write(self, data: bytes) -> None:
        self._or_abort()
        self.inner.write(data)

    def sync(self) -> None:
        self._or_abort()
        self.inner.sync()

    def publish(self) -> None:
        self._or_abort()
        self.inner.publish()

    def _or_abort(self) -> None:
        try:
            self.blobs.count()
        except ConvstoreError:
            self.inner.abort()
            raise


def on_failing_disk(store: Store, archive_dir: Path, number: int) -> FailingBlobs:
    """Put the archive on a disk that is full from the N-th call on, once."""
    blobs = FailingBlobs(
        LocalBlobs(archive_dir), number, StorageFullError("the archive's disk is full")
    )
    object.__setattr__(store._parts.archive.context, "blobs", blobs)
    return blobs


@pytest.mark.mostly_slow("sqlite-*", "postgres-9")
@pytest.mark.parametrize("number", range(1, 16))
async def test_a_full_disk_during_a_segment_loses_nothing_and_the_next_run_goes_on(
    open_another: OpenAnother, archive_dir: Path, database_url: str, number: int
) -> None:
    store = await open_another(retention=policy(exports=("messages",)))
    for session_id in ids("s", 2):
        await fill(store, session_id)
    blobs = on_failing_disk(store, archive_dir, number)
    failed = False

    try:
        await store.run_retention(older_than_s=0)
    except StorageFullError:
        failed = True

    assert failed == (blobs.left <= 0)
    if failed:
        assert await states(store) == {"s-0": "active", "s-1": "active"}
        assert (await store.stats()).last_run_problem == "storage_full"
        assert segment_files(archive_dir) == []
        sound(database_url, archive_dir)
        assert (await store.run_retention(older_than_s=0)).purged == 2
    sound(database_url, archive_dir)


_LIMITED = """
import asyncio, resource, signal, sys
from convstore import StoreConfig, open_store
from convstore.errors import StorageFullError

async def main():
    config = StoreConfig(url=sys.argv[1], archive_dir=sys.argv[2])
    async with open_store(config) as store:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))
        try:
            await store._parts.archive.job._context.files(lambda: None)
            from convstore.archive.archiver import archive
            wanted = [("s-1", (await store.sessions.get("s-1")).version)]
            await archive(store._parts.archive.context, "default", wanted)
        except StorageFullError as error:
            report(error.code)

asyncio.run(main())
"""


async def test_a_file_size_limit_is_a_full_disk(
    store: Store,
    database_url: str,
    archive_dir: Path,
    start_process: Any,
) -> None:
    if database_url.startswith("sqlite"):
        pytest.skip("on SQLite the limit would stop the database's own file too")
    noise = os.urandom(60_000).hex()
    await say(store, "s-1", noise)

    process = start_process(_LIMITED, database_url, archive_dir)
    reported = list(process.reports())

    assert process.finish() == 0, process.errors()
    assert reported == ["storage_full"]
    assert segment_files(archive_dir) == []
    assert (await store.archive.recover(alone=True)).segments_kept == ()
    sound(database_url, archive_dir)
    assert (await store.run_retention(older_than_s=0)).purged == 1


_READ_ONLY = """
import os, sys
from convstore.blobs.local import LocalBlobs
from convstore.errors import ConfigError
if os.geteuid() == 0:
    # Nothing is forbidden to root: go on as nobody.
    os.setgroups([])
    os.setgid(65534)
    os.setuid(65534)
try:
    LocalBlobs(sys.argv[1]).create("segments/x.jsonl.zst")
except ConfigError as error:
    report(error.code)
"""


def test_a_folder_that_may_not_be_written_to_is_said_to_be_so(
    tmp_path: Path, start_process: Any
) -> None:
    folder = tmp_path / "archive"
    folder.mkdir(mode=0o500)

    process = start_process(_READ_ONLY, folder)

    assert list(process.reports()) == ["config"], process.errors()


async def test_a_refused_archive_folder_purges_nothing(
    store: Store, archive_dir: Path, database_url: str
) -> None:
    await fill(store, "s-1")
    blobs = on_failing_disk(store, archive_dir, 1)
    blobs.error = ConfigError("the archive folder may not be written to")

    with pytest.raises(ConfigError):
        await store.run_retention(older_than_s=0)

    assert await states(store) == {"s-1": "active"}
    sound(database_url, archive_dir)


@pytest.mark.parametrize(
    "begins", [b"\x28\xb5\x2f\xfd", b"{"], ids=["frames", "manifest"]
)
async def test_what_is_written_is_read_back_and_compared_before_it_is_believed(
    store: Store,
    archive_dir: Path,
    database_url: str,
    monkeypatch: pytest.MonkeyPatch,
    begins: bytes,
) -> None:
    from convstore.blobs.staged import LocalStaged

    read = LocalStaged.read

    def rotten(self: LocalStaged, offset: int, length: int) -> bytes:
        data = bytearray(read(self, offset, length))
        if len(data) > 200 and data.startswith(begins):
            data[100] ^= 1
        return bytes(data)

    await fill(store, "s-1")
    monkeypatch.setattr(LocalStaged, "read", rotten)

    with pytest.raises(SegmentCorruptError, match="read"):
        await store.run_retention(older_than_s=0)

    monkeypatch.undo()
    assert await states(store) == {"s-1": "active"}
    sound(database_url, archive_dir)
    assert (await store.run_retention(older_than_s=0)).purged == 1


# Space


@pytest.mark.mostly_slow("sqlite")
async def test_disk_use_comes_back_to_where_it_was_after_many_cycles(
    store: Store, archive_dir: Path, database_url: str, clock: ManualClock
) -> None:
    """I22: archive, restore and erase again and again leaves nothing behind."""
    sizes = []
    for cycle in range(6):
        await archived(store, f"s-{cycle}")
        await store.restore(f"s-{cycle}")
        clock.advance(90_000)
        await store.run_retention(older_than_s=0)
        await store.erase(session_id=f"s-{cycle}")
        clock.advance(90_000)
        await store.archive.recover(alone=True)
        await store.maintain()
        kept = ("erasures", "archive.json", "generations")
        names = names_under(archive_dir)
        files = [n for n in names if not n.startswith(kept)]
        # The newest two say who works here, however often a number was taken.
        assert sum(n.startswith("generations") for n in names) == 2
        rows = sum(
            raw(database_url, f"SELECT count(*) FROM {table}")[0][0]
            for table in ("turns", "interactions", "archive_entries", "leases")
        )
        sizes.append((len(files), rows, (await store.stats()).database_bytes))

    assert {files for files, _, _ in sizes} == {0}
    assert {rows for _, rows, _ in sizes} == {0}
    if database_url.startswith("sqlite"):
        assert sizes[-1][2] <= sizes[0][2] + 64 * 1024
    sound(database_url, archive_dir)


async def test_archiving_leaves_room_for_a_database_on_the_same_disk(
    store: Store, archive_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await say(store, "s-1", "one")
    await say(store, "s-2", "one")
    await store.sessions.delete("s-2")
    monkeypatch.setattr("convstore.archive.archiver.RESERVE_BYTES", 2**62)

    for call in (store.run_retention(older_than_s=0), store.sessions.delete("s-1")):
        with pytest.raises(StorageFullError, match="kept free"):
            await call

    assert len(segment_files(archive_dir)) == 1
    await store.turns.append("s-1", role="user", content="two")
    assert (await store.erase(session_id="s-2")).segments_rewritten
    assert (await store.stats()).last_run_problem == "storage_full"
