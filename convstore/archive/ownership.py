"""One database, one archive folder, and a mark in both that says so.

In a folder that two databases shared, each would take the other's segments for what a
crash left behind, and the other's erasures for its own. So a database marks the folder
that it first archives to, and touches none that has another's mark.
"""

from __future__ import annotations

import asyncio

from convstore.archive.context import Context
from convstore.blobs.base import BlobStore
from convstore.blobs.whole import publish_whole
from convstore.db import archive_ownership
from convstore.db.engine import Backend
from convstore.vocabulary.codec import decode_json, dumps
from convstore.vocabulary.errors import (
    AlreadyExistsError,
    ConfigError,
    CorruptionError,
    InvalidInputError,
    SegmentNotFoundError,
    UnavailableError,
)
from convstore.vocabulary.ids import check_id, new_id

MARK = "archive.json"
_FORMAT = "convstore.archive"
_MAX_BYTES = 4_096


async def claim(context: Context, *, take_over: bool = False) -> None:
    """Make sure that the archive folder is this database's; one without a mark becomes
    it. Idempotent.

    Args:
        context: Of the database and the folder.
        take_over: A database that has no folder yet may take one that was another's.

    Raises:
        ConfigError: The folder is another database's; nothing was changed in it.
        CorruptionError: Its mark cannot be read.
    """
    marked = await context.files(lambda: read_mark(context.blobs))
    bound = await context.read(archive_ownership.bound)
    if bound is None and (marked is None or take_over):
        wanted = marked or new_id()
        bound = await context.write(lambda c: archive_ownership.bind(c, wanted))
    if marked is None and bound is not None:
        # The database knows the id first: after a crash in between, the next claim
        # goes on here with the same one.
        own = bound
        marked = await context.files(lambda: _write_mark(context.blobs, own))
    if marked != bound:
        raise ConfigError(_refusal(bound))


async def refuse_foreign(context: Context, *, unless_unbound: bool = False) -> None:
    """Refuse a folder that has another database's mark; marks nothing.

    Args:
        context: Of the database and the folder.
        unless_unbound: Not for a database that has no folder yet, such as one restored
            from a backup of before its first.

    Raises:
        ConfigError, CorruptionError: As `claim`.
    """
    if not await is_foreign(context):
        return
    bound = await context.read(archive_ownership.bound)
    if bound is not None or not unless_unbound:
        raise ConfigError(_refusal(bound))


async def is_foreign(context: Context) -> bool:
    """Whether the archive folder is another database's."""
    marked = await context.files(lambda: read_mark(context.blobs))
    return marked not in (None, await context.read(archive_ownership.bound))


async def archives_to(backend: Backend, blobs: BlobStore) -> bool:
    """Whether a folder has this database's mark. One that cannot be read is not known
    to be its own."""
    bound = await backend.read(archive_ownership.bound)
    if bound is None:
        return False
    try:
        return await asyncio.to_thread(read_mark, blobs) == bound
    except (CorruptionError, UnavailableError):
        return False


def read_mark(blobs: BlobStore) -> str | None:
    """The id in the mark of a folder; None where there is no mark.

    Raises:
        CorruptionError: It is damaged, or of a version not known here.
    """
    try:
        data = blobs.read(MARK, 0, _MAX_BYTES)
    except SegmentNotFoundError:
        return None
    try:
        mark = decode_json(data)
        if (mark["format"], mark["format_version"]) != (_FORMAT, 1):
            raise CorruptionError(f"{MARK}: not a mark of a version known here")
        return check_id("folder_id", mark["folder_id"])
    except (KeyError, TypeError, InvalidInputError):
        raise CorruptionError(f"{MARK}: not the mark of an archive folder") from None


def _write_mark(blobs: BlobStore, folder_id: str) -> str | None:
    """Mark the folder; the id in force, if another database was quicker."""
    body = {"format": _FORMAT, "format_version": 1, "folder_id": folder_id}
    try:
        publish_whole(blobs, MARK, dumps(body) + b"\n")
    except AlreadyExistsError:
        return read_mark(blobs)
    return folder_id


def _refusal(bound: str | None) -> str:
    told = (
        "ARCHIVE_DIR: the archive folder belongs to another database: give each "
        "database a folder of its own"
    )
    if bound is None:
        told += (
            "; if that database is gone, `convstore archive rebuild` makes the folder "
            "this one's"
        )
    return told
