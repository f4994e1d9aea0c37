"""Files of a later version: refused as newer by every path, and touched by none."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from convstore import Store
from convstore.errors import NewerFormatError
from convstore.segments import manifest
from convstore.vocabulary import documents
from convstore.vocabulary.clock import ManualClock
from convstore.vocabulary.documents import encode_document
from tests.integration.archives import (
    OpenAnother,
    archived,
    document,
    everything_under,
    ids,
    raw,
    segment_files,
    states,
)

PARTS = {"document": documents, "manifest": manifest}


def later(monkeypatch: pytest.MonkeyPatch, part: str) -> None:
    """From here on the library is of a version with another format."""
    monkeypatch.setattr(PARTS[part], "FORMAT_VERSION", 2)
    monkeypatch.setattr("convstore.archive.archiver.WRITER", "convstore 99.0.0")


@pytest.mark.parametrize("part", PARTS)
async def test_a_newer_segment_is_told_as_newer_and_nothing_touches_it(
    store: Store,
    archive_dir: Path,
    database_url: str,
    monkeypatch: pytest.MonkeyPatch,
    part: str,
) -> None:
    with monkeypatch.context() as patched:
        later(patched, part)
        await archived(store, *ids("s", 2))
    (path,) = segment_files(archive_dir)
    beside = path.with_name(path.name.replace(".jsonl.zst", ".manifest.json"))
    before = path.read_bytes(), beside.read_bytes()

    verified = await store.archive.verify()
    recovered = await store.archive.recover()
    if part == "document":
        with pytest.raises(NewerFormatError) as caught:
            await store.restore("s-0")
        assert caught.value.segment_id is not None
        assert caught.value.segment_id in path.name
        with pytest.raises(NewerFormatError):
            await store.turns.list("s-1")
    else:
        with pytest.raises(NewerFormatError):
            await store.erase(session_id="s-1")
    again = await store.archive.verify()

    assert verified.faults == again.faults == ()
    assert [name in path.name for name in verified.newer] == [True]
    assert recovered.segments_removed == recovered.entries_stale == 0
    assert (path.read_bytes(), beside.read_bytes()) == before
    assert raw(database_url, "SELECT state, problem FROM archive_segments") == [
        ("sealed", None)
    ]
    with monkeypatch.context() as patched:
        later(patched, part)
        await store.restore("s-0")
        await store.archive.recover()
        assert (await document(store, "s-0")).session.state == "active"
        assert (await states(store))["s-1"] == (
            "archived" if part == "document" else "erased"
        )


async def test_an_erasure_copies_newer_documents_of_others_as_they_are(
    store: Store, archive_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patched:
        later(patched, "document")
        await archived(store, *ids("s", 2))

    await store.erase(session_id="s-1")

    assert b"in s-1?" not in everything_under(archive_dir)
    assert b"in s-0?" in everything_under(archive_dir)
    with monkeypatch.context() as patched:
        later(patched, "document")
        assert (await document(store, "s-0")).session.id == "s-0"
        assert (await store.archive.verify(deep=True)).faults == ()


@pytest.mark.parametrize("part", PARTS)
async def test_a_rebuild_takes_up_newer_segments_whole_or_not_at_all(
    store: Store,
    open_another: OpenAnother,
    new_database: Callable[[str], str],
    archive_dir: Path,
    monkeypatch: pytest.MonkeyPatch,
    part: str,
) -> None:
    with monkeypatch.context() as patched:
        later(patched, part)
        await archived(store, *ids("s", 2))
    await store.close()
    other = await open_another(url=new_database("sqlite"), archive_dir=archive_dir)

    by_the_old = await other.archive.rebuild()
    with monkeypatch.context() as patched:
        later(patched, part)
        by_the_new = await other.archive.rebuild()

    assert (by_the_old.sessions, len(by_the_old.faults)) == (0, 1)
    assert "newer format" in by_the_old.faults[0].problem
    assert (by_the_new.sessions, by_the_new.faults) == (2, ())


async def test_fields_of_a_later_version_go_through_archive_and_restore_and_exports(
    store: Store, clock: ManualClock, archive_dir: Path, tmp_path: Path
) -> None:
    await archived(store, "s-0")
    data = json.loads(encode_document(await document(store, "s-0")))
    (archive_dir / "spare").mkdir(exist_ok=True)
    data["session"] |= {"id": "s-1", "segment_id": None, "state": "active"}
    data["session"]["archived_at"] = None
    for part in ("turns", "interactions", "graph_states", "holds", "items"):
        for record in data[part]:
            record["session_id"] = "s-1"
    for kind in data["checkpoints"].values():
        for record in kind:
            record["session_id"] = "s-1"
    data["session"]["mood"] = "calm"
    data["turns"][1]["voice"] = {"hz": 440}
    data["interactions"][0]["device"] = ["phone", 2]
    (tmp_path / "in.jsonl").write_text(json.dumps(data))

    report = await store.import_("convstore", tmp_path / "in.jsonl", strict=True)
    assert report.sessions == 1
    for _ in range(2):
        clock.advance(1)
        await store.run_retention(older_than_s=0)
        assert (await states(store))["s-1"] == "archived"
        assert json.loads(encode_document(await document(store, "s-1")))["turns"][1][
            "voice"
        ] == {"hz": 440}
        await store.restore("s-1")
    await store.export("convstore", to=tmp_path / "out")

    (out,) = (tmp_path / "out" / "data").glob("*.jsonl")
    (line,) = [x for x in out.read_text().split("\n") if '"id":"s-1"' in x]
    found = json.loads(line)
    assert found["session"]["mood"] == "calm"
    assert found["turns"] == data["turns"]
    assert found["interactions"] == data["interactions"]


async def test_a_record_of_a_newer_format_is_rejected_as_such(
    store: Store, tmp_path: Path
) -> None:
    await archived(store, "s-0")
    found = await document(store, "s-0")
    found = replace(found, session=replace(found.session, id="s-9"))
    data = json.loads(encode_document(found)) | {"requires": ["voices"]}
    (tmp_path / "in.jsonl").write_text(json.dumps(data))

    report = await store.import_("convstore", tmp_path / "in.jsonl")

    assert report.rejected == {"newer_format": 1}
