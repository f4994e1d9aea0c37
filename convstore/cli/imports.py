"""`convstore import`: conversations in, from files of many formats."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from convstore.cli.context import AsJson, Quiet, config_of, with_store
from convstore.cli.exits import FOUND
from convstore.cli.output import Bar, count, print_facts, print_json, progress, say
from convstore.cli.values import bad_option
from convstore.vocabulary.progress import Progress

if TYPE_CHECKING:
    from convstore.store.facade import Store

REPORTS = "convstore-imports"
"""Folder in the home for reports of imports that left records out."""


def import_(
    context: typer.Context,
    format_: Annotated[
        str,
        typer.Argument(
            metavar="FORMAT",
            help="`auto` tells it by what the source looks like. Tools: chatgpt, "
            "claude-ai, open-webui, librechat, langchain, langgraph, openai-agents, "
            "google-adk, agno, pydantic-ai, uimessage, claude-code, codex, llm, "
            "chainlit, sillytavern, langfuse, langsmith, phoenix, label-studio, "
            "argilla, rasa, discord, slack. Data sets: arena, ultrafeedback, wildchat, "
            "convstore, messages, sharegpt, preference, kto, alpaca, oasst, "
            "session-json; `map` with --map.",
        ),
    ],
    files: Annotated[
        list[Path],
        typer.Argument(
            metavar="FILE...",
            help="JSONL or JSON, plain, gzip or zstd; a folder or zip of such files; "
            "a SQLite file; `-` is standard input.",
        ),
    ],
    strict: Annotated[
        bool, typer.Option("--strict", help="Stop at the first bad record.")
    ] = False,
    replace_invalid: Annotated[
        bool,
        typer.Option(
            "--replace-invalid",
            help="Replace NUL and lone surrogates, which refuse a record, by U+FFFD.",
        ),
    ] = False,
    mapping: Annotated[
        Path | None, typer.Option("--map", help="TOML file: where the fields are.")
    ] = None,
    report: Annotated[
        Path | None,
        typer.Option(help="Folder for report.json and rejected.jsonl of each file."),
    ] = None,
    quiet: Quiet = False,
    as_json: AsJson = False,
) -> int:
    """Take in conversations. Run again, it adds nothing twice.

    A bad record is set aside and reported, and stops nothing. Without --report, a
    report is kept in HOME/convstore-imports when there was one. Exit code 1: some were.
    """
    from convstore.store.importing import recognise

    for file in files:
        # Before the first one is imported, and not after it.
        if str(file) != "-" and not file.exists():
            raise bad_option("FILE", f"{file} does not exist")
        # Nor is a database made for what nobody can read.
        recognise(format_, source_of(file), mapping)
    how = (format_, strict, mapping, replace_invalid)
    with progress("importing", quiet=quiet) as bar:
        reports = with_store(
            context,
            lambda store: _import(store, context, how, files, report, bar),
            create=True,
        )
    total = _sum(reports)
    if as_json:
        print_json(total | {"files": reports})
    else:
        print_facts((name.replace("_", " "), value) for name, value in total.items())
        for told in reports:
            if format_ == "auto":
                say(f"{told['file']}: read as {told['format']}: {told['why']}")
            for reason in told["reasons"]:
                say(f"{told['file']}: {reason}")
            for path in told["absent"]:
                say(f"{told['file']}: no record has `{path}`, which the mapping names")
            if told["rejected"]:
                say(f"see {told['report']}")
            if told["records"] == sum(told["rejected"].values()) > 0:
                say(f"no record of it is {told['format']}: `auto` looks for a format")
    return FOUND if total["rejected"] else 0


def source_of(file: Path) -> str | Path:
    """What the store is told of a FILE: `-` is no path."""
    return "-" if str(file) == "-" else file


async def _import(
    store: Store,
    context: typer.Context,
    how: tuple[str, bool, Path | None, bool],
    files: list[Path],
    report: Path | None,
    bar: Bar,
) -> list[dict[str, Any]]:
    from convstore.vocabulary.ids import new_id

    format_, strict, mapping, replace_invalid = how
    told = []
    for place, file in enumerate(files, 1):
        folder = report or config_of(context).home / REPORTS / new_id()
        if report is not None and len(files) > 1:
            folder = report / str(place)

        def tell(so_far: Progress, name: str = file.name) -> None:
            text = f"{name}: {count(so_far.done, 'record')}"
            read, of = so_far.counts["bytes"], so_far.counts.get("total_bytes")
            bar.at(read, of, text, counted=(so_far.done, so_far.unit))

        try:
            done = await store.import_(
                format_,
                source_of(file),
                strict=strict,
                mapping=mapping,
                report_to=folder,
                replace_invalid=replace_invalid,
                on_progress=tell,
            )
        finally:
            kept = report is not None or _has_something(folder)
        where = str(folder) if kept else None
        counts = {f.name: getattr(done, f.name) for f in fields(done)}
        told.append({"file": str(file), **counts, "report": where})
    return told


def _has_something(folder: Path) -> bool:
    """Whether the report of an import tells of rejected records; removed if not."""
    if (folder / "rejected.jsonl").exists():
        return True
    (folder / "report.json").unlink(missing_ok=True)
    for empty in (folder, folder.parent):
        with suppress(OSError):
            empty.rmdir()
    return False


def _sum(reports: list[dict[str, Any]]) -> dict[str, Any]:
    """The totals over all files."""
    total: dict[str, Any] = {}
    for told in reports:
        for name, value in told.items():
            if isinstance(value, Mapping):
                total[name] = dict(Counter(total.get(name, {})) + Counter(value))
            elif isinstance(value, int):
                total[name] = total.get(name, 0) + value
    return total
