"""Which sessions a list, a count or a stream of documents is about, checked."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime

from convstore.db import labels
from convstore.db.codec.inputs import MAX_TITLE_BYTES, encode_time
from convstore.db.engine import Connection
from convstore.db.searchable import METADATA_PREFIX, TAG_PREFIX
from convstore.db.session_filters import LISTED, Filter, Sides
from convstore.search.words import beginnings_of
from convstore.vocabulary.codec import check_text, dumps, encode_json
from convstore.vocabulary.errors import InvalidInputError
from convstore.vocabulary.ids import MAX_ID_CHARS, check_id, check_optional_id
from convstore.vocabulary.judgements import Reading
from convstore.vocabulary.limits import Limits
from convstore.vocabulary.records import Json, SessionState

MOST_TITLE_WORDS = 16
"""Words by which a title is looked for; more are no narrower."""
MOST_LABELS = 1_000
"""Different labels of a tenant that are told to be good or bad, in order."""


def session_filter(
    limits: Limits,
    *,
    user_id: str | None = None,
    language: str | None = None,
    state: SessionState | None = None,
    updated_since: datetime | None = None,
    changed_since: datetime | None = None,
    title: str | None = None,
    tag: str | None = None,
    label: str | None = None,
    metadata: Mapping[str, Json] | None = None,
    judged: bool | None = None,
    disagreed: bool | None = None,
    held: bool | None = None,
) -> Filter:
    """The filters of `sessions.list`, checked and as they are stored.

    Raises:
        InvalidInputError: One of them cannot be meant; it is named.
    """
    if state not in (None, "active", "archived", "deleted", "erased"):
        raise InvalidInputError("state", "is not a state of a session")
    most = limits.max_metadata_bytes
    beginnings = tuple(
        beginnings_of(check_text("title", title, MAX_TITLE_BYTES)) if title else ()
    )[:MOST_TITLE_WORDS]
    for name, asked in (("judged", judged), ("disagreed", disagreed), ("held", held)):
        if asked is not None and type(asked) is not bool:
            raise InvalidInputError(name, "must be True, False or None")
    return Filter(
        user_id=check_optional_id("user_id", user_id),
        language=check_optional_id("language", language),
        states=LISTED if state is None else (state,),
        updated_since=None
        if updated_since is None
        else encode_time("updated_since", updated_since),
        changed_since=None
        if changed_since is None
        else encode_time("changed_since", changed_since),
        title=None if beginnings else title,
        title_words=beginnings,
        tag=None if tag is None else _sought("tag", TAG_PREFIX, check_id("tag", tag)),
        label=check_optional_id("label", label),
        metadata=tuple(
            (
                _sought("metadata", METADATA_PREFIX, check_id("metadata", key)),
                _sought("metadata", "", _scalar(value, most)),
            )
            for key, value in (metadata or {}).items()
        ),
        # Who disagrees has judged: the index of those is walked.
        judged=True if disagreed and judged is None else judged,
        held=held,
        disagreed=None if disagreed is None else Sides(disagreed),
    )


def with_labels(
    connection: Connection, tenant: str, wanted: Filter, reading: Reading
) -> tuple[Filter, bool]:
    """The filter with the labels that its tenant has, by what they mean, and whether
    these are all."""
    if wanted.disagreed is None:
        return wanted, True
    known = labels.known(connection, tenant, MOST_LABELS + 1)
    meaning: dict[str | None, list[str]] = {}
    for label in known[:MOST_LABELS]:
        meaning.setdefault(reading.meaning(label), []).append(label)
    sides = Sides(
        wanted.disagreed.both,
        dumps(meaning.get("good", [])).decode(),
        dumps(meaning.get("bad", [])).decode(),
    )
    return replace(wanted, disagreed=sides), len(known) <= MOST_LABELS


def _scalar(value: Json, most_bytes: int) -> str:
    """A value to filter by, as it is stored."""
    if not isinstance(value, str | int | float | bool | None):
        raise InvalidInputError("metadata", "can be filtered by scalars only")
    return encode_json("metadata", value, most_bytes, 1)


def _sought(field: str, prefix: str, text: str) -> str:
    """What a filter looks up; refused if it is too long to be found where it is kept:
    to say that there is no such session would be a lie."""
    if len(prefix + text) > MAX_ID_CHARS:
        most = MAX_ID_CHARS - len(prefix)
        raise InvalidInputError(
            field, f"cannot be filtered by more than {most} characters of JSON"
        )
    return prefix + text
