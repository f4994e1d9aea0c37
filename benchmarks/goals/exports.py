"""Exports beside what writes the same rows and nothing more."""

from __future__ import annotations

import asyncio
import os
import resource
import shutil
import time
from collections.abc import Iterable, Iterator
from functools import partial
from itertools import chain, islice, repeat
from pathlib import Path
from typing import Any

from benchmarks.bench import Bench, Figures, Goal, Row, times
from benchmarks.contestants import Target
from benchmarks.judged import ROWS_A_SESSION, fill, judged_documents

FORMAT = "preference"
FEW = 10_000
MANY = 1_000_000
FLAT = 1.5
RIVALS = {
    "jsonl": ("orjson", "from_generator"),
    "parquet": ("pyarrow", "from_generator"),
}
AT_LEAST = {"jsonl": (1, 1.6), "parquet": (0.7, 1.2)}
"""Of `Dataset.from_generator`: in one process, and with two workers on two cores."""
WORKERS = 2
"""As many as the machine has cores: the process that asks has little to do."""
_WAYS = {
    "whole": "the whole path in one process",
    "helped": f"the whole path with {WORKERS} workers",
    "writing": "writing alone",
}
_GROUP_ROWS = 2_000


async def filled(target: list[Any], rows: int) -> Figures:
    """A database with sessions for so many rows."""
    started = time.perf_counter()
    await asyncio.to_thread(fill, Target(*target).url, rows // ROWS_A_SESSION)
    return {"seconds": round(time.perf_counter() - started)}


async def whole(
    target: list[Any], to: str, file_type: str, workers: int = 0
) -> Figures:
    """Rows a second from the database to the published folder."""
    from convstore import open_store

    async with open_store(Target(*target).url) as store:
        started = time.perf_counter()
        report = await store.export(FORMAT, to=to, file_type=file_type, workers=workers)
        return _figures(report.rows, time.perf_counter() - started)


async def writing(rows: int, to: str, file_type: str) -> Figures:
    """Rows a second of `_write`, which says what is measured."""
    return await asyncio.to_thread(_write, rows, Path(to), file_type)


def _write(rows: int, root: Path, file_type: str) -> Figures:
    """From canonical rows on: told in the format, spooled, settled, sorted, written.

    The documents are made, and the rules run, while the watch is stopped.
    """
    from convstore.export.formats import FORMATS
    from convstore.export.options import ExportOptions
    from convstore.export.stages.job import Export

    fmt = FORMATS[FORMAT]
    root.mkdir()
    options = ExportOptions(file_type=file_type)  # type: ignore[arg-type]
    export = Export([fmt], root, root, options, None)
    export.open()
    taken = 0.0
    documents = judged_documents(rows // ROWS_A_SESSION)
    while batch := list(islice(documents, 500)):
        found = [c for d in batch for c in export.gatherer.candidates(d)]
        started = time.perf_counter()
        for candidate in found:
            for made in export.gatherer.made(*candidate):
                export.keep(export.gatherer.pack(made))
        taken += time.perf_counter() - started
    started = time.perf_counter()
    report = export.write({fmt.name: None})
    return _figures(report.rows, taken + time.perf_counter() - started)


async def rival(name: str, sample: str, to: str, rows: int) -> Figures:
    """Rows a second of another writer.

    It is given rows that an export wrote: as many as there are, again and again.
    """
    return await asyncio.to_thread(_rival, name, Path(sample), Path(to), rows)


def _rival(name: str, sample: Path, to: Path, rows: int) -> Figures:
    import orjson

    lines = chain.from_iterable(
        path.read_bytes().splitlines() for path in sorted(sample.glob("*.jsonl"))
    )
    known = [orjson.loads(line) for line in lines]
    given = islice(chain.from_iterable(repeat(known)), rows)
    started = time.perf_counter()
    _WRITERS[name](given, to)
    return _figures(rows, time.perf_counter() - started)


def _with_orjson(rows: Iterator[Any], to: Path) -> None:
    import orjson

    with to.open("wb") as file:
        for row in rows:
            file.write(orjson.dumps(row, option=orjson.OPT_APPEND_NEWLINE))
        _make_durable(file)


def _with_pyarrow(rows: Iterator[Any], to: Path) -> None:
    """`ParquetWriter` over `arrow.json` messages, the faster of its ways."""
    import orjson
    import pyarrow as pa
    import pyarrow.parquet as pq

    schema = _schema(pa)
    columns = ("prompt", "chosen", "rejected")
    with to.open("wb") as file:
        with pq.ParquetWriter(file, schema, compression="zstd") as writer:
            while batch := list(islice(rows, _GROUP_ROWS)):
                arrays = [
                    _messages(pa, [[orjson.dumps(m) for m in r[c]] for r in batch])
                    for c in columns
                ]
                tools = _messages(pa, [None for _ in batch])
                told = pa.array([r["convstore"] for r in batch], schema.field(4).type)
                table = pa.record_batch([*arrays, tools, told], schema=schema)
                writer.write_batch(table, row_group_size=_GROUP_ROWS)
        _make_durable(file)


def _messages(pa: Any, rows: list[Any]) -> Any:
    texts = pa.array(rows, pa.list_(pa.string()))
    items = pa.ExtensionArray.from_storage(pa.json_(), texts.values)
    mask = texts.is_null() if texts.null_count else None
    kind = pa.list_(pa.json_())
    return pa.ListArray.from_arrays(texts.offsets, items, type=kind, mask=mask)


def _schema(pa: Any) -> Any:
    from convstore.export.formats.base import PROVENANCE_COLUMNS

    kinds = {
        "string": pa.string(),
        "strings": pa.list_(pa.string()),
        "int64": pa.int64(),
        "float64": pa.float64(),
        "counts": pa.list_(pa.struct([("kind", pa.string()), ("count", pa.int64())])),
    }
    told = pa.struct([(c.name, kinds[c.type]) for c in PROVENANCE_COLUMNS])
    names = ("prompt", "chosen", "rejected", "tools")
    return pa.schema([*((n, pa.list_(pa.json_())) for n in names), ("convstore", told)])


def _with_from_generator(rows: Iterator[Any], to: Path) -> None:
    """As its users write it: a generator, and what `datasets` makes of it."""
    from datasets import Dataset, disable_progress_bars

    disable_progress_bars()
    cache = to.with_suffix(".cache")
    data = Dataset.from_generator(_Rows(rows), cache_dir=str(cache), split="train")
    if ".jsonl" in to.suffixes:
        data.to_json(str(to))
    else:
        data.to_parquet(str(to))


class _Rows:
    """A generator function that gives its name for the rows it holds.

    A closure over them would be pickled, to name the cache by its content.
    """

    def __init__(self, rows: Iterator[Any]) -> None:
        self._rows = rows

    def __call__(self) -> Iterator[Any]:
        return self._rows

    def __reduce__(self) -> tuple[type[str], tuple[str]]:
        return str, ("rows",)


def _make_durable(file: Any) -> None:
    """As the export does with each of its files."""
    file.flush()
    os.fsync(file.fileno())


_WRITERS = {
    "orjson": _with_orjson,
    "pyarrow": _with_pyarrow,
    "from_generator": _with_from_generator,
}


def _figures(rows: int, seconds: float) -> Figures:
    own, others = (
        resource.getrusage(who).ru_maxrss // 1024
        for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    )
    figures = {"rows": rows, "per_s": round(rows / seconds), "peak_mb": own}
    return figures | ({"workers_peak_mb": others} if others else {})


def measure(bench: Bench) -> Iterable[Row]:
    """Both file types, at a size that takes seconds."""
    few = bench.scaled(FEW, 2_000)
    target, sample = _database(bench, few), bench.folder / "sample"
    _whole(bench, target, sample, "jsonl")
    for file_type in RIVALS:
        figures = _measured(bench, target, few, file_type, sample / "data")
        yield from _compared(figures, few, file_type)


def measure_many(bench: Bench, file_type: str) -> Iterable[Row]:
    """One file type at a size that takes minutes; and what memory both sizes took."""
    few, many = bench.scaled(FEW, 2_000), bench.scaled(MANY, 4_000)
    target, sample = _database(bench, few), bench.folder / "sample"
    _whole(bench, target, sample, "jsonl")
    first = _whole(bench, target, bench.folder / "few", file_type)["peak_mb"]
    target = _database(bench, many)
    figures = _measured(bench, target, many, file_type, sample / "data")
    Path(target[0]).unlink()
    yield from _compared(figures, many, file_type)
    yield _flat(file_type, first, figures["whole"]["peak_mb"], many)


def _database(bench: Bench, rows: int) -> list[Any]:
    target = [str(bench.folder / f"exports-{rows}.db"), None]
    bench.run(f"{__name__}:filled", target=target, rows=rows)
    return target


def _measured(
    bench: Bench, target: list[Any], rows: int, file_type: str, sample: Path
) -> dict[str, Figures]:
    """The best of a few rounds of each; of one where a round takes minutes."""
    best: dict[str, Figures] = {}
    for turn in range(bench.scaled(3, 1) if rows <= FEW else 1):
        for name in (*_WAYS, *RIVALS[file_type]):
            to = bench.folder / f"{rows}-{name}-{turn}.{file_type}"
            if name in ("whole", "helped"):
                helpers = WORKERS if name == "helped" else 0
                figures = _whole(bench, target, to, file_type, helpers)
            elif name == "writing":
                figures = bench.run(
                    f"{__name__}:writing", rows=rows, to=str(to), file_type=file_type
                )
            else:
                figures = bench.run(
                    f"{__name__}:rival",
                    name=name, sample=str(sample), to=str(to), rows=rows,
                )  # fmt: skip
            _remove(bench.folder, to.name)
            if figures.get("per_s", 0) > best.get(name, {"per_s": 0})["per_s"]:
                best[name] = figures
    return best


def _whole(
    bench: Bench, target: list[Any], to: Path, file_type: str, workers: int = 0
) -> Figures:
    return bench.run(
        f"{__name__}:whole",
        target=target, to=str(to), file_type=file_type, workers=workers,
    )  # fmt: skip


def _remove(folder: Path, name: str) -> None:
    for path in folder.glob(f"{name}*"):
        shutil.rmtree(path) if path.is_dir() else path.unlink()


def _compared(figures: dict[str, Figures], rows: int, file_type: str) -> Iterable[Row]:
    for rival_name in RIVALS[file_type]:
        for what, words in _WAYS.items():
            least = _least(rival_name, file_type, what)
            ours, theirs = figures[what], figures.get(rival_name, {"per_s": 0})
            ratio = times(ours["per_s"], theirs["per_s"])
            peak = f"; peak {ours['peak_mb']:,} MB against {theirs.get('peak_mb', 0):,}"
            yield Row(
                f"export of {rows:,} rows to {file_type}, {words}, beside {rival_name}",
                "SQLite",
                f"{least:g} x" if least else "told, no goal",
                f"{ratio} x ({ours['per_s']:,} against {theirs['per_s']:,} rows/s"
                f"{peak})",
                ratio >= least,
                {what: ours, rival_name: theirs},
            )


def _least(rival_name: str, file_type: str, what: str) -> float:
    """The goal; 0 where the rival does so much less that there is none."""
    if rival_name != "from_generator" or what == "writing":
        return 0
    return AT_LEAST[file_type][what == "helped"]


def _flat(file_type: str, first: int, last: int, rows: int) -> Row:
    ratio = times(last, first)
    return Row(
        f"peak memory of an export of {rows:,} rows to {file_type}, beside {FEW:,}",
        "SQLite",
        f"under {FLAT} x",
        f"{ratio} x ({last:,} MB against {first:,} MB)",
        ratio < FLAT,
        {"few_mb": first, "many_mb": last},
    )


GOAL = Goal("exports", measure)
GOALS_MANY = tuple(
    Goal(f"exports_million_{file_type}", partial(measure_many, file_type=file_type))
    for file_type in RIVALS
)
