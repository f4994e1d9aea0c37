"""Which sessions a list, a count or a stream of documents is about, checked."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from convstore.db import sessions as rows
from convstore.db.codec.inputs import MAX_TITLE_BYTES, encode_time
from convstore.db.session_filters import LISTED, Filter
from convstore.vocabulary.codec import check_text, encode_json
from convstore.vocabulary.errors import InvalidInputError
from convstore.vocabulary.ids import MAX_ID_CHARS, check_id, check_optional_id
from convstore.vocabulary.limits import Limits
from convstore.vocabulary.records import Json, SessionState


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
) -> Filter:
    """The filters of `sessions.list`, checked and as they are stored.

    Raises:
        InvalidInputError: One of them cannot be meant; it is named.
    """
    if state not in (None, "active", "archived", "deleted", "erased"):
        raise InvalidInputError("state", "is not a state of a session")
    most = limits.max_metadata_bytes
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
        title=title and check_text("title", title, MAX_TITLE_BYTES),
        tag=None
        if tag is None
        else _sought("tag", rows.TAG_PREFIX, check_id("tag", tag)),
        label=check_optional_id("label", label),
        metadata=tuple(
            (
                _sought("metadata", rows.METADATA_PREFIX, check_id("metadata", key)),
                _sought("metadata", "", _scalar(value, most)),
            )
            for key, value in (metadata or {}).items()
        ),
    )


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
