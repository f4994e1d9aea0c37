"""The record that a session was read from, made again from what was kept of it.

No format of the package goes this way; it proves that an import loses nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from collections.abc import Mapping as Table
from dataclasses import dataclass

from convstore.imports.mapping.file import Mapping
from convstore.imports.mapping.records import mapped_format
from convstore.imports.model import ImportedSession
from convstore.imports.registry import Format
from convstore.vocabulary.records import Json
from tests.unit.imports.inverse import (
    alpaca,
    documents,
    kto,
    mapping,
    messages,
    oasst,
    preference,
    session_json,
    sharegpt,
)

_OF_FORMATS: Table[str, Callable[[ImportedSession], Json]] = {
    "convstore": documents.to_record,
    "messages": messages.to_record,
    "sharegpt": sharegpt.to_record,
    "preference": preference.to_record,
    "kto": kto.to_record,
    "alpaca": alpaca.to_record,
    "oasst": oasst.to_record,
    "session-json": session_json.to_record,
}


@dataclass(frozen=True, slots=True)
class MappedFormat(Format):
    """A format of a mapping that remembers it."""

    mapping: Mapping | None = None


def mapped(given: Mapping) -> MappedFormat:
    """The format that reads by this mapping, for `to_record`."""
    made = mapped_format(given)
    return MappedFormat(made.name, made.parse, absent=made.absent, mapping=given)


def to_record(format_: Format, session: ImportedSession) -> Json:
    """The record that `format_.parse` took."""
    if isinstance(format_, MappedFormat) and format_.mapping is not None:
        return mapping.to_record(format_.mapping, session)
    return _OF_FORMATS[format_.name](session)
