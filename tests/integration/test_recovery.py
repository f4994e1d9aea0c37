"""Each thing that a crash can leave behind, and what becomes of it."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

from convstore import Store, StoreConfig
from convstore.archive.archiver import archive
from convstore.db import segments, unfinished
from convstore.errors import SegmentCorruptError
from convstore.segments.readable import readable_key, write_readable
from convstore.vocabulary.clock import ManualClock
from convstore.vocabulary.reports import RecoveryReport
from tests.integration.archives import (
    DAY_S,
    Died,
    Elsewhere,
    OpenAnother,
    Steps,
    archived,
    damage,
    die_at,
    document,
    everything_under,
    exchange,
    fill,
    leave_out_of_manifest,
    policy,
    raw,
    segment_files,
    sound,
    states,
)


async def test_recovery_of_what_is_in_order_finds_nothing_to_do(
    store: Store, database_url: str, archive_dir: Path
) -> None:
    await archived(store, "s-1")

    report = await store.archive.recover(alone=True)

    assert report == RecoveryReport()
    sound(database_url, archive_dir)


@pytest.mark.parametrize(
    "step",
    [
        "claim.after_commit",
        "read.end",
        "write.open",
        "write.half_entry",
        "write.footer",
        "fsync.file",
        "verify.done",
        "publish.link",
        "publish.dirsync",
        "export.done",
        "seal.begin",
    ],
)
async def test_a_segment_that_was_not_sealed_is_removed(
    open_another: OpenAnother,
    database_url: str,
    archive_dir: Path,
    clock: ManualClock,
    step: str,
) -> None:
    hook = Steps()
    store = await open_another(on_step=hook)
    await fill(store, "s-1")
    await die_at(hook, step, store.run_retention(older_than_s=0))
    another = await open_another()

    at_once = await another.archive.recover()
    clock.advance(300)
    report = await another.archive.recover(alone=True)

    # Its writer might be alive: only time, or the operator's word, says that not.
    assert at_once.segments_removed == 0
    assert report.segments_removed == 1
    assert segment_files(archive_dir) == []
    sound(database_url, archive_dir)
    assert (await another.run_retention(older_than_s=0)).purged == 1


async def test_a_sealed_segment_is_purged_by_the_next_run(
    open_another: OpenAnother, database_url: str, archive_dir: Path, clock: ManualClock
) -> None:
    hook = Steps()
    store = await open_another(on_step=hook)
    await fill(store, "s-1")
    await fill(store, "s-2")
    await die_at(hook, "seal.after_commit", store.run_retention(older_than_s=0))
    another = await open_another()
    await another.turns.append("s-2", role="user", content="back")
    clock.advance(300)

    report = await another.run_retention()

    assert (report.recovered, report.archived) == (1, 0)
    assert await states(another) == {"s-1": "archived", "s-2": "active"}
    entries = raw(database_url, "SELECT session_id, state FROM archive_entries")
    assert sorted(entries) == [("s-1", "committed"), ("s-2", "stale")]
    sound(database_url, archive_dir)


async def test_a_sealed_segment_that_rotted_before_the_purge_is_quarantined(
    open_another: OpenAnother, database_url: str, archive_dir: Path
) -> None:
    hook = Steps()
    store = await open_another(on_step=hook)
    await fill(store, "s-1")
    await die_at(hook, "seal.after_commit", store.run_retention(older_than_s=0))
    damage(segment_files(archive_dir)[0])
    another = await open_another()

    report = await another.archive.recover()

    assert (report.purges_finished, report.entries_stale) == (0, 1)
    assert await states(another) == {"s-1": "active"}
    assert (await another.stats()).quarantined_segments == 1


async def test_a_slow_writer_that_was_given_up_cannot_seal(
    open_another: OpenAnother, database_url: str, archive_dir: Path, clock: ManualClock
) -> None:
    """Recovery decides first, and only then destroys: never after a seal."""
    store, another = await open_another(), await open_another()
    await fill(store, "s-1")
    context = store._parts.archive.context
    destroyed: list[bool] = []
    write = context.backend.write

    async def late(work: Any) -> Any:
        if not destroyed and "_seal" in getattr(work, "__qualname__", ""):
            destroyed.append(True)
            clock.advance(1000)
            await another.archive.recover()
        return await write(work)

    context.backend.write = late  # type: ignore[method-assign]
    version = (await store.sessions.get("s-1")).version
    done = await archive(context, "default", [("s-1", version)])
    context.backend.write = write  # type: ignore[method-assign]

    assert destroyed
    assert done.segment is None
    assert segment_files(archive_dir) == []
    sound(database_url, archive_dir)


async def test_an_orphan_is_removed_when_the_database_has_all_of_it(
    store: Store, database_url: str, archive_dir: Path
) -> None:
    await archived(store, "s-1")
    (path,) = segment_files(archive_dir)
    copy = orphan_of(path)

    await store.restore("s-1")
    report = await store.archive.recover()

    assert report.segments_removed == 1
    assert not copy.exists()
    sound(database_url, archive_dir)


def orphan_of(path: Path) -> Path:
    """The same segment as one that the ledger does not know."""
    old = path.name.removeprefix("segment-").removesuffix(".jsonl.zst")
    new = old[:-4] + ("0000" if old[-4:] != "0000" else "1111")
    copy = path.with_name(path.name.replace(old, new))
    shutil.copy(path, copy)
    copy.chmod(0o600)
    return copy


@pytest.mark.parametrize("missing", ["row", "version", "file"])
async def test_an_orphan_that_may_be_the_only_copy_is_kept_and_reported(
    store: Store, database_url: str, archive_dir: Path, missing: str
) -> None:
    await archived(store, "s-1")
    (path,) = segment_files(archive_dir)
    copy = orphan_of(path)
    if missing == "row":
        for table in (
            "archive_entries",
            "legal_holds",
            "session_labels",
            "session_metadata",
            "session_title_words",
            "archived_actors",
            "session_attachments",
            "sessions",
        ):
            raw(database_url, f"DELETE FROM {table}")
    elif missing == "version":
        raw(database_url, "UPDATE sessions SET version = 1")
    else:
        path.unlink()

    report = await store.archive.recover(alone=True)

    assert len(report.segments_kept) >= 1
    assert copy.exists()


async def test_a_file_that_may_not_be_read_keeps_nothing_else_from_being_done(
    store: Store, archive_dir: Path, tmp_path: Path
) -> None:
    """It holds what must go; as soon as it may be read, that goes."""
    await archived(store, "s-1", "s-2")
    (segment,) = segment_files(archive_dir)
    links = [tmp_path / "link-1", tmp_path / "link-2"]
    for link in links:
        link.hardlink_to(segment)  # whose they are nobody knows
    with pytest.raises(SegmentCorruptError, match="cannot be read"):
        await store.erase(session_id="s-1")
    await fill(store, "s-3")

    meanwhile = await store.run_retention(older_than_s=0)
    for link in links:
        link.unlink()
    afterwards = await store.archive.recover()

    assert meanwhile.purged == 1
    assert afterwards.erasures_finished == 1
    assert b"in s-1?" not in everything_under(archive_dir)


async def test_recovery_leaves_no_generation_that_a_dead_worker_did_not_remove(
    store: Store, archive_dir: Path, database_url: str
) -> None:
    """It died when it had published the next one."""
    await archived(store, "s-1")
    first, *_ = old = sorted((archive_dir / "generations").iterdir())
    content = first.read_bytes()
    await archived(store, "s-2")
    first.write_bytes(content)

    await store.archive.recover()

    left = sorted((archive_dir / "generations").iterdir())
    assert len(left) <= 2
    assert not set(left) & set(old)
    sound(database_url, archive_dir)


async def test_a_superseded_segment_is_kept_for_a_day_and_then_removed(
    store: Store, clock: ManualClock, archive_dir: Path, database_url: str
) -> None:
    await archived(store, "s-1")
    await store.restore("s-1")
    clock.advance(DAY_S / 2)
    early = await store.archive.recover()
    clock.advance(DAY_S)

    late = await store.archive.recover()

    assert (early.segments_removed, late.segments_removed) == (0, 1)
    assert segment_files(archive_dir) == []
    assert len((await document(store, "s-1")).turns) == 3
    sound(database_url, archive_dir)


async def test_superseded_segments_are_found_page_by_page(
    store: Store, clock: ManualClock, archive_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(unfinished, "PAGE", 2)
    for number in range(5):
        await archived(store, f"s-{number}")
    for number in (0, 2, 3, 4):
        await store.restore(f"s-{number}")
    clock.advance(1.5 * DAY_S)

    report = await store.archive.recover()

    assert report.segments_removed == 4
    assert len(segment_files(archive_dir)) == 1
    assert (await states(store))["s-1"] == "archived"


async def test_an_old_segment_is_kept_for_a_day_from_the_restore_of_its_last_session(
    store: Store, clock: ManualClock, archive_dir: Path
) -> None:
    """A backup of the database from before the restore still names the file."""
    await archived(store, "s-1")
    clock.advance(10 * DAY_S)
    await store.restore("s-1")

    early = await store.archive.recover()
    clock.advance(1.5 * DAY_S)
    late = await store.archive.recover()

    assert (early.segments_removed, late.segments_removed) == (0, 1)
    assert segment_files(archive_dir) == []


async def test_a_sealed_segment_that_was_exchanged_before_the_purge_is_quarantined(
    open_another: OpenAnother, archive_dir: Path, tmp_path: Path
) -> None:
    hook = Steps()
    store = await open_another(on_step=hook)
    await fill(store, "s-1")
    await fill(store, "s-2")
    await die_at(hook, "seal.after_commit", store.run_retention(older_than_s=0))
    exchange(store, archive_dir, tmp_path, without="s-1")
    another = await open_another()

    report = await another.archive.recover()

    assert (report.purges_finished, report.entries_stale) == (0, 2)
    assert await states(another) == {"s-1": "active", "s-2": "active"}


async def test_an_orphan_whose_manifest_leaves_sessions_out_is_kept(
    store: Store, archive_dir: Path, database_url: str
) -> None:
    await archived(store, "s-1", "s-2")
    leave_out_of_manifest(store, archive_dir, "s-2")
    await store.restore("s-1")
    raw(database_url, "DELETE FROM archive_entries")
    raw(database_url, "DELETE FROM archive_segments")
    for table in (
        "session_metadata",
        "session_title_words",
        "archived_actors",
        "session_labels",
        "session_attachments",
        "legal_holds",
        "sessions",
    ):
        raw(database_url, f"DELETE FROM {table} WHERE session_id = 's-2'")

    report = await store.archive.recover()

    assert (report.segments_removed, len(report.segments_kept)) == (0, 1)
    assert len(segment_files(archive_dir)) == 1


async def test_a_segment_that_a_stub_names_is_never_useless(
    store: Store, clock: ManualClock, archive_dir: Path, database_url: str
) -> None:
    await archived(store, "s-1")
    raw(database_url, "UPDATE archive_entries SET state = 'stale'")
    clock.advance(10 * DAY_S)

    await store.archive.recover(alone=True)

    assert len(segment_files(archive_dir)) == 1
    assert len((await document(store, "s-1")).turns) == 3


@pytest.mark.parametrize("step", ["gc.mark", "gc.unlink"])
async def test_a_removal_that_was_cut_short_is_finished(
    open_another: OpenAnother,
    clock: ManualClock,
    archive_dir: Path,
    database_url: str,
    step: str,
) -> None:
    hook = Steps()
    store = await open_another(on_step=hook)
    await archived(store, "s-1")
    await store.restore("s-1")
    clock.advance(2 * DAY_S)
    await die_at(hook, step, store.archive.recover())

    report = await store.archive.recover()

    assert report.segments_removed == 1
    assert segment_files(archive_dir) == []
    sound(database_url, archive_dir)


@pytest.mark.parametrize(
    "step",
    [
        "erase.rows",
        "erase.tombstone_file",
        "erase.rewrite.published",
        "erase.rewrite.swapped",
        "erase.rewrite.done",
    ],
)
async def test_an_erasure_that_was_cut_short_is_finished(
    open_another: OpenAnother, archive_dir: Path, database_url: str, step: str
) -> None:
    hook = Steps()
    store = await open_another(on_step=hook)
    await archived(store, "secret-1", "s-2")
    kept = await document(store, "s-2")
    await die_at(hook, step, store.erase(session_id="secret-1"))

    report = await store.archive.recover(alone=True)

    assert report.erasures_finished == 1
    assert b"in secret-1?" not in everything_under(archive_dir)
    assert await document(store, "s-2") == kept
    sound(database_url, archive_dir)


async def test_a_copy_of_a_destroyed_session_is_swept_after_its_purger_died(
    open_another: OpenAnother, archive_dir: Path, database_url: str
) -> None:
    hook = Steps()
    store = await open_another(on_step=hook)
    await fill(store, "secret-1")
    await fill(store, "s-2")
    context = store._parts.archive.context
    wanted = [(s, (await store.sessions.get(s)).version) for s in ("secret-1", "s-2")]
    await archive(context, "default", wanted)
    # Gone before the purge, and nobody left to sweep.
    raw(database_url, "UPDATE archive_entries SET state = 'stale'")
    await store.sessions.delete("s-2", archive=False)
    raw(database_url, "UPDATE sessions SET version = version")
    eraser = store._parts.eraser
    await eraser._blank([("default", "secret-1")], "deleted")
    assert b"in secret-1?" in everything_under(archive_dir)

    await store.archive.recover()

    assert b"in secret-1?" not in everything_under(archive_dir)
    sound(database_url, archive_dir)


async def test_what_a_cancelled_writer_wrote_before_it_died_is_found(
    open_another: OpenAnother,
    archive_dir: Path,
    database_url: str,
    clock: ManualClock,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Found by killing: a readable copy was written after recovery had looked."""
    readable = policy(readable_json=True)
    store = await open_another(retention=readable)
    config = StoreConfig(url=database_url, archive_dir=archive_dir)
    elsewhere = Elsewhere(config, clock)
    await fill(store, "secret-1")
    await fill(store, "s-2")

    async def erase_and_recover(other: Store) -> None:
        await other.erase(session_id="secret-1")
        await other.archive.recover()

    def late(blobs: Any, manifest: Any) -> None:
        write_readable(blobs, manifest)
        key = readable_key(manifest, manifest.entries[1])
        said = blobs.read(key)
        elsewhere.ask(erase_and_recover, patience_s=5.0)
        copy = blobs.create(key)
        copy.write(said)
        copy.sync()
        copy.publish()
        raise Died

    monkeypatch.setattr("convstore.archive.archiver.write_readable", late)
    with pytest.raises(Died):
        await store.run_retention(older_than_s=0)
    await elsewhere.answers()
    left = everything_under(archive_dir)
    clock.advance(300)

    await store.archive.recover()

    elsewhere.close()
    assert b"in secret-1?" in left
    assert b"in secret-1?" not in everything_under(archive_dir)
    sound(database_url, archive_dir)


async def test_states_change_only_from_those_that_were_seen(store: Store) -> None:
    await archived(store, "s-1")
    write = store._parts.backend.write
    segment_id = (await store.sessions.get("s-1")).segment_id
    assert segment_id is not None

    given_up = await write(
        lambda c: segments.change_state(c, segment_id, "deleting", was=("writing",))
    )
    await write(lambda c: segments.forget(c, segment_id))

    assert not given_up
    assert len((await document(store, "s-1")).turns) == 3
