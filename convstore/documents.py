"""One session as one line of JSON, and back without loss.

The line is what segments hold and what `docs/session-document.schema.json` describes.
It is deterministic: equal documents give equal bytes, so a checksum compares them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields
from datetime import datetime
from types import UnionType
from typing import (
    Any,
    Literal,
    NamedTuple,
    TypeVar,
    Union,
    get_args,
    get_origin,
    get_type_hints,
)

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

_SECTIONS = tuple(f.name for f in fields(SessionDocument))


class _Plan(NamedTuple):
    """How one record is filled from JSON: its slots with the types that fit each, and
    the fields that JSON holds as something else."""

    slots: tuple[tuple[str, Callable[[object, object], None], frozenset[type]], ...]
    times: tuple[str, ...]
    tuples: tuple[str, ...]


def _plan(cls: type[Any]) -> _Plan:
    hints = get_type_hints(cls)
    return _Plan(
        slots=tuple(
            (name, getattr(cls, name).__set__, _types(hint))
            for name, hint in hints.items()
        ),
        times=tuple(n for n, hint in hints.items() if datetime in _types(hint)),
        tuples=tuple(n for n, hint in hints.items() if tuple in _types(hint)),
    )


def _types(hint: Any) -> frozenset[type]:
    """The types of a field's values, not looking into them; empty where any will do."""
    origin = get_origin(hint)
    if hint is Any:
        return frozenset()
    if origin in (Union, UnionType):
        return frozenset().union(*(_types(arg) for arg in get_args(hint)))
    if origin is Literal:
        return frozenset(type(arg) for arg in get_args(hint))
    return frozenset({float, int} if hint is float else {origin or hint})


_PLANS: dict[type[Any], _Plan] = {
    cls: _plan(cls)
    for cls in (Session, Turn, Interaction, GraphState, LegalHold, LedgerEntry)
}


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
            with a field missing, unknown or of the wrong type.
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
            turns=tuple(_record(Turn, item) for item in _tuple(data["turns"])),
            tool_sets=_lists(data["tool_sets"]),
            interactions=tuple(
                _interaction(item) for item in _tuple(data["interactions"])
            ),
            graph_states=tuple(
                _record(GraphState, item) for item in _tuple(data["graph_states"])
            ),
            ledger=_optional(LedgerEntry, data["ledger"]),
            holds=tuple(_record(LegalHold, item) for item in _tuple(data["holds"])),
        )
    except (TypeError, ValueError, KeyError, AttributeError):
        # The cause may quote content: name the kind of fault only.
        raise CorruptionError("session document with a malformed field") from None


def _record(cls: type[R], data: dict[str, Any]) -> R:
    plan = _PLANS[cls]
    if len(data) != len(plan.slots):
        raise KeyError("a field is missing or unknown")
    values = dict(data)
    for name in plan.times:
        if values[name] is not None:
            values[name] = _time(values[name])
    for name in plan.tuples:
        values[name] = _tuple(values[name])
    # The generated __init__ of a frozen class takes three times as long, and reading
    # an archive is mostly this. The records have nothing to do in __post_init__.
    record = object.__new__(cls)
    for name, assign, types in plan.slots:
        value = values[name]
        if types and type(value) not in types:
            raise TypeError("a field has a value of the wrong type")
        assign(record, value)
    return record


def _optional(cls: type[R], data: dict[str, Any] | None) -> R | None:
    return None if data is None else _record(cls, data)


def _tuple(items: Json) -> tuple[Json, ...]:
    if type(items) is not list:
        raise TypeError("a field has a value of the wrong type")
    return tuple(items)


def _lists(sets: dict[str, Json]) -> dict[str, list[Json]]:
    if not all(type(tools) is list for tools in sets.values()):
        raise TypeError("a field has a value of the wrong type")
    return sets


def _time(text: str) -> datetime:
    at = datetime.fromisoformat(text)
    if at.tzinfo is None:
        raise ValueError("a time has no time zone")
    return at


def _interaction(data: dict[str, Any]) -> Interaction:
    choice = data["choice"]
    if choice is not None:
        choice = Choice(choice["chosen"], _tuple(choice["rejected"]))
    return _record(Interaction, {**data, "choice": choice})
