"""What an archive folder says of whose it is: a mark that never changes, and a number
that grows.

`archive.json` holds the folder's id. `generations/<number>.json` holds a token, and is
published anew, under the next number, each time a database that works here begins,
seals or destroys something. Nothing is ever overwritten, so of two that reach for one
number one gets it. It knows no database.
"""

from __future__ import annotations

from contextlib import suppress

from convstore.blobs.base import BlobStore, Placed, publish_whole
from convstore.vocabulary.codec import check_int, decode_json, dumps
from convstore.vocabulary.errors import (
    AlreadyExistsError,
    CorruptionError,
    InvalidInputError,
    SegmentNotFoundError,
)
from convstore.vocabulary.ids import check_id
from convstore.vocabulary.record import Value

MARK = "archive.json"
GENERATIONS = "generations/"
IN_FOLDER = "folder-"
"""Before what tells a folder from a copy of it."""

_FORMAT, _GENERATION_FORMAT = "convstore.archive", "convstore.generation"
_MAX_BYTES = 4_096

# The newest may be removed, as superseded, between the list of names and the file.
_TRIES = 5


class Marked(Value, frozen=True):
    """A folder's id, None where it has no mark, and its newest generation, 0 where it
    has none. `place` tells the folder from a copy of it."""

    folder_id: str | None
    generation: int = 0
    token: str | None = None
    place: tuple[str, ...] = ()


def read_folder(blobs: BlobStore) -> Marked:
    """The mark and the newest generation of a folder.

    Raises:
        CorruptionError: One of them is damaged, or of a version not known here.
    """
    folder_id = read_mark(blobs)
    place = blobs.place(MARK) if isinstance(blobs, Placed) else ()
    told = tuple(f"{IN_FOLDER}{name}" for name in place)
    if folder_id is None:
        return Marked(None, place=told)
    return Marked(folder_id, *newest(blobs), told)


def read_mark(blobs: BlobStore) -> str | None:
    """The id in the mark of a folder; None where there is no mark.

    Raises:
        CorruptionError: As `read_folder`.
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


def write_mark(blobs: BlobStore, folder_id: str) -> str | None:
    """Mark a folder; the id in force, if somebody was quicker. Idempotent."""
    body = {"format": _FORMAT, "format_version": 1, "folder_id": folder_id}
    try:
        publish_whole(blobs, MARK, dumps(body) + b"\n")
    except AlreadyExistsError:
        return read_mark(blobs)
    return folder_id


def newest(blobs: BlobStore) -> tuple[int, str | None]:
    """The number and the token of the newest generation; 0 and None without any.

    Raises:
        CorruptionError: As `read_folder`.
    """
    for _ in range(_TRIES):
        numbers = _numbers(blobs)
        if not numbers:
            return 0, None
        with suppress(SegmentNotFoundError):
            return numbers[-1], _token(blobs, numbers[-1])
    raise CorruptionError(f"{GENERATIONS}: names files that are not there")


def publish_generation(blobs: BlobStore, number: int, token: str) -> bool:
    """Make a generation the newest; False if its number has another token already, or
    there is a newer one by now.

    Durable when this returns. Idempotent. Removes those that are superseded, but for
    the one before the newest: somebody may be between its name and its content.
    """
    body = {
        "format": _GENERATION_FORMAT,
        "format_version": 1,
        "number": number,
        "token": token,
    }
    try:
        publish_whole(blobs, _key(number), dumps(body) + b"\n")
    except AlreadyExistsError:
        try:
            if _token(blobs, number) != token:
                return False
        except SegmentNotFoundError:
            return False  # superseded, and removed
    numbers = _numbers(blobs)
    for old in numbers:
        if old < numbers[-1] - 1:
            blobs.delete(_key(old))
    # Whoever slept since it looked may have taken a number whose file was removed long
    # ago: nobody was kept from anything by that.
    return numbers[-1:] == [number]


def _numbers(blobs: BlobStore) -> list[int]:
    found = []
    for key in blobs.keys(GENERATIONS):
        name = key.removeprefix(GENERATIONS).removesuffix(".json")
        if name.isascii() and name.isdecimal() and key == _key(int(name)):
            found.append(int(name))
    return sorted(found)


def _token(blobs: BlobStore, number: int) -> str:
    key = _key(number)
    try:
        body = decode_json(blobs.read(key, 0, _MAX_BYTES))
        if (body["format"], body["format_version"]) != (_GENERATION_FORMAT, 1):
            raise CorruptionError(f"{key}: not a generation of a version known here")
        if check_int("number", body["number"]) != number:
            raise CorruptionError(f"{key}: of another number")
        return check_id("token", body["token"])
    except (KeyError, TypeError, InvalidInputError):
        raise CorruptionError(f"{key}: not the generation of a folder") from None


def _key(number: int) -> str:
    return f"{GENERATIONS}{number:012}.json"
