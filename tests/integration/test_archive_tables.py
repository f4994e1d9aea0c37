"""The archive as Parquet tables: one row a session, and only what is archived now."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from convstore import Store
from convstore.errors import ConfigError, StorageFullError
from tests.denials import files_up_to
from tests.integration.archives import archived, damage, fill, segment_files

pq = pytest.importorskip("pyarrow.parquet")


def rows(folder: Path, table: str) -> list[dict[str, Any]]:
    found = []
    for path in sorted((folder / table).rglob("*.parquet")):
        month = path.parent.name
        assert month.startswith("month=20")
        found += pq.ParquetFile(path).read().to_pylist()
    return found


def ids(folder: Path, table: str = "sessions") -> list[str]:
    return sorted(row["session_id"] for row in rows(folder, table))


async def test_tables_say_what_is_archived(store: Store, tmp_path: Path) -> None:
    await archived(store, "s-1", "s-2")
    await fill(store, "s-3")  # live
    to = tmp_path / "tables"

    report = await store.archive.tables(to)

    assert (report.segments_written, report.sessions, report.faults) == (1, 2, ())
    assert (report.turns, report.interactions) == (6, 6)
    assert ids(to) == ["s-1", "s-2"]
    session = rows(to, "sessions")[0]
    assert (session["tags"], session["turn_count"]) == (["vip", "zaak"], 3)
    assert json.loads(session["metadata"])["place"] == "Enschede"
    turns = [row for row in rows(to, "turns") if row["session_id"] == "s-1"]
    assert [row["seq"] for row in turns] == [1, 2, 3]
    assert [row["active"] for row in turns] == [True, False, True]
    assert turns[1]["cost_micros"] == 42
    assert json.loads(turns[0]["slots"]) == {"place": "Enschede"}
    assert turns[0]["created_at"].tzinfo is not None
    acts = [row for row in rows(to, "interactions") if row["session_id"] == "s-1"]
    assert [row["feedback"] for row in acts] == ["incorrect", None, "correct"]
    assert (acts[1]["chosen"], acts[1]["rejected"]) == (3, [2])


async def test_again_writes_what_is_new_and_follows_erasures(
    store: Store, tmp_path: Path
) -> None:
    to = tmp_path / "tables"
    await archived(store, "secret-1", "s-2")
    await store.archive.tables(to)
    first = {path: path.stat().st_mtime_ns for path in to.rglob("*.parquet")}
    await archived(store, "s-3")

    added = await store.archive.tables(to)

    assert (added.segments_written, added.segments_kept) == (1, 1)
    assert ids(to) == ["s-2", "s-3", "secret-1"]
    assert (
        first.items()
        <= {path: path.stat().st_mtime_ns for path in to.rglob("*.parquet")}.items()
    )
    await store.erase(session_id="secret-1")
    await store.restore("s-3")

    followed = await store.archive.tables(to)

    assert (followed.segments_written, followed.segments_removed) == (1, 2)
    for table in ("sessions", "turns", "interactions"):
        assert set(ids(to, table)) == {"s-2"}
    assert await store.archive.tables(to) == type(followed)(segments_kept=1)


async def test_a_session_with_two_copies_is_there_once(
    store: Store, tmp_path: Path
) -> None:
    await archived(store, "s-1", "s-2")
    await store.turns.append("s-1", role="user", content="terug")
    await store.run_retention(older_than_s=0)

    await store.archive.tables(tmp_path / "tables")

    assert ids(tmp_path / "tables") == ["s-1", "s-2"]
    assert len([i for i in ids(tmp_path / "tables", "turns") if i == "s-1"]) == 4


async def test_tenants_are_told_apart_or_asked_for(
    store: Store, tmp_path: Path
) -> None:
    await fill(store, "s-1")
    await fill(store.for_tenant("acme"), "s-1")
    await store.run_retention(older_than_s=0)
    everybody, acme = tmp_path / "all", tmp_path / "acme"

    await store.archive.tables(everybody)
    await store.archive.tables(acme, tenant_id="acme")

    tenants = sorted(row["tenant_id"] for row in rows(everybody, "sessions"))
    assert tenants == ["acme", "default"]
    assert {row["tenant_id"] for row in rows(acme, "turns")} == {"acme"}
    with pytest.raises(ConfigError, match="another archive, tenant"):
        await store.archive.tables(acme)


async def test_a_folder_with_something_else_is_left_alone(
    store: Store, tmp_path: Path
) -> None:
    await archived(store, "s-1")
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "sessions").mkdir()
    kept = tmp_path / "mine" / "sessions" / "thesis.parquet"
    kept.write_bytes(b"years of work")

    with pytest.raises(ConfigError, match="holds something else"):
        await store.archive.tables(tmp_path / "mine")

    assert kept.read_bytes() == b"years of work"


async def test_a_damaged_session_is_left_out_said_and_tried_again(
    store: Store, archive_dir: Path, tmp_path: Path
) -> None:
    await archived(store, "s-1", "s-2")
    to = tmp_path / "tables"
    (path,) = segment_files(archive_dir)
    sound = path.read_bytes()
    damage(path, at=0.9)

    report = await store.archive.tables(to)

    assert len(report.faults) == 1
    assert len(ids(to)) == 1
    path.write_bytes(sound)
    mended = await store.archive.tables(to)
    assert (mended.segments_written, mended.segments_removed) == (1, 1)
    assert ids(to) == ["s-1", "s-2"]


async def test_what_a_crash_left_half_written_is_no_row(
    store: Store, tmp_path: Path
) -> None:
    await archived(store, "s-1")
    to = tmp_path / "tables"
    await store.archive.tables(to)
    whole = sorted(path.name for path in to.rglob("*.parquet"))
    (one,) = (to / "turns").rglob("*.parquet")
    half = one.with_name(".staged-00000000-0000-7000-8000-000000000000")
    one.rename(half)

    await store.archive.tables(to)

    assert sorted(path.name for path in to.rglob("*.parquet")) == whole
    assert not half.exists()


@pytest.mark.parametrize("room", [10, 2_000], ids=["the mark", "a table"])
async def test_a_full_disk_is_told_and_the_next_run_goes_on(
    store: Store, tmp_path: Path, room: int
) -> None:
    await archived(store, "s-1")
    to = tmp_path / "tables"

    with files_up_to(room), pytest.raises(StorageFullError, match="tables"):
        await store.archive.tables(to)
    report = await store.archive.tables(to)

    assert (report.segments_written, ids(to)) == (1, ["s-1"])
    assert not list(to.rglob(".staged-*"))


async def test_a_folder_whose_mark_was_cut_short_is_ours(
    store: Store, tmp_path: Path
) -> None:
    await archived(store, "s-1")
    to = tmp_path / "tables"
    to.mkdir()
    (to / ".staged-01a2285c-4ae6-7963-a7d7-546d85cc7fbc").write_bytes(b'{"for')

    await store.archive.tables(to)

    assert [path.name for path in to.iterdir() if path.is_file()] == [
        "convstore-tables.json"
    ]


async def test_a_place_that_is_no_folder_is_refused(
    store: Store, tmp_path: Path
) -> None:
    await archived(store, "s-1")
    to = tmp_path / "tables"
    to.write_text("a file")

    with pytest.raises(ConfigError, match="cannot be written to"):
        await store.archive.tables(to)
    with pytest.raises(ConfigError, match="cannot be written to"):
        await store.archive.tables(to / "below")
