"""Verification finds what rotted, names who is concerned, and destroys nothing."""

from __future__ import annotations

from pathlib import Path

import pytest

from convstore import Store
from convstore.errors import SegmentNotFoundError
from convstore.vocabulary.clock import ManualClock
from tests.integration.archives import (
    archived,
    damage,
    document,
    ids,
    raw,
    segment_files,
)


async def test_a_whole_archive_has_no_faults_and_the_longest_unread_comes_first(
    store: Store, clock: ManualClock, database_url: str
) -> None:
    for session_id in ids("s", 3):
        await archived(store, session_id)
        clock.advance(10)
    clock.advance(100)

    first = await store.archive.verify(most=1)
    rest = await store.archive.verify(deep=True)

    assert (first.segments, first.ok) == (1, True)
    assert (rest.segments, rest.sessions, rest.ok) == (3, 3, True)
    times = raw(database_url, "SELECT DISTINCT verified_at FROM archive_segments")
    assert len(times) == 1


@pytest.mark.parametrize("harm", ["flip", "truncate", "remove", "manifest", "both"])
async def test_each_kind_of_damage_is_found_and_quarantined(
    store: Store, archive_dir: Path, harm: str
) -> None:
    await archived(store, *ids("s", 3))
    (path,) = segment_files(archive_dir)
    manifest = path.with_name(path.name.replace(".jsonl.zst", ".manifest.json"))
    if harm == "flip":
        damage(path)
    elif harm == "truncate":
        path.write_bytes(path.read_bytes()[:-40])
    if harm in ("remove", "both"):
        path.unlink()
    if harm in ("manifest", "both"):
        manifest.unlink()

    report = await store.archive.verify()

    concerned = {
        "flip": ["s-1"],
        "truncate": ["s-2"],
        "remove": ["s-0", "s-1", "s-2"],
        "manifest": ["s-0", "s-1", "s-2"],
        "both": ["s-0", "s-1", "s-2"],
    }[harm]
    assert not report.ok
    assert [p.session_id for p in report.sessions_at_risk] == concerned
    assert (await store.stats()).quarantined_segments == 1
    agreement = await store.archive.agreement()
    assert agreement.ok == (harm in ("flip", "manifest", "truncate"))


@pytest.mark.mostly_slow("sqlite")
async def test_every_flipped_bit_is_found(store: Store, archive_dir: Path) -> None:
    await archived(store, "s-1", "s-2")
    (path,) = segment_files(archive_dir)
    whole = path.read_bytes()
    missed = []

    for place in range(0, len(whole), 37):
        damage(path, at=place / len(whole), bit=1 << place % 8)
        if (await store.archive.verify()).ok:
            missed.append(place)
        path.write_bytes(whole)

    assert missed == []
    assert (await store.archive.verify()).ok


async def test_a_segment_that_is_whole_again_leaves_quarantine(
    store: Store, archive_dir: Path
) -> None:
    await archived(store, "s-1")
    (path,) = segment_files(archive_dir)
    damage(path)
    await store.archive.verify()
    damage(path)

    report = await store.archive.verify()

    assert report.ok
    assert (await store.stats()).quarantined_segments == 0
    assert len((await document(store, "s-1")).turns) == 3


async def test_one_segment_can_be_asked_for(store: Store) -> None:
    await archived(store, "s-1")
    await archived(store, "s-2")
    segment_id = (await store.sessions.get("s-1")).segment_id

    report = await store.archive.verify(segment_id)

    assert report.segments == 1
    with pytest.raises(SegmentNotFoundError):
        await store.archive.verify("no such segment")


async def test_a_file_exchanged_for_another_whole_one_is_found(
    store: Store, archive_dir: Path
) -> None:
    await archived(store, "s-1")
    await archived(store, "s-2")
    first, second = segment_files(archive_dir)
    first.write_bytes(second.read_bytes())

    report = await store.archive.verify()

    assert not report.ok
    assert {problem.session_id for problem in report.sessions_at_risk} == {"s-1"}


async def test_the_agreement_names_files_that_are_missing_unknown_or_of_other_size(
    store: Store, archive_dir: Path
) -> None:
    await archived(store, "s-1")
    await archived(store, "s-2")
    whole = await store.archive.agreement()
    first, second = segment_files(archive_dir)
    first.unlink()
    second.write_bytes(second.read_bytes() + b"x")

    agreement = await store.archive.agreement()

    assert whole.ok
    assert len(agreement.missing_files) == 1
    assert len(agreement.wrong_sizes) == 1
    assert not agreement.ok
