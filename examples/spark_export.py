"""`convstore export` on Spark: the same bytes, made by as many tasks as there are.

    python -m examples.spark_export kto preference --to out

Live sessions are read as of one moment (PostgreSQL), beside archived ones. Workers need
the database, the archive and the folder of the export under the same names.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from functools import partial
from typing import Any

from pyspark import RDD, SparkContext, StorageLevel

from convstore import export
from examples.engines import Asked, asked


def main() -> None:
    """Export what the command line asks for."""
    wanted = asked("spark_export")
    context = SparkContext(f"local[{wanted.tasks}]", "convstore export")
    context.setLogLevel("ERROR")
    try:
        report = exported(context, wanted)
    finally:
        context.stop()
    for each in report.formats:
        told = f"{each.format}: {each.rows} rows, {each.path}\n"
        sys.stdout.write(told)


def exported(context: SparkContext, wanted: Asked) -> export.ExportReport:
    """Plan here, make and write rows there, settle and publish here."""
    formats, options = wanted.formats, wanted.options
    with export.hold_snapshot(wanted.config) as snapshot:
        splits = export.plan(database=wanted.config, snapshot=snapshot, options=options)
        make = partial(export.rows, formats=formats, options=options)
        made = context.parallelize(splits, len(splits) or 1).map(make)
        # Read once: what is lost must not be read again as of another moment.
        made = made.persist(StorageLevel.DISK_ONLY)
        counts = made.map(lambda rows: rows.counts).collect()
    settlements, written = [], []
    for name in formats:
        entries = made.flatMap(lambda rows, name=name: list(rows.entries(name)))
        settlement = export.settle(entries.toLocalIterator(), name, options)
        settlements.append(settlement)
        written += parts_of(made, settlement, wanted).collect()
    return export.finish(
        written, counts, settlements=settlements, to=wanted.to, options=options
    )


def parts_of(made: RDD[Any], settlement: export.Settlement, wanted: Asked) -> RDD[Any]:
    """Each row to the task that writes its part, in order of row id."""
    name, routing = settlement.format, settlement.routing
    parts, to, options = settlement.parts, wanted.to, wanted.options

    def dealt(rows: export.Rows) -> Iterator[tuple[tuple[int, bytes], Any]]:
        for row in rows.of(name):
            part = routing.part_of(row)
            if part is not None:
                yield (part, row.row_id), row

    def write(number: int, rows: Iterator[tuple[Any, Any]]) -> Iterator[Any]:
        in_order = (row for _, row in rows)
        yield export.write_part(in_order, parts[number], to=to, options=options)

    return (
        made.flatMap(dealt)
        .repartitionAndSortWithinPartitions(len(parts), lambda key: key[0])
        .mapPartitionsWithIndex(write)
    )


if __name__ == "__main__":
    main()
