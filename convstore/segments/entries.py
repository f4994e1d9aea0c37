"""Lines, documents and entries: how each of the three vouches for the others."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import TypeAlias

from msgspec.structs import replace

from convstore.segments.manifest import Entry
from convstore.vocabulary.documents import decode_document, encode_document
from convstore.vocabulary.errors import CorruptionError, InvalidInputError
from convstore.vocabulary.records import SessionDocument

Same: TypeAlias = Callable[[SessionDocument, SessionDocument], bool]
"""Whether a document that was read back from its line is the one that was given."""


def encode_line(document: SessionDocument) -> bytes:
    """The document as one line without its newline.

    Raises:
        InvalidInputError: It holds what JSON cannot; says nothing of its content.
    """
    try:
        return encode_document(document)
    except (TypeError, ValueError, RecursionError):
        raise InvalidInputError("document", "cannot be written as JSON") from None


def prove_line(line: bytes, document: SessionDocument, same: Same) -> None:
    """Check that what a reader makes of `line` is the document.

    Raises:
        CorruptionError: It is not.
    """
    if not same(document, decode_document(line)):
        raise CorruptionError("document does not read back as it was written")


def prove_stable(line: bytes) -> None:
    """Check that reading `line` and writing it again gives the same bytes.

    Raises:
        CorruptionError: It does not.
    """
    if encode_line(decode_document(line)) != line:
        raise CorruptionError("document does not read back as it was written")


def entry_of(
    document: SessionDocument, line: bytes, sha256: str | None = None
) -> Entry:
    """The entry of a document whose place in a segment is not known yet.

    `sha256` is that of the line, where it is known already.
    """
    session = document.session
    return Entry(
        0,
        session.tenant_id,
        session.id,
        session.version,
        0,
        0,
        len(line),
        sha256 or hashlib.sha256(line).hexdigest(),
        len(document.turns),
        len(document.interactions),
        len(document.graph_states),
    )


def placed(entry: Entry, *, ordinal: int, offset: int, length: int) -> Entry:
    """The entry at its place in a segment."""
    return replace(entry, ordinal=ordinal, offset=offset, length=length)


def check_line(line: bytes, sha256: str) -> None:
    """Check the line against its checksum.

    Raises:
        CorruptionError: It is another line.
    """
    if hashlib.sha256(line).hexdigest() != sha256:
        raise CorruptionError("document does not match its checksum")


def check_document(entry: Entry, document: SessionDocument, line: bytes) -> None:
    """Check that `entry` tells the truth about the document, tenant and id included.

    That the line has the entry's checksum was checked before.

    Raises:
        CorruptionError: It speaks of something else.
    """
    told = placed(
        entry_of(document, line, entry.sha256),
        ordinal=entry.ordinal,
        offset=entry.offset,
        length=entry.length,
    )
    if told != entry:
        raise CorruptionError("manifest does not match the document")
