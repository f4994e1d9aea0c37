"""`convstore export`: data sets out."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from convstore.cli.context import AsJson, Quiet, with_store
from convstore.cli.export_options import (
    Balance,
    Content,
    Layout,
    Making,
    Selection,
)
from convstore.cli.groups import grouped
from convstore.cli.output import (
    Bar,
    count,
    fact,
    json_text,
    print_json,
    print_table,
    progress,
    say,
    size,
    warn,
)
from convstore.cli.values import bad_option
from convstore.vocabulary.progress import OnProgress, Progress

if TYPE_CHECKING:
    from convstore import Store
    from convstore.vocabulary.agreement import RaterAgreement


@grouped
def export(
    context: typer.Context,
    formats: Annotated[
        list[str],
        typer.Argument(
            metavar="FORMAT...",
            help="messages, prompt-completion, preference, reward, kto, prompt, "
            "stepwise, openai-sft, openai-dpo, sharegpt, sharegpt-dpo, sharegpt-kto, "
            "axolotl-dpo, oasst, rlhf-json, convstore.",
        ),
    ],
    to: Annotated[Path, typer.Option(help="A folder that is new or empty.")],
    layout: Layout,
    selection: Selection,
    balance: Balance,
    content: Content,
    making: Making,
    progress_json: Annotated[
        bool,
        typer.Option(
            "--progress-json", help="Progress as JSON lines on the error stream."
        ),
    ] = False,
    quiet: Quiet = False,
    as_json: AsJson = False,
) -> None:
    """Write data sets from live and archived sessions. Changes nothing in the store.

    One format goes to the folder itself, several each to a folder of its name in it.
    Killed, the same command goes on where it stopped.
    """
    options: dict[str, Any] = {}
    for group in (layout, selection, balance, content, making):
        options |= group.options()
    names = [name for given in formats for name in given.split(",")]
    if str(to) == "-":
        raise bad_option("--to", "an export is a folder: it cannot go to the output")
    with progress("reading", quiet=quiet or progress_json) as bar:
        tell = _lines if progress_json else None
        report = with_store(
            context, lambda store: _run(store, names, to, options, bar, tell)
        )
    _tell(report, as_json)


_STATES = {
    "both": ("active", "archived"),
    "live": ("active",),
    "archive": ("archived",),
}


async def _run(
    store: Store,
    formats: list[str],
    to: Path,
    options: dict[str, Any],
    bar: Bar,
    lines: OnProgress | None,
) -> Any:
    sessions = None
    if bar.shown:
        # Only for people. New ones are not in it.
        states = (await store.stats()).sessions
        wanted = _STATES[options["filters"]["source"]]
        sessions = sum(states.get(state, 0) for state in wanted)

    def tell(told: Progress) -> None:
        made, dropped = told.counts["rows"], told.counts["dropped"]
        rows, counted = f"{count(made, 'row')}, {dropped} left out", (made, "rows")
        if told.phase == "gather":
            text = f"reading: {count(told.done, 'session')}, {rows}"
            bar.at(told.done, sessions, text, counted=counted)
        else:
            bar.at(told.done, told.total, f"writing: {rows}", counted=counted)

    return await store.export(formats, to=to, on_progress=lines or tell, **options)


def _lines(told: Progress) -> None:
    warn(json_text(told))


_HINTS = {
    "calls-without-definitions": "tools were called that nobody defined: with "
    "--infer-tools definitions are made from the calls",
}
"""What may be done about reasons for which rows were left out."""


def _agreed(found: RaterAgreement) -> str:
    """How far raters agree, in one line."""
    figures = {"equal": found.percent, "alpha": found.alpha, "kappa": found.kappa}
    told = [f"{name} {n:.2f}" for name, n in figures.items() if n is not None]
    return f"{found.units} judged by two or more: {', '.join(told)}"


def _tell(report: Any, as_json: bool) -> None:
    if as_json:
        told = asdict(report) | {"to": str(report.to)}
        print_json(
            told | {"formats": [f | {"path": str(f["path"])} for f in told["formats"]]}
        )
        return
    if report.dry_run:
        say("dry run: nothing was written")
    print_table(
        ("format", "rows", "size", "splits", "left out", "folder"),
        (
            (f.format, f.rows, size(f.size_bytes), fact(f.splits), fact(f.dropped),
             f.path)
            for f in report.formats
        ),
    )  # fmt: skip
    for fmt in report.formats:
        for warning in fmt.warnings:
            say(f"{fmt.format}: {warning}")
        if fmt.not_understood:
            say(f"{fmt.format}: feedback not understood: {fact(fmt.not_understood)}")
        if fmt.agreement.units:
            say(f"{fmt.format}: {_agreed(fmt.agreement)}")
        for reason in fmt.dropped.keys() & _HINTS.keys():
            say(f"{fmt.format}: {reason}: {_HINTS[reason]}")
