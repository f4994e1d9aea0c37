"""An erasure beside damage: what must go is gone, what is damaged is kept and told."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import pytest

from convstore import Store
from convstore.errors import SegmentCorruptError
from tests.integration.archives import (
    OpenAnother,
    archived,
    damage,
    document,
    everything_under,
    fill,
    policy,
    raw,
    segment_files,
    timeless,
)

# In the order of the file, which is that of the ids.
IDS = ("a-1", "s-2", "s-3", "secret-1")


def manifest_of(path: Path) -> Path:
    return path.with_name(path.name.replace(".jsonl.zst", ".manifest.json"))


def entries_of(path: Path) -> dict[str, dict[str, Any]]:
    found = json.loads(manifest_of(path).read_text("utf-8"))["entries"]
    return {entry["session_id"]: entry for entry in found}


def frame_of(path: Path, session_id: str) -> bytes:
    entry = entries_of(path)[session_id]
    return path.read_bytes()[entry["offset"] :][: entry["length"]]


def flip(path: Path, session_id: str, *, at: float = 0.6, bit: int = 1) -> None:
    """Flip a bit within the frame of a session."""
    entry = entries_of(path)[session_id]
    size = path.stat().st_size
    damage(path, at=(entry["offset"] + int(entry["length"] * at)) / size, bit=bit)


async def test_an_erasure_is_finished_beside_a_damaged_neighbour(
    store: Store, archive_dir: Path, database_url: str
) -> None:
    await archived(store, *IDS)
    (path,) = segment_files(archive_dir)
    flip(path, "s-2")
    left = frame_of(path, "s-2")
    healthy = await document(store, "s-3")

    receipt = await store.erase(session_id="secret-1")

    assert receipt.done_at is not None
    (path,) = segment_files(archive_dir)
    assert [f"segment-{i}.jsonl.zst" for i in receipt.segments_damaged] == [path.name]
    # zstd passes over what is left of the damaged frame.
    readable = everything_under(archive_dir)
    assert b"in secret-1?" not in readable
    assert b"in s-3?" in readable
    assert await document(store, "s-3") == healthy
    # The neighbour is where it was, as damaged as it was, and told.
    assert left in path.read_bytes()
    found = await store.archive.verify()
    assert [(f.session_id, f.problem) for f in found.faults] == [
        ("s-2", "no frame begins here")
    ]
    assert [risk.session_id for risk in found.sessions_at_risk] == ["s-2"]
    with pytest.raises(SegmentCorruptError):
        await store.restore("s-2")
    assert raw(database_url, "SELECT state FROM erasures") == [("done",)]
    assert (await store.archive.recover()).erasures_finished == 0


async def test_what_is_left_of_a_frame_outlives_many_erasures(
    store: Store, archive_dir: Path
) -> None:
    await archived(store, *IDS)
    (path,) = segment_files(archive_dir)
    flip(path, "s-2")
    left = frame_of(path, "s-2")

    await store.erase(session_id="secret-1")
    await store.erase(session_id="a-1")

    (path,) = segment_files(archive_dir)
    assert list(entries_of(path)) == ["s-2", "s-3"]
    assert frame_of(path, "s-2")[8:] == left
    assert b"in a-1?" not in everything_under(archive_dir)


async def test_a_damaged_session_is_mended_from_its_readable_copy(
    open_another: OpenAnother, archive_dir: Path
) -> None:
    store = await open_another(retention=policy(readable_json=True))
    await archived(store, *IDS)
    before = await document(store, "s-2")
    (path,) = segment_files(archive_dir)
    flip(path, "s-2")

    receipt = await store.erase(session_id="secret-1")

    assert receipt.segments_damaged == ()
    assert (await store.archive.verify(deep=True)).ok
    await store.restore("s-2")
    assert timeless(await document(store, "s-2")) == timeless(before)
    assert b"in secret-1?" not in everything_under(archive_dir)


@pytest.mark.parametrize("manifest", ["whole", "lost"])
async def test_a_session_whose_frame_lost_its_form_is_kept_between_whole_ones(
    store: Store, archive_dir: Path, manifest: str
) -> None:
    await archived(store, *IDS)
    (path,) = segment_files(archive_dir)
    entry = entries_of(path)["s-2"]
    data = bytearray(path.read_bytes())
    data[entry["offset"] : entry["offset"] + 40] = bytes(40)
    path.write_bytes(bytes(data))
    left = frame_of(path, "s-2")
    if manifest == "lost":
        manifest_of(path).unlink()

    await store.erase(session_id="secret-1")

    (path,) = segment_files(archive_dir)
    assert frame_of(path, "s-2")[8:] == left
    assert b"in secret-1?" not in everything_under(archive_dir)
    with pytest.raises(SegmentCorruptError):
        await store.restore("s-2")
    await store.restore("s-3")


async def test_a_segment_that_was_cut_off_loses_nothing_more_by_an_erasure(
    store: Store, archive_dir: Path
) -> None:
    await archived(store, *IDS)
    (path,) = segment_files(archive_dir)
    entry = entries_of(path)["s-3"]
    path.write_bytes(path.read_bytes()[: entry["offset"] + entry["length"] // 2])
    left = frame_of(path, "s-3")

    await store.erase(session_id="a-1")

    (path,) = segment_files(archive_dir)
    assert frame_of(path, "s-3")[8:] == left
    assert b"in a-1?" not in everything_under(archive_dir)
    risks = (await store.archive.verify()).sessions_at_risk
    assert [risk.session_id for risk in risks] == ["s-3", "secret-1"]
    await store.restore("s-2")


async def test_bytes_that_may_be_of_the_erased_session_are_not_copied(
    store: Store, archive_dir: Path, database_url: str
) -> None:
    """A byte went missing: every place behind it is wrong."""
    await archived(store, *IDS)
    (path,) = segment_files(archive_dir)
    entry = entries_of(path)["s-2"]
    data = path.read_bytes()
    path.write_bytes(data[: entry["offset"] + 9] + data[entry["offset"] + 10 :])

    with pytest.raises(SegmentCorruptError, match="may be another session's"):
        await store.erase(session_id="secret-1")

    assert raw(database_url, "SELECT state FROM erasures") == [("begun",)]
    assert (await store.run_retention(older_than_s=0)).problems == ()


@pytest.mark.parametrize("inside", [False, True])
async def test_a_frame_of_the_erased_session_in_another_place_is_not_copied(
    store: Store, archive_dir: Path, inside: bool
) -> None:
    await fill(store, "s-2")
    roomy = random.Random(1).randbytes(20_000).hex()
    await store.turns.append("s-2", role="user", content=roomy)
    for session_id in ("a-1", "s-3", "secret-1"):
        await fill(store, session_id)
    await store.run_retention(older_than_s=0)
    (path,) = segment_files(archive_dir)
    secret, place = frame_of(path, "secret-1"), entries_of(path)["s-2"]
    data = bytearray(path.read_bytes())
    at = place["offset"] + (place["length"] // 2 if inside else 0)
    data[at : at + len(secret)] = secret
    path.write_bytes(bytes(data))

    with pytest.raises(SegmentCorruptError, match="another session lies"):
        await store.erase(session_id="secret-1")


async def test_retention_goes_on_beside_a_segment_that_an_erasure_had_to_leave(
    store: Store, archive_dir: Path
) -> None:
    await archived(store, *IDS)
    (path,) = segment_files(archive_dir)
    path.write_bytes(path.read_bytes()[1:])
    with pytest.raises(SegmentCorruptError):
        await store.erase(session_id="secret-1")
    await fill(store, "s-9")

    report = await store.run_retention(older_than_s=0)

    assert report.purged == 1
    await store.erase(session_id="s-9")
