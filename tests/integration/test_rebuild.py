"""From the archive folder alone to a database that knows every archived session."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from convstore import Store, StoreConfig
from convstore.errors import SessionErasedError
from convstore.segments.writer import SegmentWriter
from convstore.vocabulary.clock import ManualClock
from tests.integration.archives import (
    DAY_S,
    Elsewhere,
    OpenAnother,
    Steps,
    archived,
    damage,
    document,
    documents,
    everything_under,
    fill,
    ids,
    raw,
    segment_files,
    sound,
    states,
    timeless,
)

NewDatabase = Callable[[str], str]


@pytest.mark.parametrize("kind", ["sqlite", "postgres"])
async def test_an_empty_database_of_either_kind_learns_everything_from_the_folder(
    store: Store,
    open_another: OpenAnother,
    new_database: NewDatabase,
    archive_dir: Path,
    kind: str,
) -> None:
    await archived(store, *ids("s", 5))
    before = await documents(store)
    listed = await store.sessions.list(tag="vip", metadata={"place": "Enschede"})
    url = new_database(kind)
    fresh = await open_another(url=url)

    report = await fresh.archive.rebuild()

    assert (report.segments, report.sessions, report.faults) == (1, 5, ())
    assert await documents(fresh) == before
    again = await fresh.sessions.list(tag="vip", metadata={"place": "Enschede"})
    assert [s.id for s in again.items] == [s.id for s in listed.items]
    assert [s.version for s in again.items] == [s.version for s in listed.items]
    assert len((await fresh.holds.list("s-1")).items) == 1
    await fresh.restore("s-1")
    assert timeless(await document(fresh, "s-1")) == timeless(before["s-1"])
    sound(url, archive_dir)


async def test_rebuilding_again_changes_nothing(
    store: Store, database_url: str, archive_dir: Path
) -> None:
    await archived(store, *ids("s", 3))
    before = await documents(store)

    report = await store.archive.rebuild()

    assert (report.segments, report.sessions) == (0, 0)
    assert await documents(store) == before
    sound(database_url, archive_dir)


async def test_a_missing_or_damaged_manifest_is_made_again_from_the_frames(
    store: Store, open_another: OpenAnother, new_database: NewDatabase,
    archive_dir: Path,
) -> None:  # fmt: skip
    await archived(store, "s-1")
    await archived(store, "s-2")
    first, second = sorted(archive_dir.glob("segments/**/*.manifest.json"))  # noqa: ASYNC240
    first.unlink()
    damage(second)
    fresh = await open_another(url=new_database("sqlite"))

    report = await fresh.archive.rebuild()

    assert report.sessions == 2
    assert await documents(fresh) == await documents(store)


async def test_a_damaged_session_is_named_and_the_others_are_taken_up(
    store: Store, open_another: OpenAnother, new_database: NewDatabase,
    archive_dir: Path,
) -> None:  # fmt: skip
    await archived(store, *ids("s", 3))
    damage(segment_files(archive_dir)[0])
    fresh = await open_another(url=new_database("sqlite"))

    report = await fresh.archive.rebuild()

    assert report.sessions == 2
    assert [fault.session_id for fault in report.faults] == ["s-1"]
    assert sorted(await documents(fresh)) == ["s-0", "s-2"]


@pytest.mark.parametrize(
    "change",
    [
        {"user_id": "u" * 256},
        {"title": "nul \0"},
        {"turn_count": 9},
        {"hold_count": 1},
        {"head_seq": 9},
    ],
)
async def test_a_document_made_by_hand_is_named_and_the_others_are_taken_up(
    store: Store, archive_dir: Path, database_url: str, change: dict[str, Any]
) -> None:
    await fill(store, "s-1")
    await fill(store, "s-2")
    await store.turns.append("s-2", role="user", content="the text \\u0000 is no NUL")
    made, other = await document(store, "s-1"), await document(store, "s-2")
    for session_id in ("s-1", "s-2"):
        await store.sessions.delete(session_id, archive=False)
    raw(database_url, "DELETE FROM legal_holds")
    raw(database_url, "DELETE FROM session_metadata")
    raw(database_url, "DELETE FROM sessions")
    forged = replace(made, session=replace(made.session, **change))
    blobs = store._parts.archive.context.blobs
    with SegmentWriter(
        blobs, writer="forger 1", created_at=made.session.created_at
    ) as writer:
        writer.add(forged)
        writer.add(other)
        writer.finish()

    report = await store.archive.rebuild()

    assert [fault.session_id for fault in report.faults] == ["s-1"]
    assert await states(store) == {"s-2": "archived"}
    await store.restore("s-2")
    assert len((await document(store, "s-2")).turns) == 4


async def test_the_highest_version_of_a_session_is_the_one_that_counts(
    store: Store, open_another: OpenAnother, new_database: NewDatabase,
    archive_dir: Path,
) -> None:  # fmt: skip
    """A rewritten segment is younger than what it holds: its name decides nothing."""
    await archived(store, "s-1", "secret-1")
    await store.turns.append("s-1", role="user", content="the newest")
    await store.run_retention(older_than_s=0)
    # Writes the first segment, with the older copy, again and later.
    await store.erase(session_id="secret-1")
    assert len(segment_files(archive_dir)) == 2
    url = new_database("sqlite")
    fresh = await open_another(url=url)

    report = await fresh.archive.rebuild()

    assert (await document(fresh, "s-1")).turns[-1].content == "the newest"
    assert (report.sessions, report.superseded) == (1, 1)
    sound(url, archive_dir)
    assert (await fresh.archive.rebuild()).segments == 0


async def test_what_was_erased_stays_erased_and_its_last_copies_go(
    store: Store, open_another: OpenAnother, new_database: NewDatabase,
    archive_dir: Path, tmp_path: Path,
) -> None:  # fmt: skip
    await archived(store, "secret-1", "s-2")
    shutil.copytree(archive_dir, tmp_path / "backup")
    await store.erase(session_id="secret-1")
    kept = await document(store, "s-2")
    # A backup of the segments, with what has been noted since.
    shutil.rmtree(archive_dir / "segments")
    shutil.copytree(tmp_path / "backup" / "segments", archive_dir / "segments")
    url = new_database("sqlite")
    fresh = await open_another(url=url)

    report = await fresh.archive.rebuild()

    assert (report.sessions, report.erased_left_out) == (1, 1)
    assert await document(fresh, "s-2") == kept
    assert b"in secret-1?" not in everything_under(archive_dir)
    with pytest.raises(SessionErasedError):
        await fresh.turns.append("secret-1", role="user", content="late")
    sound(url, archive_dir)


async def test_a_file_that_came_back_with_what_was_erased_loses_it(
    store: Store, archive_dir: Path, database_url: str, tmp_path: Path
) -> None:
    await archived(store, "secret-1", "s-2")
    shutil.copytree(archive_dir / "segments", tmp_path / "backup")
    await store.erase(session_id="secret-1")
    shutil.copytree(tmp_path / "backup", archive_dir / "segments", dirs_exist_ok=True)
    raw(database_url, "DELETE FROM archive_segments WHERE state = 'deleted'")

    report = await store.archive.rebuild()

    assert report.erased_left_out == 1
    assert b"in secret-1?" not in everything_under(archive_dir)
    sound(database_url, archive_dir)


async def test_nothing_in_the_database_is_overwritten(
    store: Store, open_another: OpenAnother, new_database: NewDatabase,
    archive_dir: Path,
) -> None:  # fmt: skip
    await archived(store, "s-1", "s-2")
    url = new_database("sqlite")
    other = await open_another(url=url)
    await fill(other, "s-1")
    await other.turns.append("s-1", role="user", content="another life")

    report = await other.archive.rebuild()

    assert (report.sessions, report.already_present) == (1, 1)
    assert (await document(other, "s-1")).turns[-1].content == "another life"
    sound(url, archive_dir)


async def test_what_is_newer_than_the_database_is_reported_and_never_removed(
    store: Store, open_another: OpenAnother, new_database: NewDatabase,
    archive_dir: Path, clock: ManualClock,
) -> None:  # fmt: skip
    """The database was restored from an older backup: the file may be the only copy."""
    await fill(store, "s-1")
    for number in range(5):
        await store.turns.append("s-1", role="user", content=f"later {number}")
    await store.run_retention(older_than_s=0)
    old = await open_another(url=new_database("sqlite"))
    await old.sessions.get_or_create("s-1")

    report = await old.archive.rebuild()
    clock.advance(10 * DAY_S)
    await old.archive.recover(alone=True)

    assert [p.session_id for p in report.newer_in_archive] == ["s-1"]
    assert len(segment_files(archive_dir)) == 1
    assert b"later 4" in everything_under(archive_dir)
    assert (await document(old, "s-1")).turns == ()


async def test_a_rebuild_that_was_cut_short_is_finished_by_the_next(
    store: Store, open_another: OpenAnother, new_database: NewDatabase,
    archive_dir: Path, monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    await archived(store, *ids("s", 3))
    url = new_database("sqlite")
    fresh = await open_another(url=url)

    class Died(BaseException):
        pass

    def die(*_: object) -> None:
        raise Died

    with monkeypatch.context() as patch:
        patch.setattr("convstore.retention.rebuild.segments.add_sealed", die)
        with pytest.raises(Died):
            await fresh.archive.rebuild()
    assert set((await states(fresh)).values()) == {"archived"}

    await fresh.archive.rebuild()

    assert await documents(fresh) == await documents(store)
    assert raw(url, "SELECT DISTINCT state FROM archive_entries") == [("committed",)]
    sound(url, archive_dir)


async def test_a_slow_writer_leaves_what_a_rebuild_has_taken_up(
    open_another: OpenAnother,
    database_url: str,
    archive_dir: Path,
    clock: ManualClock,
) -> None:
    """It was taken for dead, and comes back to seal what is sealed."""
    hook = Steps()
    store = await open_another(on_step=hook)
    await fill(store, "s-1")
    elsewhere = Elsewhere(StoreConfig(url=database_url, archive_dir=archive_dir), clock)

    def take_up() -> None:
        clock.advance(DAY_S / 24)
        elsewhere.ask(lambda s: s.archive.rebuild(), 20.0)

    hook.at("seal.begin", take_up)
    report = await store.run_retention(older_than_s=0)
    (rebuilt,) = await elsewhere.answers()
    elsewhere.close()

    assert (rebuilt.segments, rebuilt.already_present) == (1, 1)
    assert report.purged == 0
    assert (await store.archive.verify(deep=True)).ok
    sound(database_url, archive_dir)
