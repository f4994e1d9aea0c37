"""`convstore`: our own session documents, from exports and archives. Lossless."""

from __future__ import annotations

from convstore.imports.model import ImportedSession, from_document
from convstore.vocabulary.documents import document_from_json
from convstore.vocabulary.records import Json


def parse(record: Json) -> ImportedSession:
    """The session of one document, with the document itself to be stored as it is.

    Raises:
        CorruptionError: No document of a version that this library reads.
    """
    return from_document(document_from_json(record))
