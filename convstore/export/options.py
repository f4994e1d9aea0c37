"""What an export is asked to do: filters, caps, rules, splits and output, in one value.

An `ExportOptions` is plain data, so that its JSON can be hashed: two exports of the
same content with the same options give the same bytes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from datetime import datetime
from pathlib import Path
from typing import Any, ClassVar, Literal

from convstore.vocabulary.errors import InvalidInputError
from convstore.vocabulary.judgements import Reading
from convstore.vocabulary.policy import FeedbackPolicy
from convstore.vocabulary.records import DocumentSource, Json, JsonObject

FileType = Literal["jsonl", "parquet"]
Profile = Literal["json", "text"]
ToolCalls = Literal["keep", "text", "drop"]
SplitBy = Literal["session", "user", "tenant"]

DEFAULT_RULES = (
    "R1 R2 R4 R5 R6 R7 R11 R12 R13 R14 R17 conversation prompt tree document".split()
)
MIB = 1024 * 1024
_READING = {"extra": "forbid", "revalidate_instances": "always"}
"""How pydantic makes these from what callers give; see `convstore.store.exports`."""
MOST_WORKERS = 32
"""More would wait for the one process that feeds them."""
_NOT_IN_THE_BYTES = frozenset(
    {"dry_run", "since", "max_drop_rate", "redaction_cache", "workers"}
)


@dataclass(frozen=True, slots=True)
class Filters:
    """Which sessions and rows go in; empty or None leaves a filter open.

    Attributes:
        source: `live` sessions of the database, those of the `archive`, or `both`.
            For the store, as `tenants`: a document does not say where it lies.
        tenants: Tenant ids. The store already hands over one tenant's documents.
        users: User ids.
        since: Sessions whose last activity is at this time or later.
        until: Sessions whose last activity is before this time.
        languages: Language codes of the session or the judged turn, as stored.
        tags: Sessions that carry all of these.
        metadata: Session metadata that must be equal, by key; dots go down into
            objects, as `customer.plan`. 1, 1.0, "1" and true are four values.
        consent: Purpose that `metadata["consent"]` must grant: `true`, the word itself,
            a list that holds it, or an object in which it is true. Whatever is set
            here, a session whose consent is `false` or says no never goes in.
        models: Models that wrote the answer; of a pair, both sides.
        labels: Feedback words that count as a judgement at all.
        min_score: Scores below it are not read.
        max_score: Scores above it are not read.
        min_chars: Characters that each answer must have.
        max_chars: Characters that prompt and answers together may have.
        finish_reasons: Finish reasons of answers that may be trained on, beside None.
            Empty takes all but the failed ones.
    """

    __pydantic_config__: ClassVar[Any] = _READING

    source: DocumentSource = "both"
    tenants: tuple[str, ...] = ()
    users: tuple[str, ...] = ()
    since: datetime | None = None
    until: datetime | None = None
    languages: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()
    metadata: Mapping[str, Json] = field(default_factory=dict)
    consent: str | None = None
    models: tuple[str, ...] = ()
    labels: tuple[str, ...] = ()
    min_score: float | None = None
    max_score: float | None = None
    min_chars: int = 1
    max_chars: int | None = None
    finish_reasons: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Caps:
    """How many rows of one format one source may give; None is no cap.

    Which rows stay is decided by `row_id`, a hash, and so never by time or length.
    """

    __pydantic_config__: ClassVar[Any] = _READING

    per_prompt: int | None = None
    per_session: int | None = None
    per_user: int | None = None


@dataclass(frozen=True, slots=True)
class Judging:
    """How feedback is read.

    Attributes:
        positive: Feedback words that mean a good answer; None takes those of the
            store's settings (`CONVSTORE_FEEDBACK__POSITIVE`), as do the next four.
        negative: Feedback words that mean a bad one.
        neutral: Feedback words that are no home for a yes or no; see rule R3.
        scale: The worst and the best score that can be given.
        scales: Scales by surface or action.
        score_high: Scores from here up are good (R4), brought to 1 to 5.
        score_low: Scores up to here are bad; between the two is dropped.
        min_gap: Least difference of mean scores between two rated answers (R7).
        all_pairs: Every pair of rated answers with that gap, not only best and worst.
        failed_as_rejected: A cut-off or failed answer may be the rejected one.
        drop_identity: Drop answers that name their model or speak as one.
    """

    __pydantic_config__: ClassVar[Any] = _READING

    positive: tuple[str, ...] | None = None
    negative: tuple[str, ...] | None = None
    neutral: tuple[str, ...] | None = None
    scale: tuple[float, float] | None = None
    scales: Mapping[str, tuple[float, float]] | None = None
    score_high: float = 4.0
    score_low: float = 2.0
    min_gap: float = 1.0
    all_pairs: bool = False
    failed_as_rejected: bool = False
    drop_identity: bool = True

    def over(self, policy: FeedbackPolicy) -> FeedbackPolicy:
        """The policy, with what is set here in its place."""
        names = [f.name for f in fields(policy)]
        own = {name: getattr(self, name) for name in names}
        return replace(policy, **{n: v for n, v in own.items() if v is not None})


@dataclass(frozen=True, slots=True)
class ExportOptions:
    """Everything that decides the bytes of an export, beside the conversations.

    Attributes:
        rules: Names of the rules that run; see `convstore.export.rules`.
        filters: Which sessions and rows go in.
        caps: Rows that one prompt, session or user may give.
        judging: How feedback is read.
        branches: `head` takes the active branch of a session where whole conversations
            are exported, `all` takes every leaf.
        file_type: `jsonl`, or `parquet` for the Hugging Face formats.
        profile: `json` holds tool calls; `text` is read by datasets before 4.7 and
            drops rows that need more than role and text.
        splits: Share by split name; shares add up to 1.
        split_by: What is dealt to a split as a whole: a root `session`, all sessions
            of a `user` (of no user: a root session), or of a `tenant`.
        split_salt: Change it to deal the sessions anew.
        shard_bytes: Bytes of JSON after which a new shard begins.
        max_drop_rate: Largest share of candidate rows that may be dropped for faults
            (not by filters, caps or duplicates) before the export is refused.
        since: A former export; only rows that are not in it are written, and the ids
            of its rows that no longer exist, as tombstones.
        dry_run: Do everything but write; the report is the same.
        quarantine: Also list by id what rule R17 kept out, in `rejected_rows/`.
        resolved_questions: Export `resolved_question` in place of the words of a user.
        payloads: Tell in `rlhf-json` also what frameworks keep in turns, as text or
            `{"base64": …}`. With `redact` there is none: nothing can be found in it.
        undefined_tools: What happens to rows that call tools whose definitions were
            never stored: `drop`, or `infer` bare definitions from the calls.
        tool_calls: `keep` tells calls in the format's own way, `text` as text that any
            chat template takes, `drop` leaves rows out in which tools are called.
        redact: Name of a redactor, `regex` or `presidio`; None leaves text as it is.
        redaction_cache: A file in which finds are kept for later exports, and taken
            from; made if it is not there. It holds no text. A dry run uses it too.
        near_duplicates: Jaccard similarity, such as 0.8, from which two prompts with
            answers count as one; None finds exact duplicates only.
        max_length_bias: Largest share of pairs, 0.5 to below 1, in which one side may
            be the longer one; what is over goes. None only reports the share.
        detect_language: Detect the language where none is stored.
        tokenizer: A `tokenizer.json` to count tokens with; None estimates.
        workers: Processes that read the store, run the rules and write the files; this
            one plans, settles and publishes. Where they cannot open the store, this one
            reads, and helps. They start where there are more than 128 sessions, and
            until the first is there this one does their work; 0 does all of it in this
            process. The bytes are the same.
        license: Licence id for the card.
        title: Heading of the card.
    """

    __pydantic_config__: ClassVar[Any] = _READING

    rules: tuple[str, ...] = tuple(DEFAULT_RULES)
    filters: Filters = field(default_factory=Filters)
    caps: Caps = field(default_factory=Caps)
    judging: Judging = field(default_factory=Judging)
    branches: Literal["head", "all"] = "head"
    file_type: FileType = "jsonl"
    profile: Profile = "json"
    splits: Mapping[str, float] = field(default_factory=lambda: {"train": 1.0})
    split_by: SplitBy = "session"
    split_salt: str = ""
    shard_bytes: int = 256 * MIB
    max_drop_rate: float = 1.0
    since: Path | None = None
    dry_run: bool = False
    quarantine: bool = False
    resolved_questions: bool = False
    payloads: bool = False
    undefined_tools: Literal["drop", "infer"] = "drop"
    tool_calls: ToolCalls = "keep"
    redact: str | None = None
    redaction_cache: Path | None = None
    near_duplicates: float | None = None
    max_length_bias: float | None = None
    detect_language: bool = False
    tokenizer: Path | None = None
    workers: int = 0
    license: str = "other"
    title: str = "Conversations judged by people"

    def __post_init__(self) -> None:
        # Callers and settings also give paths as text.
        for name in ("since", "tokenizer", "redaction_cache"):
            value = getattr(self, name)
            if value is not None:
                object.__setattr__(self, name, Path(value))

    def on(self, policy: FeedbackPolicy) -> ExportOptions:
        """These options, with everything said that a store's settings decide."""
        full = self.judging.over(policy)
        named = {f.name: getattr(full, f.name) for f in fields(full)}
        return replace(self, judging=replace(self.judging, **named))

    def check(self) -> None:
        """Refuse what no export can mean.

        Raises:
            InvalidInputError: Names the option.
        """
        self._check_splits()
        if self.shard_bytes < 1:
            raise InvalidInputError("shard_bytes", "must be at least 1")
        if not 0 <= self.max_drop_rate <= 1:
            raise InvalidInputError("max_drop_rate", "must be between 0 and 1")
        bias = self.max_length_bias
        if bias is not None and not 0.5 <= bias < 1:
            raise InvalidInputError("max_length_bias", "must be 0.5 or more, below 1")
        for end in ("since", "until"):
            moment = getattr(self.filters, end)
            if moment is not None and moment.tzinfo is None:
                raise InvalidInputError(f"filters.{end}", "must have a time zone")
        try:
            Reading(self.judging.over(FeedbackPolicy()))
        except InvalidInputError as error:
            where = f"judging.{error.field}"
            raise InvalidInputError(where, error.problem) from None
        self._check_bounds()
        if not 0 <= self.workers <= MOST_WORKERS:
            raise InvalidInputError("workers", f"must be from 0 to {MOST_WORKERS}")
        if self.redaction_cache is not None and self.redact is None:
            raise InvalidInputError("redaction_cache", "is for exports with redact")
        self._check_caps()

    def _check_bounds(self) -> None:
        filters = self.filters
        bounds = (
            ("chars", filters.min_chars, filters.max_chars),
            ("score", filters.min_score, filters.max_score),
        )
        for name, least, most in bounds:
            if least is not None and most is not None and least > most:
                raise InvalidInputError(f"filters.max_{name}", f"is below min_{name}")

    def _check_caps(self) -> None:
        for cap in fields(Caps):
            value = getattr(self.caps, cap.name)
            if value is not None and value < 1:
                raise InvalidInputError(f"caps.{cap.name}", "must be at least 1")

    def _check_splits(self) -> None:
        if not self.splits or any(not 0 < p <= 1 for p in self.splits.values()):
            raise InvalidInputError("splits", "each share must be above 0, at most 1")
        if abs(sum(self.splits.values()) - 1) > 1e-9:
            raise InvalidInputError("splits", "the shares must add up to 1")
        for name in self.splits:
            if not name.isascii() or not name.isidentifier():
                raise InvalidInputError("splits", f"{name!a} is no split name")
        if len(self.splits) > 255:
            raise InvalidInputError("splits", "at most 255")

    def told(self) -> JsonObject:
        """All options as JSON, for `of`."""
        return {f.name: _told(getattr(self, f.name)) for f in fields(self)}

    @classmethod
    def of(cls, told: JsonObject) -> ExportOptions:
        """The options that were `told`."""
        parts = {"filters": Filters, "caps": Caps, "judging": Judging}
        whole = {name: kind(**_read(told[name])) for name, kind in parts.items()}
        return cls(**{**_read(told), **whole})

    def fingerprint(self) -> dict[str, Json]:
        """The options that decide the content, as JSON with stable order."""
        whole = self.on(FeedbackPolicy())  # said or not, it decides
        return {
            f.name: _plain(getattr(whole, f.name))
            for f in fields(self)
            if f.name not in _NOT_IN_THE_BYTES
        }


def _told(value: object) -> Json:
    if isinstance(value, Filters | Caps | Judging):
        return {f.name: _told(getattr(value, f.name)) for f in fields(value)}
    return str(value) if isinstance(value, Path) else value


def _read(told: JsonObject) -> JsonObject:
    """The fields as their class has them: tuples for lists, times for their text."""
    values = {k: tuple(v) if isinstance(v, list) else v for k, v in told.items()}
    for name in ("since", "until"):
        if "metadata" in told and told[name] is not None:
            values[name] = datetime.fromisoformat(told[name])
    return values


def _plain(value: object) -> Json:
    if isinstance(value, Filters | Caps | Judging):
        return {f.name: _plain(getattr(value, f.name)) for f in fields(value)}
    if isinstance(value, Mapping):
        return {key: _plain(value[key]) for key in value}
    if isinstance(value, tuple):
        return [_plain(item) for item in value]
    if isinstance(value, datetime):
        return value.isoformat()
    return value.name if isinstance(value, Path) else value
