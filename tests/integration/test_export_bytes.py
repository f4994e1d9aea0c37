"""The same content gives the same bytes: wherever it lies, whoever exports it."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from convstore import ManualClock, Store
from convstore.export.formats import FORMATS
from convstore.export.options import ExportOptions
from convstore.export.stages.job import run_export
from convstore.vocabulary.documents import encode_document
from convstore.vocabulary.records import SessionDocument
from tests.unit.export.histories import histories
from tests.unit.export.samples import read_rows, tree

SPLITS = {"train": 0.8, "validation": 0.2}
PARQUET = [name for name, fmt in FORMATS.items() if fmt.parquet]
KINDS: dict[str, tuple[list[str], dict[str, Any]]] = {
    "jsonl": (list(FORMATS), {}),
    "json": (PARQUET, {"file_type": "parquet"}),
    "text": (PARQUET, {"file_type": "parquet", "profile": "text"}),
}
FLAGS = {
    "jsonl": [],
    "json": ["--parquet"],
    "text": ["--parquet", "--profile", "text"],
}


def found() -> list[SessionDocument]:
    return histories(96)


@pytest.fixture
async def filled(store: Store, clock: ManualClock, tmp_path: Path) -> Store:
    """A store that holds the sessions which `found` gives."""
    clock.advance(172_800)  # They are from the second of January.
    source = tmp_path / "sessions.jsonl"
    source.write_bytes(b"".join(encode_document(d) + b"\n" for d in found()))
    report = await store.import_("convstore", source, strict=True)
    assert (report.sessions, report.rejected) == (len(found()), {})
    return store


def expected(folder: Path, kind: str) -> dict[str, str]:
    """The files of an export without any database: the same for both of them."""
    names, options = KINDS[kind]
    run_export(found(), names, folder, ExportOptions(splits=SPLITS, **options))
    return tree(folder)


@pytest.mark.mostly_slow("sqlite-json")
@pytest.mark.parametrize("kind", KINDS)
async def test_live_and_archived_sessions_of_any_database_give_the_same_bytes(
    filled: Store, tmp_path: Path, kind: str
) -> None:
    names, options = KINDS[kind]
    await filled.export(names, to=tmp_path / "live", splits=SPLITS, **options)
    report = await filled.run_retention(older_than_s=0)
    await filled.export(names, to=tmp_path / "archived", splits=SPLITS, **options)

    whole = expected(tmp_path / "expected", kind)
    assert report.purged == len(found())
    assert tree(tmp_path / "live") == whole
    assert tree(tmp_path / "archived") == whole


@pytest.mark.slow
async def test_another_process_in_another_zone_gives_the_same_bytes(
    filled: Store,
    database_url: str,
    archive_dir: Path,
    tmp_path: Path,
) -> None:
    await filled.close()
    for kind, flags in FLAGS.items():
        names, _ = KINDS[kind]
        await asyncio.to_thread(
            subprocess.run,
            [
                *(sys.executable, "-m", "convstore", "--url", database_url),
                *("--archive-dir", str(archive_dir), "export", *names),
                *("--to", str(tmp_path / kind), "--split=train=0.8"),
                *("--split=validation=0.2", *flags),
            ],
            env={**os.environ, "PYTHONHASHSEED": "2", "TZ": "America/St_Johns"},
            check=True,
            capture_output=True,
        )

        assert tree(tmp_path / kind) == expected(tmp_path / f"{kind} here", kind)


@pytest.mark.slow
async def test_pairs_that_come_in_go_out_as_they_were(
    filled: Store,
    new_database: Callable[[str], str],
    open_another: Callable[..., Awaitable[Store]],
    tmp_path: Path,
) -> None:
    await filled.export("preference", to=tmp_path / "first")
    other = await open_another(
        url=new_database("sqlite"), archive_dir=tmp_path / "other"
    )
    (rows,) = (tmp_path / "first" / "data").iterdir()

    report = await other.import_("preference", rows, strict=True)
    await other.export("preference", to=tmp_path / "second")

    assert report.sessions == len(read_rows(tmp_path / "first")) > 40
    assert pairs(tmp_path / "second") == pairs(tmp_path / "first")


def pairs(folder: Path) -> list[str]:
    """What a trainer reads, whatever the order of the rows."""
    columns = ("prompt", "chosen", "rejected", "tools")
    return sorted(
        repr([row.get(column) for column in columns]) for row in read_rows(folder)
    )
