"""Erasures written beside the segments: a database restored from an old backup, or
rebuilt from the archive, learns from them what must not come back.

`erasures/<erasure id>.json` holds the tenant, the session ids that are refused for
ever, and for a user a salted hash of the id.
"""

from __future__ import annotations

from convstore.blobs.base import BlobStore
from convstore.codec import decode_json, dumps
from convstore.db.erasures import StoredErasure
from convstore.errors import AlreadyExistsError, CorruptionError

_FOLDER = "erasures/"
_FORMAT = "convstore.erasure"
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
    staged = blobs.create(key)
    try:
        staged.write(dumps(body) + b"\n")
        staged.sync()
        staged.publish()
    except AlreadyExistsError:
        return  # another worker carries out the same erasure
    finally:
        staged.abort()


def read_tombstones(blobs: BlobStore) -> list[StoredErasure]:
    """Every tombstone of the archive, oldest first.

    Raises:
        CorruptionError: One cannot be read; what it forbids is then unknown.
    """
    found = []
    for key in blobs.keys(_FOLDER):
        data = decode_json(blobs.read(key))
        try:
            if (data["format"], data["format_version"]) != (_FORMAT, 1):
                raise CorruptionError(f"{key}: not an erasure of a version known here")
            found.append(
                StoredErasure(
                    **{name: data[name] for name in _MEMBERS},
                    session_ids=tuple(data["session_ids"]),
                    state="begun",
                    receipt={},
                    done_at=None,
                )
            )
        except (KeyError, TypeError):
            raise CorruptionError(f"{key}: not a whole erasure") from None
    return sorted(found, key=lambda erasure: erasure.requested_at)
