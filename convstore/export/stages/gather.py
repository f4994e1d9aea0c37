"""From documents to packed rows: rules, formats, keys, splits; one at a time."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import lru_cache
from hashlib import blake2b
from typing import NamedTuple

from convstore.export.choosing.keys import Keys, group_key, keys_of
from convstore.export.choosing.near import signer
from convstore.export.choosing.splits import SplitPicker
from convstore.export.choosing.tokens import CHARS_PER_TOKEN, token_counter
from convstore.export.dataset.statistics import Tally
from convstore.export.dataset.version import EXPORTER
from convstore.export.example import (
    Candidate,
    Dropped,
    Example,
    Kind,
    Message,
    Origin,
)
from convstore.export.formats.base import Column, Format, provenance
from convstore.export.formats.messages import text_chars
from convstore.export.formats.pictures import has_images, pictured
from convstore.export.formats.spoken_calls import caller
from convstore.export.options import ExportOptions, Filters, SplitBy
from convstore.export.privacy.redaction import redactor
from convstore.export.reading.conversation import Conversation, reading_of
from convstore.export.reading.filters import consent_problem, session_problem
from convstore.export.reading.language import language_detector
from convstore.export.rules import RULES, pick_rules
from convstore.export.rules.checks import beside_chars
from convstore.export.stages.entries import (
    LABEL_FALSE,
    LABEL_TRUE,
    LEFT,
    LONGER,
    PAIR,
    PICTURED,
    RIGHT,
    Entry,
    Packed,
    Waiting,
    pack_entry,
    pack_waiting,
)
from convstore.export.writers.parquet import pack_columns
from convstore.vocabulary.agreement import units_of
from convstore.vocabulary.codec import dumps
from convstore.vocabulary.records import Json, JsonObject, SessionDocument

RULE_NAMES = tuple(RULES)
_UNJUDGED: frozenset[Kind] = frozenset({"tree", "whole"})
"""Rows in which feedback stands as it was given."""
_OUR_WORDS = frozenset({"good", "bad", "neutral", "neither"})
_RULE_NUMBERS = {name: number for number, name in enumerate(RULE_NAMES)}


class Made(NamedTuple):
    """One row, packed, for one format; `signature` is empty unless asked for."""

    format: Format
    entry: Entry
    row: Waiting
    signature: bytes


class Gatherer:
    """Makes the rows of one data set per format. Holds counters, no rows."""

    def __init__(self, formats: Sequence[Format], options: ExportOptions) -> None:
        self.formats, self.options = formats, options
        self.tallies = self.new_tallies()
        self.documents = 0
        self._places = {fmt.name: place for place, fmt in enumerate(formats)}
        kinds = {fmt.kind for fmt in formats}
        self._rules = [rule for rule in pick_rules(options.rules) if rule.kinds & kinds]
        self._filtering = options.filters != Filters()
        self._split = SplitPicker(options.splits, options.split_salt)
        self._redact = redactor(options)
        self._detect = language_detector() if options.detect_language else None
        tokenizer = options.tokenizer
        self._count_tokens = token_counter(tokenizer) if tokenizer else None
        self._reading = reading_of(options)
        self._sign = signer() if options.near_duplicates is not None else None
        self._told_calls = caller(options.tool_calls)
        self._redactions: list[Json] = []
        self._pictured = False

    def new_tallies(self) -> dict[str, Tally]:
        """Counters from nothing, by format."""
        return {fmt.name: Tally() for fmt in self.formats}

    def rows(self, document: SessionDocument) -> Iterator[Made]:
        """The packed rows of one session, for each format."""
        for candidate, users, rule in self.candidates(document):
            yield from self.made(candidate, users, rule)

    def candidates(
        self, document: SessionDocument
    ) -> Iterator[tuple[Candidate, list[Format], int]]:
        """What the rules make of one session, for whom, and the rule's number."""
        self.documents += 1
        takers = self._takers(document)
        if not takers:
            return
        told = self._redacted(document, takers)
        self._pictured = has_images(document.turns)
        conversation = Conversation(
            document,
            self.options,
            told=told,
            detect=self._detect,
            reading=self._reading,
        )
        self._note_unclear(conversation, takers)
        self._note_agreement(conversation, takers)
        for rule in self._rules:
            users = [fmt for fmt in takers if fmt.kind in rule.kinds]
            if not users:
                continue
            number = _RULE_NUMBERS[rule.name]
            for candidate in rule.run(conversation, rule.id):
                yield candidate, users, number

    def _note_unclear(
        self, conversation: Conversation, takers: Sequence[Format]
    ) -> None:
        """Count, by name, what of the feedback in force says nothing to the rules."""
        judged = [fmt for fmt in takers if fmt.kind not in _UNJUDGED]
        for act in conversation.feedback if judged else ():
            for name in self._reading.not_understood(act):
                for fmt in judged:
                    self.tallies[fmt.name].note_unclear(name)

    def _note_agreement(
        self, conversation: Conversation, takers: Sequence[Format]
    ) -> None:
        """Count what several people said of the same; of who they are, nothing."""
        judged = [fmt for fmt in takers if fmt.kind not in _UNJUDGED]
        people = {act.actor_id for act in conversation.feedback}
        if not judged or len(people) < 2:
            return
        for unit in units_of(conversation.feedback, self._reading):
            if len(unit) > 1:
                # Nor what they said where it is a word of their own.
                nameless = {
                    short_key(name).hex(): word
                    if word in _OUR_WORDS
                    else short_key(word).hex()
                    for name, word in unit.items()
                }
                for fmt in judged:
                    self.tallies[fmt.name].agreement.add(nameless)

    def packed(self, document: SessionDocument) -> Iterator[Packed]:
        """The rows of one session as they go into the spools."""
        for made in self.rows(document):
            yield self.pack(made)

    def pack(self, made: Made) -> Packed:
        """One row as it goes into the spools; a dry run counts it without its bytes."""
        row = made.row
        if self.options.dry_run:
            row = row._replace(data=b"", side=b"")
        place = self._places[made.format.name]
        return Packed(place, pack_entry(made.entry), pack_waiting(row), made.signature)

    def _takers(self, document: SessionDocument) -> list[Format]:
        session, filters = document.session, self.options.filters
        problem = session_problem(session, filters) if self._filtering else None
        refused = consent_problem(session, filters.consent)
        takers = []
        for fmt in self.formats:
            asked = fmt.consent or filters.consent is not None
            reason = problem or (refused if asked else None)
            if reason is None:
                takers.append(fmt)
            else:
                self.tallies[fmt.name].losses.add(reason)
        return takers

    def made(
        self, candidate: Candidate, users: Sequence[Format], rule: int
    ) -> Iterator[Made]:
        """A candidate packed for each format that takes it; losses are counted."""
        if isinstance(candidate, Dropped):
            for fmt in users:
                self.tallies[fmt.name].losses.add(candidate)
            return
        users = [fmt for fmt in users if fmt.kind == candidate.kind]
        if self._told_calls is not None:
            told = self._told_calls(candidate)
            if isinstance(told, Dropped):
                yield from self.made(told, users, rule)
                return
            candidate = told
        for fmt in users:
            tally = self.tallies[fmt.name]
            packed = self._packed(fmt, candidate, rule)
            if isinstance(packed, Dropped):
                tally.losses.add(packed)
            else:
                tally.rows += 1
                yield packed

    def _packed(self, fmt: Format, row: Example, rule: int) -> Made | Dropped:
        trimmed = fmt.trim(row) if fmt.trim else row
        if isinstance(trimmed, Dropped):
            return trimmed
        row = trimmed
        if self._pictured and pictured(row):
            problem = _picture_problem(fmt, self.options)
            if problem is not None:
                return problem
            self.tallies[fmt.name].pictured += 1
        body = fmt.encode(row)
        if isinstance(body, Dropped):
            return body
        keys, lengths = keys_of(row, body), _lengths(row)
        split = self._split(_dealt(row.origin, self.options.split_by))
        told = provenance(
            row, keys.row_id.hex(), lengths.all, self._redactions, EXPORTER
        )
        data, side = pack(fmt, body, told, self.options)
        if not data:
            return Dropped("needs-json-profile", fault=False)
        waiting = Waiting(
            keys.row_id,
            split,
            rule,
            _flags(row, lengths) | (PICTURED if "images" in body else 0),
            lengths.all,
            self._tokens(row, lengths),
            row.origin.language,
            data,
            side,
        )
        signature = self._sign(_gist(row)) if self._sign and not row.document else b""
        return Made(fmt, _entry(row, keys, waiting), waiting, signature)

    def _tokens(self, row: Example, lengths: _Lengths) -> int:
        """Those of a row; of a pair those of its longer side."""
        if self._count_tokens is not None:
            sides = (row.answer, row.rejected) if row.rejected else (row.answer,)
            return max(self._count_tokens(_texts(row, side)) for side in sides)
        shorter = min(lengths.answer, lengths.rejected) if row.rejected else 0
        return -((shorter - lengths.all) // CHARS_PER_TOKEN)

    def _redacted(
        self, document: SessionDocument, takers: Sequence[Format]
    ) -> SessionDocument | None:
        if self._redact is None:
            return None
        told, counts = self._redact(document)
        self._redactions = [{"kind": k, "count": n} for k, n in sorted(counts.items())]
        for fmt in takers:
            self.tallies[fmt.name].redactions += counts
        return told


def pack(
    fmt: Format, body: JsonObject, told: JsonObject, options: ExportOptions
) -> tuple[bytes, bytes]:
    """A row's bytes as its writer wants them, and its line of the sidecar.

    Empty bytes if the `text` profile cannot hold the row.
    """
    if options.profile == "text" and not _plain(fmt, body):
        return b"", b""
    side = dumps(told) if fmt.provenance == "sidecar" else b""
    if options.file_type == "parquet":
        columns = columns_of(fmt, options, pictures="images" in body)
        inline = told if fmt.provenance == "column" else None
        packed = pack_columns(body, columns, options.profile, inline)
        return packed, side
    if fmt.provenance == "column":
        body["convstore"] = told
    return dumps(body), side


def columns_of(
    fmt: Format, options: ExportOptions, *, pictures: bool
) -> tuple[Column, ...]:
    """The training columns that files of these options have.

    A column of images is there only if there are images: TRL takes data that has one
    for data of images, and refuses models that read text.
    """
    gone = {("images", "images")} if not pictures else set()
    if options.profile == "text":
        gone.add(("tools", "messages"))
    return tuple(c for c in fmt.columns if (c.name, c.type) not in gone)


def _picture_problem(fmt: Format, options: ExportOptions) -> Dropped | None:
    """Why rows of this export cannot hold images."""
    if Column("images", "images") not in fmt.columns:
        return Dropped("images-are-lost")
    if options.file_type != "parquet":
        return Dropped("images-need-parquet", fault=False)
    return None


def _plain(fmt: Format, body: JsonObject) -> bool:
    if body.get("tools") and Column("tools", "messages") in fmt.columns:
        return False
    if "images" in body:
        return False
    return all(
        message.keys() == {"role", "content"}
        for column in fmt.columns
        if column.type == "messages" and column.keys is None
        for message in body.get(column.name) or ()
    )


def _entry(row: Example, keys: Keys, waiting: Waiting) -> Entry:
    origin = row.origin
    return Entry(
        keys.prompt,
        keys.subject,
        keys.row_id,
        short_key(origin.tenant_id, origin.session_id),
        short_key(origin.tenant_id, origin.user_id or f"session {origin.session_id}"),
        origin.at_us,
        origin.votes,
        keys.polarity,
        waiting.split,
        waiting.flags,
        len(waiting.data),
    )


@lru_cache(maxsize=512)
def short_key(*names: str) -> bytes:
    """Eight bytes that stand for names; for counting, not for secrecy."""
    return blake2b(dumps(names), digest_size=8).digest()


def _dealt(origin: Origin, split_by: SplitBy) -> bytes:
    """What is dealt to a split as a whole."""
    if split_by == "tenant":
        return group_key(origin.tenant_id)
    if split_by == "user" and origin.user_id:
        return group_key(origin.tenant_id, "user", origin.user_id)
    return group_key(origin.tenant_id, origin.group_id)


def _texts(row: Example, answer: Sequence[Message]) -> list[str]:
    """What a trainer would read of the row with one of its answers, piece by piece."""
    if row.document is not None:
        return [turn.content or "" for turn in row.document.turns]
    said = [message["content"] for message in (*row.prompt, *answer)]
    return [*said, *row.steps]


def _gist(row: Example) -> str:
    """What makes a row its own: earlier turns are shared by many rows of a session."""
    asked = row.prompt if row.kind == "conversation" else row.prompt[-1:]
    said = [message["content"] for message in (*asked, *row.answer, *row.rejected)]
    return "\n".join([*said, *row.steps])


class _Lengths(NamedTuple):
    """Characters of a row in all, and of its sides."""

    all: int
    answer: int
    rejected: int


def _lengths(row: Example) -> _Lengths:
    answer = text_chars(row.answer)
    rejected = text_chars(row.rejected) if row.rejected else 0
    if row.document is None:
        said = text_chars(row.prompt) + answer + rejected
        return _Lengths(said + beside_chars(row), answer, rejected)
    whole = sum(len(turn.content or "") for turn in row.document.turns)
    return _Lengths(whole, answer, rejected)


def _flags(row: Example, lengths: _Lengths) -> int:
    flags = 0
    if row.label is not None:
        flags |= LABEL_TRUE if row.label else LABEL_FALSE
    if row.rejected:
        flags |= PAIR
        flags |= LONGER * (lengths.answer > lengths.rejected)
        flags |= {"left": LEFT, "right": RIGHT, "": 0}[row.origin.side]
    return flags
