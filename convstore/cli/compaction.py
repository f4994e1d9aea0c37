"""`convstore archive compact`: join small segments to larger ones."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from convstore.cli.context import AsJson, globals_of, with_store
from convstore.cli.output import count, print_facts, print_json, progress, say, size
from convstore.cli.values import duration_s

if TYPE_CHECKING:
    from convstore.store.facade import Store
    from convstore.vocabulary.reports import CompactionReport


def compact(
    context: typer.Context,
    segment_bytes: Annotated[
        int | None,
        typer.Option(min=1, help="Up to so many bytes; the setting's if left out."),
    ] = None,
    time_budget: Annotated[
        str | None, typer.Option(help="Begin no segment after so long, such as 10m.")
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Count; change nothing.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Join small segments of a month to larger ones.

    Of every tenant, unless --tenant names one. Each new one is read back before the old
    ones go, and everything else goes on beside it. May be run again at any time.
    """
    budget_s = None if time_budget is None else duration_s("--time-budget", time_budget)

    async def work(store: Store) -> CompactionReport:
        with progress("joining") as bar:
            return await store.archive.compact(
                tenant_id=globals_of(context).tenant,
                segment_bytes=segment_bytes,
                time_budget_s=budget_s,
                dry_run=dry_run,
                on_progress=bar.told,
            )

    report = with_store(context, work)
    if as_json:
        print_json(report)
    elif report.skipped:
        say(report.skipped)
    else:
        _tell(report)


def _tell(report: CompactionReport) -> None:
    if not (report.joined or report.left or report.resumed):
        say("no segments are worth joining")
        return
    done = "would be joined" if report.dry_run else "joined"
    print_facts(
        (
            (done, count(report.joined, "segment")),
            ("to", count(report.made, "segment")),
            ("of an earlier compaction", report.resumed or None),
            ("sessions", report.sessions),
            ("superseded copies left out", report.dropped or None),
            ("bytes before", size(report.bytes_before)),
            ("bytes after", None if report.dry_run else size(report.bytes_after)),
            ("left as they are", report.left),
            ("unfinished", None if report.finished else "yes: run again"),
        )
    )
