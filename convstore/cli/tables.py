"""`convstore archive tables`: the archive as Parquet, for analysts."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from convstore.cli.context import AsJson, Quiet, globals_of, with_store
from convstore.cli.exits import FOUND
from convstore.cli.output import count, print_facts, print_json, progress, say

if TYPE_CHECKING:
    from convstore.store.facade import Store
    from convstore.vocabulary.reports import TablesReport


def tables(
    context: typer.Context,
    to: Annotated[Path, typer.Option(help="Folder of the tables.")],
    quiet: Quiet = False,
    as_json: AsJson = False,
) -> int:
    """Write sessions, turns and interactions of the archive as Parquet.

    Again, it writes what is new and removes what was restored, deleted or erased. Of
    every tenant, unless --tenant names one. Exit code 1: damaged sessions are left out.
    """

    async def work(store: Store) -> TablesReport:
        with progress("tables", quiet=quiet) as bar:
            return await store.archive.tables(
                to, tenant_id=globals_of(context).tenant, on_progress=bar.told
            )

    report = with_store(context, work)
    if as_json:
        print_json(report)
    else:
        print_facts(
            (
                ("segments written", report.segments_written),
                ("as they were", report.segments_kept or None),
                ("removed", report.segments_removed or None),
                ("sessions", report.sessions),
                ("turns", report.turns),
                ("interactions", report.interactions),
            )
        )
        for fault in report.faults:
            who = f" {fault.tenant_id}/{fault.session_id}" if fault.session_id else ""
            say(f"left out: segment {fault.segment_id}{who}: {fault.problem}")
        if report.faults:
            say(f"{count(len(report.faults), 'fault')}: see `convstore archive verify`")
    return FOUND if report.faults else 0
