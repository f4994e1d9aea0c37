"""One session as one line of JSON, and back without loss.

The line is what segments hold and what `docs/session-document.schema.json` describes.
It is deterministic: equal documents give equal bytes, so a checksum compares them.

What a later version adds is of two kinds. A reader may do without an optional field:
one of a session, turn, interaction or graph state that is not known here is kept in the
record's metadata under `KEPT`, and written where it was. What a reader must understand
raises the format version, or is named in the list `requires`: then the document is
refused as newer, and is no damage.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from functools import cache
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

from msgspec import MsgspecError
from msgspec.structs import asdict

from convstore.vocabulary.attachments import Attachment, rightly_named
from convstore.vocabulary.checkpoints import (
    NO_CHECKPOINTS,
    CheckpointEnd,
    StoredCheckpoint,
    StoredCheckpoints,
    StoredElement,
    StoredValue,
    StoredWrite,
)
from convstore.vocabulary.codec import (
    bytes_from_json,
    bytes_to_json,
    decode_json,
    dumps,
)
from convstore.vocabulary.decoders import decoder_of
from convstore.vocabulary.errors import (
    CorruptionError,
    NewerFormatError,
)
from convstore.vocabulary.record import Record, field, names_of
from convstore.vocabulary.records import (
    Choice,
    GraphState,
    Interaction,
    Item,
    Json,
    JsonObject,
    LedgerEntry,
    LegalHold,
    Session,
    SessionDocument,
    Turn,
)
from convstore.vocabulary.times import FIRST, LAST, time_of

FORMAT = "convstore.session"
FORMAT_VERSION = 1

REQUIRES = "requires"
"""Names a list of what a reader must understand; left out when that is nothing."""

KEPT = "convstore:unknown"
"""The first key of metadata that holds the fields of a record which are not known here.
"""

# Left out where there is none, so that lines of before they were thought of stay the
# same; the last fields of their records.
_OPTIONAL: dict[type[Any], tuple[str, ...]] = {
    Session: (
        "imported_at",
        "forked_from",
        "forked_at_seq",
        "forked_turns",
        "root_session_id",
        "generation",
    ),
    Turn: ("payload", "payload_format"),
}

DOCUMENT_BEGINS = f'{{"format":"{FORMAT}",'.encode()
"""How the line of every document begins."""

R = TypeVar("R", bound=Record)

_SECTIONS = names_of(SessionDocument)
# Sections that are left out where they are empty, for the same reason. A reader that
# does not know one refuses the document as newer.
_OPTIONAL_SECTIONS = frozenset(_SECTIONS[-4:])
_CHECKPOINTS: dict[str, type[Any]] = {
    "checkpoints": StoredCheckpoint,
    "values": StoredValue,
    "elements": StoredElement,
    "writes": StoredWrite,
    "ends": CheckpointEnd,
}
_MEMBERS = frozenset({"format", "format_version", REQUIRES, *_SECTIONS})


class _Plan(NamedTuple):
    """How one record is made from JSON: its fields in order with the types that fit
    each, and those that JSON holds as something else. `usual` are the fields without
    the optional ones."""

    names: tuple[str, ...]
    optional: tuple[str, ...]
    usual: tuple[str, ...]
    types: tuple[frozenset[type], ...]
    converted: tuple[tuple[int, Callable[[Any], object]], ...]
    # Rows of types that were found to fit before: mostly the same few.
    fitting: set[tuple[type, ...]]


_MOST_FITTING = 1_000


def _planned(cls: type[Any]) -> _Plan:
    hints = get_type_hints(cls)
    types = tuple(_types(hint) for hint in hints.values())
    optional = _OPTIONAL.get(cls, ())
    return _Plan(
        names=tuple(hints),
        optional=optional,
        usual=tuple(name for name in hints if name not in optional),
        types=types,
        converted=tuple(
            (place, convert)
            for kind, convert in _CONVERTED.items()
            for place, fit in enumerate(types)
            if kind in fit
        ),
        fitting=set(),
    )


# When a record is first read or written: this costs more than to define it.
_plan: Callable[[type[Any]], _Plan] = cache(_planned)  # type: ignore[assignment]


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


def encode_document(document: SessionDocument, *, indent: bool = False) -> bytes:
    """The document as one line of JSON without its newline, or indented to be read."""
    return dumps(spelled(document), indent=indent)


def spelled(document: SessionDocument) -> dict[str, object]:
    """What the line says: its members in order, still with records in it."""
    head: dict[str, object] = {"format": FORMAT, "format_version": FORMAT_VERSION}
    for name in _SECTIONS:
        section = getattr(document, name)
        if section or name not in _OPTIONAL_SECTIONS:
            head[name] = section
    head["session"] = _spelled(document.session)
    head["turns"] = [_spelled_turn(turn) for turn in document.turns]
    for name in ("interactions", "graph_states"):
        records = getattr(document, name)
        if records and any(KEPT in record.metadata for record in records):
            head[name] = [_spelled(record) for record in records]
    if document.checkpoints:
        head["checkpoints"] = {
            name: [_opaque(record) for record in getattr(document.checkpoints, name)]
            for name in _CHECKPOINTS
        }
    if document.attachments:
        head["attachments"] = [_opaque(kept) for kept in document.attachments]
    return head


def _spelled_turn(turn: Turn) -> dict[str, object]:
    if turn.payload is not None or KEPT in turn.metadata:
        return _spelled(turn)
    written = asdict(turn)  # faster than a loop: most turns have no payload
    del written["payload"], written["payload_format"]
    return written


def _opaque(record: Any) -> dict[str, object]:
    """The fields of a record that has bytes among them and no optional ones."""
    plan = _plan(type(record))
    given = ((name, getattr(record, name)) for name in plan.usual)
    return {n: bytes_to_json(v) if type(v) is bytes else v for n, v in given}


def _spelled(record: Any) -> dict[str, object]:
    """The record's fields as they are written: optional ones only where they are there,
    and those that are not known here behind the others."""
    plan = _plan(type(record))
    written: dict[str, object] = asdict(record)
    for name in plan.optional:  # the last fields: they stay in their order
        if (value := written.pop(name)) is not None:
            written[name] = bytes_to_json(value) if type(value) is bytes else value
    # Only as `_arranged` leaves them: what an application wrote itself stays as it is.
    unknown = record.metadata.get(KEPT)
    if (
        isinstance(unknown, dict)
        and unknown
        and next(iter(record.metadata)) == KEPT
        and unknown.keys().isdisjoint(plan.names)
    ):
        written["metadata"] = {k: v for k, v in record.metadata.items() if k != KEPT}
        written.update(unknown)
    return written


def beginning_of(tenant_id: str, session_id: str) -> bytes:
    """How the line of every document of this session begins."""
    names = {"tenant_id": tenant_id, "id": session_id}
    head = {"format": FORMAT, "format_version": FORMAT_VERSION, "session": names}
    return dumps(head).removesuffix(b"}}")


def decode_document(line: bytes | str) -> SessionDocument:
    """The document that `encode_document` wrote.

    Raises:
        CorruptionError: Not JSON, not a session document, or with a field missing or of
            the wrong type.
        NewerFormatError: Of a newer format version, it requires something that is not
            known here, or has an unknown field where none can be kept.
    """
    if isinstance(line, str):
        line = line.encode(errors="surrogatepass")
    if (found := _as_usual(line)) is not None:
        return found
    return document_from_json(decode_json(line))


class _Line(Record, frozen=True):
    """A line as nearly all are: of this version, with nothing in it that is newer."""

    format: Literal["convstore.session"]
    format_version: Literal[1]
    session: Session
    turns: tuple[Turn, ...]
    tool_sets: dict[str, list[Any]]
    interactions: tuple[Interaction, ...]
    graph_states: tuple[GraphState, ...]
    ledger: LedgerEntry | None
    holds: tuple[LegalHold, ...]
    adapter_state: dict[str, dict[str, Any]] = field(default_factory=dict)
    items: tuple[Item, ...] = ()


# An integer of more digits than this fits no 64 bits: it is read in the careful way.
_DIGITS = bytes(48 if 48 <= byte < 58 else 32 for byte in range(256))
_TOO_MANY = b"0" * 20


def _is_usual(found: _Line) -> bool:
    """Whether no turn has bytes, which JSON holds as something else, and every time a
    date in UTC.

    Raises:
        TypeError: A time has no zone.
    """
    times = [turn.created_at for turn in found.turns]
    times += [act.created_at for act in found.interactions]
    times += [graph.created_at for graph in found.graph_states]
    few: list[Record] = [found.session, *found.holds, *found.items]
    if found.ledger is not None:
        few.append(found.ledger)
    for record in few:
        times += [at for name in _times(type(record)) if (at := getattr(record, name))]
    return (
        min(times) >= FIRST
        and max(times) <= LAST
        and all(turn.payload is None for turn in found.turns)
    )


def _times_of(cls: type[Any]) -> tuple[str, ...]:
    fields = zip(_plan(cls).names, _plan(cls).types, strict=True)
    return tuple(name for name, fit in fields if datetime in fit)


_times: Callable[[type[Any]], tuple[str, ...]] = cache(_times_of)  # type: ignore[assignment]


def _as_usual(line: bytes) -> SessionDocument | None:
    """The document of a line, read into records at once; None where there is anything
    unusual about it. It takes nothing that the careful way would refuse."""
    if b'"payload"' in line or _TOO_MANY in line.translate(_DIGITS):
        return None
    try:
        found = decoder_of(_Line).decode(line)
        usual = _is_usual(found)
    except (MsgspecError, UnicodeError, RecursionError, TypeError):
        return None
    if not usual:
        return None
    return SessionDocument(
        found.session,
        found.turns,
        found.tool_sets,
        found.interactions,
        found.graph_states,
        found.ledger,
        found.holds,
        dict(sorted(found.adapter_state.items())),
        found.items,
    )


def document_from_json(data: Json) -> SessionDocument:
    """The document of parsed JSON; errors as `decode_document`."""
    if not isinstance(data, dict) or data.get("format") != FORMAT:
        raise CorruptionError("not a session document")
    check_understood("session document", data, FORMAT_VERSION)
    if unknown := data.keys() - _MEMBERS:
        raise NewerFormatError("session document", f"{len(unknown)} unknown sections")
    if not data.keys() >= _MEMBERS - {REQUIRES} - _OPTIONAL_SECTIONS:
        raise CorruptionError("session document with a section missing")
    try:
        return SessionDocument(
            session=_record(Session, data["session"]),
            turns=tuple(_record(Turn, item) for item in _tuple(data["turns"])),
            tool_sets=_lists(data["tool_sets"]),
            interactions=tuple(
                _record(Interaction, item) for item in _tuple(data["interactions"])
            ),
            graph_states=tuple(
                _record(GraphState, item) for item in _tuple(data["graph_states"])
            ),
            ledger=_optional(LedgerEntry, data["ledger"]),
            holds=tuple(_record(LegalHold, item) for item in _tuple(data["holds"])),
            adapter_state=_objects(data.get("adapter_state", {})),
            items=tuple(_record(Item, i) for i in _tuple(data.get("items", []))),
            checkpoints=_checkpoints(data.get("checkpoints")),
            attachments=rightly_named(
                _closed(Attachment, item)
                for item in _tuple(data.get("attachments", []))
            ),
        )
    except (TypeError, ValueError, KeyError, AttributeError):
        # The cause may quote content: name the kind of fault only.
        raise CorruptionError("session document with a malformed field") from None


def check_understood(what: str, data: dict[str, Any], version: int) -> None:
    """Check that a document or manifest is of a format that is known here.

    Raises:
        NewerFormatError: It is newer, or requires something that is not known here.
        CorruptionError: It has no format version, or no usable list of requirements.
    """
    given, requires = data.get("format_version"), data.get(REQUIRES, [])
    if type(given) is not int or given < 1:
        raise CorruptionError(f"{what} without a format version")
    if given > version:
        raise NewerFormatError(what, f"version {given}, known are 1 to {version}")
    if type(requires) is not list or not all(type(name) is str for name in requires):
        raise CorruptionError(f"{what} with a malformed list of requirements")
    if requires:
        raise NewerFormatError(what, f"{len(requires)} unknown requirements")


def _record(cls: type[R], data: dict[str, Any]) -> R:
    plan = _plan(cls)
    if tuple(data) == plan.usual:
        values = [*data.values(), *([None] * len(plan.optional))]
    else:
        values = _arranged(plan, data)
    for place, convert in plan.converted:
        if values[place] is not None:
            values[place] = convert(values[place])
    types = tuple(map(type, values))
    if types not in plan.fitting:
        _check_types(plan, types)
    return cls(*values)


def _arranged(plan: _Plan, data: dict[str, Any]) -> list[Any]:
    """The values of the fields in order, with unknown fields kept in the metadata."""
    if not data.keys() >= set(plan.usual):
        raise KeyError("a field is missing")
    unknown = {name: data[name] for name in data if name not in plan.names}
    if unknown:
        metadata = data.get("metadata")
        if type(metadata) is not dict or KEPT in metadata:
            raise NewerFormatError("session document", "a field that cannot be kept")
        data = {**data, "metadata": {KEPT: unknown, **metadata}}
    return [data.get(name) for name in plan.names]


def _check_types(plan: _Plan, types: tuple[type, ...]) -> None:
    for kind, fit in zip(types, plan.types, strict=True):
        if fit and kind not in fit:
            raise TypeError("a field has a value of the wrong type")
    if len(plan.fitting) < _MOST_FITTING:
        plan.fitting.add(types)


def _optional(cls: type[R], data: dict[str, Any] | None) -> R | None:
    return None if data is None else _record(cls, data)


def _tuple(items: Json) -> tuple[Json, ...]:
    if type(items) is not list:
        raise TypeError("a field has a value of the wrong type")
    return tuple(items)


def _checkpoints(data: dict[str, Json] | None) -> StoredCheckpoints:
    if data is None:
        return NO_CHECKPOINTS
    if unknown := data.keys() - _CHECKPOINTS.keys():
        raise NewerFormatError("session document", f"{len(unknown)} unknown sections")
    return StoredCheckpoints(
        **{
            name: tuple(_closed(cls, item) for item in _tuple(data[name]))
            for name, cls in _CHECKPOINTS.items()
        }
    )


def _closed(cls: type[R], data: dict[str, Any]) -> R:
    """As `_record`, of one that has no metadata of ours to keep what is unknown in."""
    if data.keys() - _plan(cls).names:
        raise NewerFormatError("session document", "a field that cannot be kept")
    return _record(cls, data)


def _lists(sets: dict[str, Json]) -> dict[str, list[Json]]:
    if not all(type(tools) is list for tools in sets.values()):
        raise TypeError("a field has a value of the wrong type")
    return sets


def _objects(states: dict[str, Json]) -> dict[str, JsonObject]:
    if not all(type(state) is dict for state in states.values()):
        raise TypeError("a field has a value of the wrong type")
    return dict(sorted(states.items()))


def _choice(data: dict[str, Any]) -> Choice:
    if len(data) > len(names_of(Choice)):
        raise NewerFormatError("session document", "a field that cannot be kept")
    return Choice(data["chosen"], _tuple(data["rejected"]))


# What JSON holds otherwise, by the type of the field.
_CONVERTED: dict[type, Callable[[Any], object]] = {
    datetime: time_of,
    bytes: bytes_from_json,
    tuple: _tuple,
    Choice: _choice,
}
