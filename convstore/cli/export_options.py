"""The options of `convstore export`, in groups, and what each means to the store."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from convstore.cli.values import moment, setting, share


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


@dataclass(frozen=True, slots=True)
class Layout:
    """What the files look like, and how rows are dealt to them."""

    dry_run: Annotated[
        bool, _option("--dry-run", what="Report, and write nothing.")
    ] = False
    parquet: Annotated[
        bool, _option("--parquet", what="Parquet in place of JSONL.")
    ] = False
    profile: Annotated[
        Profile, _option(what="text: for readers that know no JSON columns.")
    ] = Profile.JSON
    branches: Annotated[
        Branches, _option(what="The active branch of a session, or every leaf.")
    ] = Branches.HEAD
    rules: Annotated[str | None, _option(what="Such as R1,R2,prompt.")] = None
    split: Annotated[
        list[str] | None, _option(what="Such as train=0.9; once for each.")
    ] = None
    split_by: Annotated[SplitBy, _option(what="What goes to one split as a whole.")] = (
        SplitBy.SESSION
    )
    split_salt: Annotated[str, _option(what="Deals the sessions anew.")] = ""
    since: Annotated[
        Path | None, _option(what="A former export: only what is new since.")
    ] = None
    shard_mb: Annotated[
        int, typer.Option(min=1, help="Megabytes after which a new file begins.")
    ] = 256
    max_drop_rate: Annotated[
        float,
        _option(what="Refuse if a larger share of rows is faulty, such as 0.05."),
    ] = 1.0

    def options(self) -> dict[str, Any]:
        """As `store.export` takes them."""
        same = "dry_run split_salt since max_drop_rate".split()
        options: dict[str, Any] = {name: getattr(self, name) for name in same}
        options |= {
            "file_type": "parquet" if self.parquet else "jsonl",
            "profile": self.profile.value,
            "branches": self.branches.value,
            "split_by": self.split_by.value,
            "shard_bytes": self.shard_mb * 2**20,
        }
        if self.split:
            options["splits"] = dict(share("--split", text) for text in self.split)
        if self.rules is not None:
            options["rules"] = self.rules.split(",")
        return options


@dataclass(frozen=True, slots=True)
class Selection:
    """Which sessions, answers and judgements become rows."""

    source: Annotated[
        Source, _option(what="Sessions in the database, the archive, or both.")
    ] = Source.BOTH
    user: Annotated[list[str] | None, _option(what="Only this user.")] = None
    language: Annotated[list[str] | None, _option(what="Only this one.")] = None
    tag: Annotated[list[str] | None, _option(what="With this tag.")] = None
    where: Annotated[
        list[str] | None,
        _option(what="KEY=VALUE that the session's metadata holds; dots go down."),
    ] = None
    consent: Annotated[
        str | None, _option(what="Purpose that consent must be given for.")
    ] = None
    active_since: Annotated[
        str | None, _option(what="Sessions active at or after this time.")
    ] = None
    active_until: Annotated[
        str | None, _option(what="Sessions active before this time.")
    ] = None
    model: Annotated[list[str] | None, _option(what="Only answers of this model.")] = (
        None
    )
    label: Annotated[list[str] | None, _option(what="Only feedback of this word.")] = (
        None
    )
    finish_reason: Annotated[
        list[str] | None, _option(what="Only answers that ended so.")
    ] = None
    min_score: Annotated[
        float | None, _option(what="Only scores from here, of 1 to 5.")
    ] = None
    max_score: Annotated[float | None, _option(what="Only scores up to here.")] = None
    min_chars: Annotated[int, _option(what="Least length of an answer.")] = 1
    max_chars: Annotated[
        int | None, _option(what="Largest length of a row, prompt included.")
    ] = None

    def options(self) -> dict[str, Any]:
        """As `store.export` takes them."""
        since, until = self.active_since, self.active_until
        where = dict(setting("--where", text) for text in self.where or ())
        same = "consent min_score max_score min_chars max_chars".split()
        return {
            "filters": {
                **{name: getattr(self, name) for name in same},
                "source": self.source.value,
                "users": self.user or (),
                "languages": self.language or (),
                "tags": self.tag or (),
                "metadata": where,
                "since": since and moment("--active-since", since),
                "until": until and moment("--active-until", until),
                "models": self.model or (),
                "labels": self.label or (),
                "finish_reasons": self.finish_reason or (),
            }
        }


@dataclass(frozen=True, slots=True)
class Balance:
    """How many rows feedback gives, and how many of one kind."""

    min_gap: Annotated[
        float, _option(what="Least difference of two rated answers.")
    ] = 1.0
    all_pairs: Annotated[
        bool,
        _option("--all-pairs", what="Every two rated answers, not best and worst."),
    ] = False
    max_per_prompt: Annotated[
        int | None, _option(what="Rows that one prompt may give.")
    ] = None
    max_per_session: Annotated[
        int | None, _option(what="Rows that one session may give.")
    ] = None
    max_per_user: Annotated[
        int | None, _option(what="Rows that one user may give.")
    ] = None
    max_length_bias: Annotated[
        float | None,
        _option(what="Largest share of pairs with the longer answer chosen, as 0.6."),
    ] = None
    near_duplicates: Annotated[
        float | None, _option(what="Similarity, such as 0.8, that counts as one.")
    ] = None

    def options(self) -> dict[str, Any]:
        """As `store.export` takes them."""
        caps = ("prompt", "session", "user")
        return {
            "judging": {"min_gap": self.min_gap, "all_pairs": self.all_pairs},
            "caps": {f"per_{name}": getattr(self, f"max_per_{name}") for name in caps},
            "max_length_bias": self.max_length_bias,
            "near_duplicates": self.near_duplicates,
        }


@dataclass(frozen=True, slots=True)
class Content:
    """What happens to the content of rows."""

    tool_calls: Annotated[
        ToolCalls,
        _option(what="text: told as text; drop: without rows that call tools."),
    ] = ToolCalls.KEEP
    infer_tools: Annotated[
        bool, _option("--infer-tools", what="Where definitions were not stored.")
    ] = False
    resolved_questions: Annotated[
        bool,
        _option("--resolved-questions", what="In place of the words of users."),
    ] = False
    payloads: Annotated[
        bool, _option("--payloads", what="Of frameworks, in rlhf-json.")
    ] = False
    redact: Annotated[
        Redactor | None, _option(what="Replace personal data that it finds.")
    ] = None
    redaction_cache: Annotated[
        Path | None,
        _option(what="A file that keeps for later exports what was found."),
    ] = None
    quarantine: Annotated[
        bool, _option("--quarantine", what="List by id what was reported.")
    ] = False
    detect_language: Annotated[
        bool, _option("--detect-language", what="Where none is stored.")
    ] = False

    def options(self) -> dict[str, Any]:
        """As `store.export` takes them."""
        same = (
            "resolved_questions payloads redaction_cache quarantine detect_language"
        ).split()
        return {
            **{name: getattr(self, name) for name in same},
            "tool_calls": self.tool_calls.value,
            "undefined_tools": "infer" if self.infer_tools else "drop",
            "redact": self.redact and self.redact.value,
        }


@dataclass(frozen=True, slots=True)
class Making:
    """What helps to make the data set, and what its card says."""

    tokenizer: Annotated[
        Path | None, _option(what="tokenizer.json to count tokens with.")
    ] = None
    workers: Annotated[
        int, _option(what="Processes that run the rules beside this one.")
    ] = 0
    license_: Annotated[str, _option("--license", what="Licence id for the card.")] = (
        "other"
    )
    title: Annotated[str | None, _option(what="Heading of the card.")] = None

    def options(self) -> dict[str, Any]:
        """As `store.export` takes them."""
        options = {
            "tokenizer": self.tokenizer,
            "workers": self.workers,
            "license": self.license_,
        }
        return options if self.title is None else options | {"title": self.title}
