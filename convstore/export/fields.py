"""The options of an export by name, as callers write them: the types of a call."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from os import PathLike
from typing import Literal, TypedDict

from convstore.export.options import (
    Caps,
    FileType,
    Filters,
    Judging,
    Profile,
    SplitBy,
    ToolCalls,
)


class ExportFields(TypedDict, total=False):
    """What `Store.export` takes beside its formats; `ExportOptions` says what each is.

    A part of several fields (`filters`, `caps`, `judging`) is given as such, or as a
    dict of its fields.
    """

    rules: Sequence[str]
    filters: Filters | Mapping[str, object]
    caps: Caps | Mapping[str, int | None]
    judging: Judging | Mapping[str, object]
    branches: Literal["head", "all"]
    file_type: FileType
    profile: Profile
    splits: Mapping[str, float]
    split_by: SplitBy
    split_salt: str
    shard_bytes: int
    max_drop_rate: float
    since: str | PathLike[str] | None
    dry_run: bool
    quarantine: bool
    resolved_questions: bool
    payloads: bool
    undefined_tools: Literal["drop", "infer"]
    tool_calls: ToolCalls
    redact: str | None
    redaction_cache: str | PathLike[str] | None
    near_duplicates: float | None
    max_length_bias: float | None
    detect_language: bool
    tokenizer: str | PathLike[str] | None
    workers: int
    license: str
    title: str
