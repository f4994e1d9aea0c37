"""`convstore import`: conversations in, from files of many formats."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from convstore.cli.context import (
    AsJson,
    Quiet,
    Work,
    Yes,
    config_of,
    confirm,
    database_file,
    with_store,
)
from convstore.cli.exits import FOUND
from convstore.cli.output import (
    Bar,
    clean,
    count,
    print_facts,
    print_json,
    progress,
    say,
)
from convstore.cli.signals import complete
from convstore.cli.values import bad_option
from convstore.vocabulary.progress import Progress

if TYPE_CHECKING:
    from convstore.store.facade import Store
    from convstore.vocabulary.settings import StoreConfig

UNDO = "undo"
_UNDONE = ("deleted", "changed", "held", "items", "items_left")
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
            help="JSONL, JSON or CSV, plain, gzip or zstd; Parquet; a folder or zip of "
            "such files; a SQLite file; `postgresql://…` of a tool's database; `-` is "
            "standard input.",
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
    user: Annotated[
        str | None, typer.Option(help="Whose all the sessions are.")
    ] = None,
    tag: Annotated[
        list[str] | None, typer.Option(help="For every session; may be repeated.")
    ] = None,
    suggest: Annotated[
        bool,
        typer.Option(
            "--suggest",
            help="With `map`: write a first mapping by what the file looks like.",
        ),
    ] = False,
    dry_run: Annotated[
        bool,
        typer.Option("--dry-run", help="Report what would come in; write nothing."),
    ] = False,
    report: Annotated[
        Path | None,
        typer.Option(help="Folder for report.json and rejected.jsonl of each file."),
    ] = None,
    quiet: Quiet = False,
    yes: Yes = False,
    as_json: AsJson = False,
) -> int:
    """Take in conversations. Run again, it adds nothing twice.

    `convstore import undo ID` deletes the sessions that an import made.

    A bad record is set aside and reported, and stops nothing. Without --report, a
    report is kept in HOME/convstore-imports when there was one. Exit code 1: some were.
    """
    from convstore.vocabulary.ids import new_id

    if suggest:
        return _suggest(format_, files)
    if format_ == UNDO:
        return _undo(context, [str(file) for file in files], yes, as_json)
    _check(format_, files, mapping)
    batch = new_id()
    how = {
        "strict": strict,
        "mapping": mapping,
        "replace_invalid": replace_invalid,
        "user_id": user,
        "tags": tag or [],
        "batch": batch,
        "dry_run": dry_run,
    }
    with progress("importing", quiet=quiet) as bar:

        async def work(store: Store) -> list[dict[str, Any]]:
            return await _import(store, context, format_, how, files, report, bar)

        if dry_run and _is_absent(config_of(context)):
            reports = _in_memory(work)
        else:
            reports = with_store(context, work, create=True)
    total = _sum(reports)
    told = total | {"dry_run": dry_run, "batch": batch, "files": reports}
    if as_json:
        print_json(told)
    else:
        _tell(told, total, format_)
    return FOUND if total["rejected"] else 0


def _suggest(format_: str, files: list[Path]) -> int:
    """Print a mapping to begin with; no database is opened."""
    from convstore.store.importing import suggested_mapping

    if format_ != "map" or len(files) != 1:
        raise bad_option("--suggest", "goes with the format `map` and one FILE")
    typer.echo(suggested_mapping(source_of(files[0])), nl=False)
    return 0


def _check(format_: str, files: list[Path], mapping: Path | None) -> None:
    """Refuse what cannot be read before the first one is imported, and not after it;
    nor is a database made for it."""
    from convstore.store.importing import recognise

    for file in files:
        if isinstance(source_of(file), Path) and not file.exists():
            raise bad_option("FILE", f"{file} does not exist")
        recognise(format_, source_of(file), mapping)


def _tell(told: dict[str, Any], total: dict[str, Any], format_: str) -> None:
    """Print what came of it, for people."""
    if told["dry_run"]:
        say("nothing was written; this is what would come of it")
    print_facts((name.replace("_", " "), value) for name, value in total.items())
    for file in told["files"]:
        if format_ == "auto":
            say(f"{file['file']}: read as {file['format']}: {file['why']}")
        for reason in file["reasons"]:
            say(f"{file['file']}: {reason}")
        for path in file["absent"]:
            say(f"{file['file']}: no record has `{path}`, which the mapping names")
        if file["rejected"]:
            say(f"see {file['report']}")
        if file["records"] == sum(file["rejected"].values()) > 0:
            say(f"no record of it is {file['format']}: `auto` looks for a format")
    if total["sessions"] and not told["dry_run"]:
        say(f"`convstore import undo {told['batch']}` takes these sessions away again")


def _is_absent(config: StoreConfig) -> bool:
    path = database_file(config)
    return path is not None and not path.exists()


def _in_memory(work: Work[list[dict[str, Any]]]) -> list[dict[str, Any]]:
    """A rehearsal where there is no database: none is made for it."""

    async def run() -> list[dict[str, Any]]:
        from convstore import open_store

        async with open_store("sqlite://") as store:
            return await work(store)

    return complete(run)


def _undo(context: typer.Context, ids: list[str], yes: bool, as_json: bool) -> int:
    """Take imports back: the sessions that they made, but for those that went on."""
    told = ", ".join(ids)
    confirm(f"Delete what the imports {clean(told)} made (archived copies stay)?", yes)

    left: list[str] = []

    async def work(store: Store) -> dict[str, int]:
        total = Counter(dict.fromkeys(_UNDONE, 0))
        for batch in ids:
            done = await store.undo_import(batch)
            total.update({name: getattr(done, name) for name in total})
            left.extend(done.left)
        return dict(total)

    total = with_store(context, work)
    if as_json:
        print_json({**total, "left": left})
    else:
        print_facts(total.items())
        for name in left:
            say(f"left: {clean(name)}")
        if total["changed"]:
            say("`changed` went on since, and were left alone")
        if not any(total.values()):
            say("there is no session, or none any more, that was made by this import")
    stays = ("changed", "held", "items_left")
    return FOUND if any(total[name] for name in stays) else 0


def source_of(file: Path) -> str | Path:
    """What the store is told of a FILE: `-` is no path, and a URL is none either."""
    text = str(file)
    for scheme in ("postgresql:/", "postgres:/"):
        if text.startswith(scheme):
            # A path has one slash where a URL has two.
            return f"{scheme}/{text.removeprefix(scheme)}"
    return "-" if text == "-" else file


def _told_of(file: Path) -> str:
    """A FILE as it is shown: of a URL neither user nor password."""
    source = source_of(file)
    if isinstance(source, Path) or source == "-":
        return str(file)
    scheme, _, rest = source.partition("://")
    return f"{scheme}://{rest.rpartition('@')[2].partition('?')[0]}"


async def _import(
    store: Store,
    context: typer.Context,
    format_: str,
    how: dict[str, Any],
    files: list[Path],
    report: Path | None,
    bar: Bar,
) -> list[dict[str, Any]]:
    from convstore.vocabulary.ids import new_id

    told = []
    for place, file in enumerate(files, 1):
        folder = report or config_of(context).home / REPORTS / new_id()
        if report is not None and len(files) > 1:
            folder = report / str(place)

        def tell(so_far: Progress, name: str = Path(_told_of(file)).name) -> None:
            text = f"{name}: {count(so_far.done, 'record')}"
            read, of = so_far.counts["bytes"], so_far.counts.get("total_bytes")
            bar.at(read, of, text, counted=(so_far.done, so_far.unit))

        try:
            done = await store.import_(
                format_,
                source_of(file),
                report_to=folder,
                on_progress=tell,
                **how,
            )
        finally:
            kept = report is not None or _has_something(folder)
        where = str(folder) if kept else None
        counts = {f.name: getattr(done, f.name) for f in fields(done)}
        told.append({"file": _told_of(file), **counts, "report": where})
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
