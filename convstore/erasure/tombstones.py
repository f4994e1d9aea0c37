"""Erasures written beside the segments: a database restored from an old backup, or
rebuilt from the archive, learns from them what must not come back.

`erasures/<erasure id>.json` holds the tenant, the session ids that are refused for
ever, and for a user a salted hash of the id.
"""

from __future__ import annotations

from contextlib import suppress

from convstore.blobs.base import BlobStore, publish_whole
from convstore.db.erasures import StoredErasure
from convstore.vocabulary.codec import check_int, decode_json, dumps
from convstore.vocabulary.errors import (
    AlreadyExistsError,
    CorruptionError,
    InvalidInputError,
)
from convstore.vocabulary.ids import check_id
from convstore.vocabulary.records import Json

_FOLDER = "erasures/"
_FORMAT = "convstore.erasure"
# A person with a million sessions.
_MAX_BYTES = 256 * 1024 * 1024
_MAX_HASH_CHARS = 64
_MEMBERS = (
    "tenant_id",
    "erasure_id",
    "subject",
    "subject_hash",
    "salt",
    "requested_at",
)


def write_tombstone(blobs: BlobStore, erasure: StoredErasure) -> None:
    """Write the tombstone of an erasure. Idempotent."""
    key = f"{_FOLDER}{erasure.erasure_id}.json"
    if blobs.exists(key):
        return
    body = {"format": _FORMAT, "format_version": 1}
    body |= {name: getattr(erasure, name) for name in _MEMBERS}
    body |= {"session_ids": list(erasure.session_ids)}
    # If it is there by now, another worker carries out the same erasure.
    with suppress(AlreadyExistsError):
        publish_whole(blobs, key, dumps(body) + b"\n")


def read_tombstones(blobs: BlobStore) -> list[StoredErasure]:
    """Every tombstone of the archive, oldest first.

    Raises:
        CorruptionError: One cannot be read; what it forbids is then unknown.
    """
    found = []
    for key in blobs.keys(_FOLDER):
        data = blobs.read(key, 0, _MAX_BYTES + 1)
        if len(data) > _MAX_BYTES:
            raise CorruptionError(f"{key}: larger than an erasure can be")
        try:
            found.append(_parse(key, decode_json(data)))
        except (KeyError, TypeError, ValueError, AttributeError, InvalidInputError):
            raise CorruptionError(f"{key}: not a whole erasure") from None
    return sorted(found, key=lambda erasure: erasure.requested_at)


def _parse(key: str, data: Json) -> StoredErasure:
    """The erasure in a file, whose name and values are those that we would write."""
    if (data["format"], data["format_version"]) != (_FORMAT, 1):
        raise CorruptionError(f"{key}: not an erasure of a version known here")
    if key != f"{_FOLDER}{data['erasure_id']}.json":
        raise CorruptionError(f"{key}: of another erasure")
    if data["subject"] not in ("user", "session"):
        raise CorruptionError(f"{key}: of neither a user nor a session")
    for name in ("subject_hash", "salt", "erasure_id"):
        if len(check_id(name, data[name])) > _MAX_HASH_CHARS:
            raise CorruptionError(f"{key}: not a whole erasure")
    if not isinstance(data["session_ids"], list):
        raise CorruptionError(f"{key}: not a whole erasure")
    check_id("tenant_id", data["tenant_id"])
    check_int("requested_at", data["requested_at"])
    return StoredErasure(
        **{name: data[name] for name in _MEMBERS},
        session_ids=tuple(check_id("session_ids", i) for i in data["session_ids"]),
        state="begun",
        receipt={},
        done_at=None,
    )
