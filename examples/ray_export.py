"""`convstore export` on Ray: the same bytes, made by as many tasks as there are.

    python -m examples.ray_export kto preference --to out

Live sessions are read as of one moment (PostgreSQL), beside archived ones. Workers need
the database, the archive and the folder of the export under the same names.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any

import ray

from convstore import export
from examples.engines import Asked, asked


def main() -> None:
    """Export what the command line asks for."""
    wanted = asked("ray_export")
    ray.init(num_cpus=wanted.tasks, include_dashboard=False, log_to_driver=False)
    try:
        report = exported(wanted)
    finally:
        ray.shutdown()
    for each in report.formats:
        told = f"{each.format}: {each.rows} rows, {each.path}\n"
        sys.stdout.write(told)


def exported(wanted: Asked) -> export.ExportReport:
    """Plan here, make and write rows there, settle and publish here."""
    formats, options = wanted.formats, wanted.options
    with export.hold_snapshot(wanted.config) as snapshot:
        splits = export.plan(database=wanted.config, snapshot=snapshot, options=options)
        told = ray.put(options)
        made = [rows_of.remote(split, formats, told) for split in splits]
        counts = ray.get([counts_of.remote(rows) for rows in made])
    settlements, written = [], []
    for name in formats:
        entries = (
            entry for rows in made for entry in ray.get(entries_of.remote(rows, name))
        )
        settlement = export.settle(entries, name, options)
        settlements.append(settlement)
        written += ray.get(parts_of(made, settlement, wanted))
    return export.finish(
        written, counts, settlements=settlements, to=wanted.to, options=options
    )


def parts_of(
    made: Sequence[Any], settlement: export.Settlement, wanted: Asked
) -> list[Any]:
    """Each row to the task that writes its part."""
    parts, routing = settlement.parts, ray.put(settlement.routing)
    deal = dealt.options(num_returns=len(parts))
    piles = [deal.remote(rows, settlement.format, routing, len(parts)) for rows in made]
    if len(parts) == 1:
        piles = [[pile] for pile in piles]
    return [
        write.remote(part, wanted.to, wanted.options, *(pile[number] for pile in piles))
        for number, part in enumerate(parts)
    ]


@ray.remote
def rows_of(split: Any, formats: list[str], options: Any) -> export.Rows:
    """The rows of a split, packed."""
    return export.rows(split, formats, options)


@ray.remote
def counts_of(rows: export.Rows) -> export.Counts:
    """What is small of them."""
    return rows.counts


@ray.remote
def entries_of(rows: export.Rows, name: str) -> list[Any]:
    """What has to be known of them to settle."""
    return list(rows.entries(name))


@ray.remote
def dealt(rows: export.Rows, name: str, routing: export.Routing, count: int) -> Any:
    """The rows of a split, by the part that they go to."""
    piles: list[list[Any]] = [[] for _ in range(count)]
    for row in rows.of(name):
        part = routing.part_of(row)
        if part is not None:
            piles[part].append(row)
    return piles if count > 1 else piles[0]


@ray.remote
def write(part: export.Part, to: Any, options: Any, *piles: list[Any]) -> Any:
    """One file, from what all splits have for it."""
    rows = sorted((row for pile in piles for row in pile), key=lambda row: row.row_id)
    return export.write_part(rows, part, to=to, options=options)


if __name__ == "__main__":
    main()
