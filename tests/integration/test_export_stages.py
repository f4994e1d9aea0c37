"""The stages of an export, carried out one by one and anywhere: the same bytes."""

from __future__ import annotations

import asyncio
import os
import pickle
import random
import signal
import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from convstore import (
    ConvstoreError,
    InvalidInputError,
    ManualClock,
    StorageFullError,
    Store,
    StoreConfig,
    WorkerLostError,
    export,
    open_store,
)
from convstore.db.dialects import dialect_of_url
from convstore.export.options import Caps, ExportOptions
from convstore.export.stages.planning import held_snapshot
from convstore.export.stages.workers import WorkerPool
from convstore.vocabulary.documents import encode_document
from convstore.vocabulary.progress import Progress
from tests.processes import forked_by
from tests.summary import needs
from tests.unit.export.histories import histories
from tests.unit.export.samples import tree
from tests.unit.export.test_places import files_up_to

FORMATS = ["kto", "preference", "openai-sft", "convstore"]
OPTIONS: dict[str, dict[str, Any]] = {
    "usual": {},
    "all": {
        "splits": {"train": 0.7, "validation": 0.3},
        "shard_bytes": 9_000,
        "caps": Caps(per_user=25, per_prompt=2, per_session=9),
        "max_length_bias": 0.6,
        "quarantine": True,
    },
    "parquet": {"file_type": "parquet", "shard_bytes": 20_000},
}


async def fill(store: Store, clock: ManualClock, folder: Path) -> None:
    """Ninety sessions, of which most are archived, in two segments, and some live."""
    clock.advance(172_800)
    found = histories(90)
    for number, some in enumerate((found[:40], found[40:70], found[70:])):
        source = folder / f"sessions-{number}.jsonl"
        source.write_bytes(b"".join(encode_document(d) + b"\n" for d in some))
        await store.import_("convstore", source, strict=True)
        if number < 2:
            await store.run_retention(older_than_s=0)


@pytest.fixture
async def filled(store: Store, clock: ManualClock, tmp_path: Path) -> Store:
    """The store, with what `fill` puts into it."""
    await fill(store, clock, tmp_path)
    return store


def carried_out(
    splits: list[export.Split], formats: list[str], to: Path, options: ExportOptions
) -> export.ExportReport:
    """An export of these splits as a cluster would do it: all that goes from one stage
    to the next is pickled, and nothing comes in order."""

    def sent(value: Any) -> Any:
        return pickle.loads(pickle.dumps(value))  # noqa: S301 - our own

    shuffled = random.Random(7)
    shuffled.shuffle(splits)
    made = [sent(export.rows(sent(split), formats, options)) for split in splits]
    settled = []
    for name in formats:
        entries = [entry for rows in made for entry in rows.entries(name)]
        shuffled.shuffle(entries)
        settled.append(sent(export.settle(entries, name, options)))
    written = []
    for settlement in settled:
        rows = [row for each in made for row in each.of(settlement.format)]
        rows.sort(key=lambda row: row.row_id)
        for part in settlement.parts:
            one = sent(export.write_part(rows, sent(part), to=to, options=options))
            written.append(one)
    shuffled.shuffle(written)
    counts = [rows.counts for rows in made]
    return export.finish(written, counts, settlements=settled, to=to, options=options)


@pytest.mark.parametrize("kind", OPTIONS)
async def test_the_stages_carried_out_one_by_one_give_the_bytes_of_the_whole(
    filled: Store, tmp_path: Path, kind: str
) -> None:
    formats, options = FORMATS, ExportOptions(**OPTIONS[kind])
    if kind == "parquet":
        needs("pyarrow")
        formats = FORMATS[:2]
    whole = await filled.export(formats, to=tmp_path / "whole", **OPTIONS[kind])
    async with held_snapshot(filled._parts.backend) as snapshot:
        splits = await asyncio.to_thread(
            export.plan, database=filled.config, snapshot=snapshot
        )

        report = await asyncio.to_thread(
            carried_out,
            splits,
            formats,
            tmp_path / "parts",
            options.on(filled.config.feedback),
        )

    assert tree(tmp_path / "parts") == tree(tmp_path / "whole")
    assert report.documents == whole.documents == 90
    assert sum(len(split.session_ids) for split in splits) == 90
    assert len({split.segment_id for split in splits}) == 3
    assert [f.dropped for f in report.formats] == [f.dropped for f in whole.formats]


@pytest.fixture
def workers(monkeypatch: pytest.MonkeyPatch) -> list[subprocess.Popen[bytes]]:
    """The programs that an export starts, after a few sessions already, and whose
    workers it waits for."""
    started: list[subprocess.Popen[bytes]] = []
    popen = subprocess.Popen

    def noted(*args: object, **kwargs: object) -> subprocess.Popen[bytes]:
        started.append(popen(*args, **kwargs))  # type: ignore[call-overload]
        return started[-1]

    monkeypatch.setattr("convstore.store.exports.ALONE", 5)
    monkeypatch.setattr(WorkerPool, "is_starting", False)
    monkeypatch.setattr("convstore.export.stages.starting.subprocess.Popen", noted)
    return started


@pytest.mark.mostly_slow("sqlite-*")
@pytest.mark.parametrize("kind", OPTIONS)
async def test_workers_that_read_the_store_themselves_change_no_byte(
    filled: Store,
    tmp_path: Path,
    kind: str,
    workers: list[subprocess.Popen[bytes]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    formats = FORMATS[:2] if kind == "parquet" else FORMATS
    monkeypatch.setattr("convstore.export.stages.splits.MOST_SESSIONS", 7)
    whole = await filled.export(formats, to=tmp_path / "whole", **OPTIONS[kind])

    helped = await filled.export(
        formats, to=tmp_path / "helped", workers=2, **OPTIONS[kind]
    )

    assert tree(tmp_path / "helped") == tree(tmp_path / "whole")
    assert [replace(f, path=Path()) for f in helped.formats] == [
        replace(f, path=Path()) for f in whole.formats
    ]
    assert len(workers) > 0
    assert all(worker.poll() is not None for worker in workers)


async def test_until_a_worker_is_there_the_export_reads_and_writes_by_itself(
    filled: Store,
    tmp_path: Path,
    workers: list[subprocess.Popen[bytes]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("convstore.export.stages.splits.MOST_SESSIONS", 7)
    monkeypatch.setattr(WorkerPool, "is_starting", True)
    await filled.export(FORMATS, to=tmp_path / "whole")

    await filled.export(FORMATS, to=tmp_path / "helped", workers=2)

    assert tree(tmp_path / "helped") == tree(tmp_path / "whole")
    assert len(workers) > 0
    assert all(worker.poll() is not None for worker in workers)


@pytest.mark.parametrize("kind", OPTIONS)
async def test_an_export_of_a_file_is_read_by_the_thread_that_writes_it(
    filled: Store, tmp_path: Path, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if filled._parts.backend.file is None:
        pytest.skip("a server's connections are few")
    formats = FORMATS[:2] if kind == "parquet" else FORMATS
    if kind == "parquet":
        needs("pyarrow")
    whole = await filled.export(formats, to=tmp_path / "whole", **OPTIONS[kind])
    monkeypatch.setattr("convstore.store.exports.ALONE", 5)
    monkeypatch.setattr("convstore.export.stages.splits.MOST_SESSIONS", 7)
    monkeypatch.setattr("convstore.export.stages.job._MARK_DOCUMENTS", 10)
    monkeypatch.setattr("convstore.export.stages.job._TELL_EVERY", 10)
    # Nothing comes by way of the event loop but the splits.
    monkeypatch.delattr("convstore.export.stages.job.run_export")
    monkeypatch.delattr("convstore.store.exports.run_export")

    def leave(progress: Progress) -> None:
        if progress.done >= 40:
            raise StorageFullError("enough")

    with pytest.raises(StorageFullError):
        await filled.export(
            formats, to=tmp_path / "out", on_progress=leave, **OPTIONS[kind]
        )
    assert not (tmp_path / "out").exists()
    past = await filled.export(formats, to=tmp_path / "out", **OPTIONS[kind])

    assert tree(tmp_path / "out") == tree(tmp_path / "whole")
    assert [replace(f, path=Path()) for f in past.formats] == [
        replace(f, path=Path()) for f in whole.formats
    ]


async def test_workers_write_parquet_without_loading_numpy(
    filled: Store,
    tmp_path: Path,
    workers: list[subprocess.Popen[bytes]],
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    needs("pyarrow")
    monkeypatch.setenv("PYTHONPROFILEIMPORTTIME", "1")

    await filled.export("kto", to=tmp_path / "out", workers=1, file_type="parquet")

    told = capfd.readouterr().err.splitlines()
    loaded = {line.rpartition("|")[2].strip() for line in told}
    assert len(workers) == 1
    assert "pyarrow.parquet" in loaded
    assert "numpy" not in loaded


async def test_workers_find_the_store_wherever_the_program_stands(
    clock: ManualClock,
    tmp_path: Path,
    workers: list[subprocess.Popen[bytes]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path)
    config = StoreConfig(url="sqlite:///chat.db", archive_dir="old")
    async with open_store(config, clock=clock) as store:
        await fill(store, clock, tmp_path)
        monkeypatch.chdir(tmp_path / "elsewhere")

        report = await store.export("kto", to=tmp_path / "out", workers=1)

    assert report.documents == 90
    assert len(workers) == 1
    assert not list((tmp_path / "elsewhere").iterdir())


@pytest.mark.mostly_slow("sqlite")
async def test_an_export_whose_worker_is_killed_publishes_nothing_and_goes_on(
    filled: Store,
    tmp_path: Path,
    workers: list[subprocess.Popen[bytes]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("convstore.export.stages.splits.MOST_SESSIONS", 3)
    monkeypatch.setattr("convstore.export.stages.job._TELL_EVERY", 6)
    monkeypatch.setattr("convstore.export.stages.job._MARK_DOCUMENTS", 6)

    def kill(phase: str, after: int) -> Callable[[Progress], None]:
        def told(progress: Progress) -> None:
            if progress.phase == phase and progress.done >= after:
                for worker in workers:
                    for pid in forked_by(worker.pid) or [worker.pid]:
                        os.kill(pid, signal.SIGKILL)

        return told

    for phase, after in (("gather", 12), ("gather", 90)):
        with pytest.raises(WorkerLostError):
            await filled.export(
                "kto", to=tmp_path / "out", workers=2, on_progress=kill(phase, after)
            )
        assert not (tmp_path / "out").exists()
        assert all(worker.poll() is not None for worker in workers)
        workers.clear()

    await filled.export("kto", to=tmp_path / "out", workers=2)

    await filled.export("kto", to=tmp_path / "whole")
    assert tree(tmp_path / "out") == tree(tmp_path / "whole")


async def test_a_disk_that_a_worker_finds_full_is_named_and_leaves_nothing(
    filled: Store, tmp_path: Path, workers: list[subprocess.Popen[bytes]]
) -> None:
    """No file is longer than what waits here, but those that workers write are."""
    (tmp_path / "new").mkdir()

    with files_up_to(20_000), pytest.raises(StorageFullError):
        await filled.export("kto", to=tmp_path / "new" / "out", workers=1)

    assert len(workers) == 1
    assert list((tmp_path / "new").iterdir()) == []


async def test_what_is_erased_before_its_turn_is_not_read_as_of_the_snapshot(
    filled: Store, tmp_path: Path
) -> None:
    backend = filled._parts.backend
    async with held_snapshot(backend) as snapshot:
        splits = await asyncio.to_thread(
            export.plan, database=filled.config, snapshot=snapshot
        )
        live, archived = (
            next(s for s in splits if (s.segment_id is None) is is_live)
            for is_live in (True, False)
        )
        for split in (live, archived):
            await filled.erase(session_id=split.session_ids[1])

        made = [
            await asyncio.to_thread(export.rows, split, "convstore", None)
            for split in (live, archived)
        ]

    assert [rows.counts.documents for rows in made] == [
        len(live.session_ids) - 1,
        len(archived.session_ids) - 1,
    ]


async def test_live_sessions_are_read_as_of_the_snapshot_on_postgres(
    filled: Store, tmp_path: Path
) -> None:
    backend = filled._parts.backend
    if not backend.dialect.shares_snapshots:
        pytest.skip("SQLite: each look is a moment of its own")
    before = await asyncio.to_thread(_documents, filled, "")
    async with held_snapshot(backend) as snapshot:
        session_id = before[0].session_ids[0]
        await filled.turns.append(session_id, role="user", content="later")
        await filled.conversation("new").append(role="user", content="later too")

        seen = await asyncio.to_thread(_documents, filled, snapshot)

    assert [split.session_ids for split in seen] == [s.session_ids for s in before]
    rows = await asyncio.to_thread(export.rows, before[0], "convstore")
    assert b"later" in rows.packed
    with pytest.raises(ConvstoreError):  # nobody holds it any more
        await asyncio.to_thread(export.rows, seen[0], "convstore")


def _documents(store: Store, snapshot: str) -> list[export.Split]:
    return export.plan(database=store.config, snapshot=snapshot)


def test_a_password_is_in_no_text_of_a_split() -> None:
    source = export.Source("postgresql://u:hunter2@h/d", "archive")

    assert "hunter2" not in repr(export.Split(source=source, session_ids=("a",)))


def test_a_snapshot_that_is_none_is_refused() -> None:
    config = StoreConfig(url="postgresql://u@127.0.0.1:1/d")
    dialect = dialect_of_url(config.database_url)

    with pytest.raises(InvalidInputError, match="snapshot"):
        dialect.adopt_snapshot(None, "x'; DROP TABLE turns; --")  # type: ignore[arg-type]
