"""The stages of an export, carried out one by one and anywhere: the same bytes."""

from __future__ import annotations

import asyncio
import pickle
import random
from pathlib import Path
from typing import Any

import pytest

from convstore import ManualClock, Store, export
from convstore.export.options import Caps, ExportOptions
from convstore.export.stages.planning import held_snapshot
from convstore.vocabulary.documents import encode_document
from tests.summary import needs
from tests.unit.export.histories import histories
from tests.unit.export.samples import tree

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


@pytest.fixture
async def filled(store: Store, clock: ManualClock, tmp_path: Path) -> Store:
    """A store of which some sessions are archived, in two segments, and some live."""
    clock.advance(172_800)
    found = histories(90)
    for number, some in enumerate((found[:40], found[40:70], found[70:])):
        source = tmp_path / f"sessions-{number}.jsonl"
        source.write_bytes(b"".join(encode_document(d) + b"\n" for d in some))
        await store.import_("convstore", source, strict=True)
        if number < 2:
            await store.run_retention(older_than_s=0)
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
