"""Records of `convstore`."""

from __future__ import annotations

from convstore.errors import InvalidInputError
from convstore.imports.model import ImportedSession
from convstore.vocabulary.codec import decode_json
from convstore.vocabulary.documents import encode_document
from convstore.vocabulary.records import Json


def to_record(session: ImportedSession) -> Json:
    """The record that `parse` took.

    Raises:
        InvalidInputError: The session was not read from a document.
    """
    if session.document is None:
        raise InvalidInputError("document", "is missing")
    return decode_json(encode_document(session.document))
