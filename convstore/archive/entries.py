"""Lines, documents and entries: how each of the three vouches for the others."""

from __future__ import annotations

import hashlib
from typing import Literal, TypeAlias

from convstore.archive.manifest import Entry
from convstore.codec import decode_json, dumps
from convstore.documents import decode_document, encode_document
from convstore.errors import CorruptionError, InvalidInputError
from convstore.records import SessionDocument

Proof: TypeAlias = Literal["records", "json"]
"""How a line is proven lossless.

`records`: decoded into records, which must encode to the same bytes. `json`: parsed as
JSON, which must print to the same bytes; the records are not tried.
"""


def encode_line(document: SessionDocument) -> bytes:
    """The document as one line without its newline.

    Raises:
        InvalidInputError: It holds what JSON cannot; says nothing of its content.
    """
    try:
        return encode_document(document)
    except (TypeError, ValueError, RecursionError):
        raise InvalidInputError("document", "cannot be written as JSON") from None


def prove_line(line: bytes, proof: Proof) -> None:
    """Check that reading `line` and writing it again gives the same bytes.

    Raises:
        CorruptionError: It does not.
    """
    if proof == "records":
        again = encode_line(decode_document(line))
    else:
        again = dumps(decode_json(line))
    if again != line:
        raise CorruptionError("document does not read back as it was written")


def entry_of(document: SessionDocument, line: bytes) -> Entry:
    """The entry of a document whose place in a segment is not known yet."""
    session = document.session
    return Entry(
        ordinal=0,
        tenant_id=session.tenant_id,
        session_id=session.id,
        session_version=session.version,
        offset=0,
        length=0,
        raw_length=len(line),
        sha256=hashlib.sha256(line).hexdigest(),
        turn_count=len(document.turns),
        interaction_count=len(document.interactions),
        graph_state_count=len(document.graph_states),
    )


def placed(entry: Entry, *, ordinal: int, offset: int, length: int) -> Entry:
    """The entry at its place in a segment."""
    # Spelled out: `dataclasses.replace` takes as long as hashing the document.
    return Entry(
        ordinal,
        entry.tenant_id,
        entry.session_id,
        entry.session_version,
        offset,
        length,
        entry.raw_length,
        entry.sha256,
        entry.turn_count,
        entry.interaction_count,
        entry.graph_state_count,
    )


def check_line(line: bytes, sha256: str) -> None:
    """Check the line against its checksum.

    Raises:
        CorruptionError: It is another line.
    """
    if hashlib.sha256(line).hexdigest() != sha256:
        raise CorruptionError("document does not match its checksum")


def check_document(entry: Entry, document: SessionDocument, line: bytes) -> None:
    """Check that `entry` tells the truth about the document, tenant and id included.

    Raises:
        CorruptionError: It speaks of something else.
    """
    told = placed(
        entry_of(document, line),
        ordinal=entry.ordinal,
        offset=entry.offset,
        length=entry.length,
    )
    if told != entry:
        raise CorruptionError("manifest does not match the document")
