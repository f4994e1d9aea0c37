"""`convstore export`: data sets out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from convstore.cli.context import AsJson, Quiet, with_store
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
from convstore.cli.values import bad_option, moment, setting, share
from convstore.vocabulary.progress import OnProgress, Progress

if TYPE_CHECKING:
    from convstore import Store


class Profile(StrEnum):
    """How Parquet files, and cards of JSONL, tell messages."""

    JSON = "json"
    TEXT = "text"


class Branches(StrEnum):
    """Which branches of a session are whole conversations."""

    HEAD = "head"
    ALL = "all"


class SplitBy(StrEnum):
    """What goes to one split as a whole."""

    SESSION = "session"
    USER = "user"
    TENANT = "tenant"


class Source(StrEnum):
    """Where sessions may lie."""

    BOTH = "both"
    LIVE = "live"
    ARCHIVE = "archive"


class ToolCalls(StrEnum):
    """What happens to rows that call tools."""

    KEEP = "keep"
    TEXT = "text"
    DROP = "drop"


class Redactor(StrEnum):
    """What finds personal data."""

    REGEX = "regex"
    PRESIDIO = "presidio"


def _option(*names: str, what: str) -> Any:
    return typer.Option(*names, help=what)


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
    to: Annotated[Path, _option(what="A folder that is new or empty.")],
    dry_run: Annotated[
        bool, _option("--dry-run", what="Report, and write nothing.")
    ] = False,
    parquet: Annotated[
        bool, _option("--parquet", what="Parquet in place of JSONL.")
    ] = False,
    profile: Annotated[
        Profile, _option(what="text: for readers that know no JSON columns.")
    ] = Profile.JSON,
    branches: Annotated[
        Branches, _option(what="The active branch of a session, or every leaf.")
    ] = Branches.HEAD,
    rules: Annotated[str | None, _option(what="Such as R1,R2,prompt.")] = None,
    split: Annotated[
        list[str] | None, _option(what="Such as train=0.9; once for each.")
    ] = None,
    split_by: Annotated[
        SplitBy, _option(what="What goes to one split as a whole.")
    ] = SplitBy.SESSION,
    split_salt: Annotated[str, _option(what="Deals the sessions anew.")] = "",
    since: Annotated[
        Path | None, _option(what="A former export: only what is new since.")
    ] = None,
    shard_mb: Annotated[
        int, typer.Option(min=1, help="Megabytes after which a new file begins.")
    ] = 256,
    max_drop_rate: Annotated[
        float,
        _option(what="Refuse if a larger share of rows is faulty, such as 0.05."),
    ] = 1.0,
    source: Annotated[
        Source, _option(what="Sessions in the database, the archive, or both.")
    ] = Source.BOTH,
    user: Annotated[list[str] | None, _option(what="Only this user.")] = None,
    language: Annotated[list[str] | None, _option(what="Only this one.")] = None,
    tag: Annotated[list[str] | None, _option(what="With this tag.")] = None,
    where: Annotated[
        list[str] | None,
        _option(what="KEY=VALUE that the session's metadata holds; dots go down."),
    ] = None,
    consent: Annotated[
        str | None, _option(what="Purpose that consent must be given for.")
    ] = None,
    active_since: Annotated[
        str | None, _option(what="Sessions active at or after this time.")
    ] = None,
    active_until: Annotated[
        str | None, _option(what="Sessions active before this time.")
    ] = None,
    model: Annotated[
        list[str] | None, _option(what="Only answers of this model.")
    ] = None,
    label: Annotated[
        list[str] | None, _option(what="Only feedback of this word.")
    ] = None,
    finish_reason: Annotated[
        list[str] | None, _option(what="Only answers that ended so.")
    ] = None,
    min_score: Annotated[
        float | None, _option(what="Only scores from here, of 1 to 5.")
    ] = None,
    max_score: Annotated[float | None, _option(what="Only scores up to here.")] = None,
    min_chars: Annotated[int, _option(what="Least length of an answer.")] = 1,
    max_chars: Annotated[
        int | None, _option(what="Largest length of a row, prompt included.")
    ] = None,
    min_gap: Annotated[
        float, _option(what="Least difference of two rated answers.")
    ] = 1.0,
    all_pairs: Annotated[
        bool,
        _option("--all-pairs", what="Every two rated answers, not best and worst."),
    ] = False,
    max_per_prompt: Annotated[
        int | None, _option(what="Rows that one prompt may give.")
    ] = None,
    max_per_session: Annotated[
        int | None, _option(what="Rows that one session may give.")
    ] = None,
    max_per_user: Annotated[
        int | None, _option(what="Rows that one user may give.")
    ] = None,
    max_length_bias: Annotated[
        float | None,
        _option(what="Largest share of pairs with the longer answer chosen, as 0.6."),
    ] = None,
    near_duplicates: Annotated[
        float | None, _option(what="Similarity, such as 0.8, that counts as one.")
    ] = None,
    tool_calls: Annotated[
        ToolCalls,
        _option(what="text: told as text; drop: without rows that call tools."),
    ] = ToolCalls.KEEP,
    infer_tools: Annotated[
        bool, _option("--infer-tools", what="Where definitions were not stored.")
    ] = False,
    resolved_questions: Annotated[
        bool,
        _option("--resolved-questions", what="In place of the words of users."),
    ] = False,
    redact: Annotated[
        Redactor | None, _option(what="Replace personal data that it finds.")
    ] = None,
    redaction_cache: Annotated[
        Path | None,
        _option(what="A file that keeps for later exports what was found."),
    ] = None,
    quarantine: Annotated[
        bool, _option("--quarantine", what="List by id what was reported.")
    ] = False,
    detect_language: Annotated[
        bool, _option("--detect-language", what="Where none is stored.")
    ] = False,
    tokenizer: Annotated[
        Path | None, _option(what="tokenizer.json to count tokens with.")
    ] = None,
    workers: Annotated[
        int, _option(what="Processes that run the rules beside this one.")
    ] = 0,
    license_: Annotated[
        str, _option("--license", what="Licence id for the card.")
    ] = "other",
    title: Annotated[str | None, _option(what="Heading of the card.")] = None,
    progress_json: Annotated[
        bool,
        _option("--progress-json", what="Progress as JSON lines on the error stream."),
    ] = False,
    quiet: Quiet = False,
    as_json: AsJson = False,
) -> None:
    """Write data sets from live and archived sessions. Changes nothing in the store.

    One format goes to the folder itself, several each to a folder of its name in it.
    Killed, the same command goes on where it stopped.
    """
    options = _options(context.params)
    names = [name for given in formats for name in given.split(",")]
    if str(to) == "-":
        raise bad_option("--to", "an export is a folder: it cannot go to the output")
    with progress("reading", quiet=quiet or progress_json) as bar:
        tell = _lines if progress_json else None
        report = with_store(
            context, lambda store: _run(store, names, to, options, bar, tell)
        )
    _tell(report, as_json)


def _options(given: Mapping[str, Any]) -> dict[str, Any]:
    """The options of an export among the parameters of the command."""
    same = (
        "dry_run split_salt since max_drop_rate max_length_bias near_duplicates "
        "resolved_questions redaction_cache quarantine detect_language tokenizer "
        "workers"
    ).split()
    caps = ("prompt", "session", "user")
    options: dict[str, Any] = {
        **{name: given[name] for name in same},
        "file_type": "parquet" if given["parquet"] else "jsonl",
        "profile": given["profile"].value,
        "branches": given["branches"].value,
        "split_by": given["split_by"].value,
        "shard_bytes": given["shard_mb"] * 2**20,
        "tool_calls": given["tool_calls"].value,
        "undefined_tools": "infer" if given["infer_tools"] else "drop",
        "redact": given["redact"] and given["redact"].value,
        "license": given["license_"],
        "judging": {name: given[name] for name in ("min_gap", "all_pairs")},
        "filters": _filters(given),
        "caps": {f"per_{name}": given[f"max_per_{name}"] for name in caps},
    }
    if given["title"] is not None:
        options["title"] = given["title"]
    if given["split"]:
        options["splits"] = dict(share("--split", text) for text in given["split"])
    if given["rules"] is not None:
        options["rules"] = given["rules"].split(",")
    return options


def _filters(given: Mapping[str, Any]) -> dict[str, Any]:
    """The filters among the parameters of the command."""
    since, until = given["active_since"], given["active_until"]
    return {
        "source": given["source"].value,
        "users": given["user"] or (),
        "languages": given["language"] or (),
        "tags": given["tag"] or (),
        "metadata": dict(setting("--where", text) for text in given["where"] or ()),
        "consent": given["consent"],
        "since": since and moment("--active-since", since),
        "until": until and moment("--active-until", until),
        "models": given["model"] or (),
        "labels": given["label"] or (),
        "finish_reasons": given["finish_reason"] or (),
        "min_score": given["min_score"],
        "max_score": given["max_score"],
        "min_chars": given["min_chars"],
        "max_chars": given["max_chars"],
    }


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
        # Only for people: it walks the sessions. New ones are not in it.
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
        for reason in fmt.dropped.keys() & _HINTS.keys():
            say(f"{fmt.format}: {reason}: {_HINTS[reason]}")
