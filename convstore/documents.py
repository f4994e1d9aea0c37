"""One session as one line of JSON, and back without loss.

The line is what segments hold and what `docs/session-document.schema.json` describes.
It is deterministic: equal documents give equal bytes, so a checksum compares them.
"""

from __future__ import annotations

from dataclasses import fields
from datetime import datetime
from typing import Any, TypeVar, cast

from convstore.codec import decode_json, dumps
from convstore.errors import CorruptionError
from convstore.records import (
    Choice,
    GraphState,
    Interaction,
    Json,
    LedgerEntry,
    LegalHold,
    Session,
    SessionDocument,
    Turn,
)

FORMAT = "convstore.session"
FORMAT_VERSION = 1

R = TypeVar("R")

_TIMES = frozenset(
    name
    for record in (Session, Turn, Interaction, GraphState, LegalHold, LedgerEntry)
    for name in (f.name for f in fields(record))
    if name.endswith("_at") or name == "cache_sticky_until"
)
_TUPLES = frozenset({"tags", "recent_hashes"})
_SECTIONS = tuple(f.name for f in fields(SessionDocument))


def encode_document(document: SessionDocument, *, indent: bool = False) -> bytes:
    """The document as one line of JSON without its newline, or indented to be read."""
    head: dict[str, object] = {"format": FORMAT, "format_version": FORMAT_VERSION}
    for name in _SECTIONS:
        head[name] = getattr(document, name)
    return dumps(head, indent=indent)


def decode_document(line: bytes | str) -> SessionDocument:
    """The document that `encode_document` wrote.

    Raises:
        CorruptionError: Not JSON, not a session document, of a newer format version, or
            with a field missing or unknown.
    """
    return document_from_json(decode_json(line))


def document_from_json(data: Json) -> SessionDocument:
    """The document of parsed JSON; errors as `decode_document`."""
    if not isinstance(data, dict) or data.get("format") != FORMAT:
        raise CorruptionError("not a session document")
    if data.get("format_version") != FORMAT_VERSION:
        raise CorruptionError(
            f"session document of format version {data.get('format_version')!r}; "
            f"this version of convstore reads {FORMAT_VERSION}"
        )
    if data.keys() != {"format", "format_version", *_SECTIONS}:
        raise CorruptionError("session document with a section missing or unknown")
    try:
        return SessionDocument(
            session=_record(Session, data["session"]),
            turns=tuple(_record(Turn, item) for item in data["turns"]),
            tool_sets=data["tool_sets"],
            interactions=tuple(_interaction(item) for item in data["interactions"]),
            graph_states=tuple(
                _record(GraphState, item) for item in data["graph_states"]
            ),
            ledger=data["ledger"] and _record(LedgerEntry, data["ledger"]),
            holds=tuple(_record(LegalHold, item) for item in data["holds"]),
        )
    except (TypeError, ValueError, KeyError, AttributeError):
        # The cause may quote content: name the kind of fault only.
        raise CorruptionError("session document with a malformed field") from None


def _record(cls: type[R], data: dict[str, Any]) -> R:
    values = dict(data)
    for name in _TIMES & values.keys():
        if values[name] is not None:
            values[name] = datetime.fromisoformat(values[name])
    for name in _TUPLES & values.keys():
        values[name] = tuple(values[name])
    return cls(**values)


def _interaction(data: dict[str, Any]) -> Interaction:
    choice = data["choice"]
    if choice is not None:
        choice = Choice(choice["chosen"], tuple(choice["rejected"]))
    return cast(Interaction, _record(Interaction, {**data, "choice": choice}))
