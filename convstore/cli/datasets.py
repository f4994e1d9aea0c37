"""`convstore import` and `convstore export`: data sets in and out."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, fields
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from convstore.cli.context import AsJson, config_of, with_store
from convstore.cli.exits import FOUND
from convstore.cli.output import (
    fact,
    print_facts,
    print_json,
    print_table,
    progress,
    say,
    size,
)
from convstore.cli.values import moment, share

if TYPE_CHECKING:
    from convstore.store import Store

REPORTS = "convstore-imports"
"""Folder in the home for reports of imports that left records out."""


def import_(
    context: typer.Context,
    format_: Annotated[
        str,
        typer.Argument(
            metavar="FORMAT",
            help="convstore, messages, sharegpt, preference, kto, alpaca, oasst, "
            "session-json; `map` with --map; `auto` tells it by the first record.",
        ),
    ],
    files: Annotated[
        list[Path],
        typer.Argument(
            metavar="FILE...",
            help="JSONL or JSON, plain, gzip or zstd; `-` is standard input.",
        ),
    ],
    strict: Annotated[
        bool, typer.Option("--strict", help="Stop at the first bad record.")
    ] = False,
    mapping: Annotated[
        Path | None, typer.Option("--map", help="TOML file: where the fields are.")
    ] = None,
    report: Annotated[
        Path | None,
        typer.Option(help="Folder for report.json and rejected.jsonl of each file."),
    ] = None,
    as_json: AsJson = False,
) -> int:
    """Take in conversations. Run again, it adds nothing twice.

    A bad record is set aside and reported, and stops nothing. Without --report, a
    report is kept in HOME/convstore-imports when there was one. Exit code 1: some were.
    """
    how = (format_, strict, mapping)
    reports = with_store(
        context,
        lambda store: _import(store, context, how, files, report),
        create=True,
    )
    total = _sum(reports)
    if as_json:
        print_json(total | {"files": reports})
    else:
        print_facts((name.replace("_", " "), value) for name, value in total.items())
        for told in reports:
            if told["rejected"]:
                say(f"see {told['report']}")
    return FOUND if total["rejected"] else 0


async def _import(
    store: Store,
    context: typer.Context,
    how: tuple[str, bool, Path | None],
    files: list[Path],
    report: Path | None,
) -> list[dict[str, Any]]:
    from convstore.ids import new_id

    format_, strict, mapping = how
    told = []
    with progress("importing") as bar:
        for place, file in enumerate(files, 1):
            folder = report or config_of(context).home / REPORTS / new_id()
            if report is not None and len(files) > 1:
                folder = report / str(place)
            try:
                done = await store.import_(
                    format_,
                    str(file) if str(file) == "-" else file,
                    strict=strict,
                    mapping=mapping,
                    report_to=folder,
                    on_progress=lambda r, f=file: bar.at(  # type: ignore[misc]
                        r.records, None, f"{f.name}: {r.records} records"
                    ),
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


def export(
    context: typer.Context,
    formats: Annotated[
        list[str],
        typer.Argument(
            metavar="FORMAT...",
            help="messages, prompt-completion, preference, reward, kto, prompt, "
            "stepwise, openai-sft, openai-dpo, sharegpt, …, rlhf-json, convstore.",
        ),
    ],
    to: Annotated[Path, typer.Option(help="A folder that is new or empty.")],
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Report, and write nothing.")
    ] = False,
    parquet: Annotated[
        bool, typer.Option("--parquet", help="Parquet in place of JSONL.")
    ] = False,
    profile: Annotated[str, typer.Option(help="json, or text.")] = "json",
    branches: Annotated[str, typer.Option(help="head, or all.")] = "head",
    rules: Annotated[str | None, typer.Option(help="Such as R1,R2,prompt.")] = None,
    split: Annotated[
        list[str] | None, typer.Option(help="Such as train=0.9; once for each.")
    ] = None,
    split_salt: Annotated[str, typer.Option(help="Deals the sessions anew.")] = "",
    since: Annotated[
        Path | None, typer.Option(help="A former export: only what is new since.")
    ] = None,
    max_drop_rate: Annotated[
        float, typer.Option(help="Largest share of faulty rows.")
    ] = 1.0,
    min_gap: Annotated[
        float, typer.Option(help="Least difference of rated answers.")
    ] = 1.0,
    max_per_session: Annotated[
        int | None, typer.Option(help="Rows that one session may give.")
    ] = None,
    max_per_prompt: Annotated[
        int | None, typer.Option(help="Rows that one prompt may give.")
    ] = None,
    user: Annotated[list[str] | None, typer.Option(help="Only this user.")] = None,
    language: Annotated[list[str] | None, typer.Option(help="Only this one.")] = None,
    tag: Annotated[list[str] | None, typer.Option(help="With this tag.")] = None,
    consent: Annotated[
        str | None, typer.Option(help="Purpose that consent must be given for.")
    ] = None,
    active_since: Annotated[
        str | None, typer.Option(help="Sessions active at or after this time.")
    ] = None,
    active_until: Annotated[
        str | None, typer.Option(help="Sessions active before this time.")
    ] = None,
    redact: Annotated[str | None, typer.Option(help="regex, or presidio.")] = None,
    tokenizer: Annotated[
        Path | None, typer.Option(help="tokenizer.json to count tokens with.")
    ] = None,
    near_duplicates: Annotated[
        float | None, typer.Option(help="Similarity, such as 0.8, that counts as one.")
    ] = None,
    infer_tools: Annotated[
        bool, typer.Option("--infer-tools", help="Where definitions were not stored.")
    ] = False,
    detect_language: Annotated[
        bool, typer.Option("--detect-language", help="Where none is stored.")
    ] = False,
    license_: Annotated[
        str, typer.Option("--license", help="Licence id for the card.")
    ] = "other",
    title: Annotated[str | None, typer.Option(help="Heading of the card.")] = None,
    as_json: AsJson = False,
) -> None:
    """Write data sets from live and archived sessions. Changes nothing in the store.

    One format goes to the folder itself, several each to a folder of its name in it.
    Killed, the same command goes on where it stopped.
    """
    _choose("profile", profile, "json", "text")
    _choose("branches", branches, "head", "all")
    options: dict[str, Any] = {
        "dry_run": dry_run,
        "file_type": "parquet" if parquet else "jsonl",
        "profile": profile,
        "branches": branches,
        "split_salt": split_salt,
        "since": since,
        "max_drop_rate": max_drop_rate,
        "redact": redact,
        "tokenizer": tokenizer,
        "near_duplicates": near_duplicates,
        "undefined_tools": "infer" if infer_tools else "drop",
        "detect_language": detect_language,
        "license": license_,
        "filters": {
            "users": tuple(user or ()),
            "languages": tuple(language or ()),
            "tags": tuple(tag or ()),
            "consent": consent,
            "since": None if active_since is None else moment(active_since),
            "until": None if active_until is None else moment(active_until),
        },
        "caps": {"per_session": max_per_session, "per_prompt": max_per_prompt},
        "judging": {"min_gap": min_gap},
    }
    if title is not None:
        options["title"] = title
    if split:
        options["splits"] = dict(share(text) for text in split)
    if rules is not None:
        options["rules"] = tuple(rules.split(","))
    _export(context, [n for f in formats for n in f.split(",")], to, options, as_json)


def _choose(option: str, value: str, *allowed: str) -> None:
    if value not in allowed:
        raise typer.BadParameter(f"--{option}: one of {', '.join(allowed)}")


def _export(
    context: typer.Context,
    formats: list[str],
    to: Path,
    options: dict[str, Any],
    as_json: bool,
) -> None:
    with progress("reading") as bar:
        report = with_store(
            context,
            lambda store: store.export(
                formats,
                to=to,
                on_progress=lambda p: bar.at(
                    p.rows, p.total, f"{p.phase}: {p.documents} sessions, {p.rows} rows"
                ),
                **options,
            ),
        )
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
