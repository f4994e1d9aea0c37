"""The export before this one: what `since` names, and whether it can be built on."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from convstore.export.dataset.files import ROW_IDS, read_row_ids
from convstore.export.dataset.folder import MANIFEST
from convstore.export.dataset.parts import SIDE
from convstore.export.formats.base import Format
from convstore.export.options import ExportOptions
from convstore.vocabulary.codec import decode_json, dumps
from convstore.vocabulary.errors import InvalidInputError, shown
from convstore.vocabulary.records import Json, JsonObject

_FREE_TO_CHANGE = frozenset(
    {"file_type", "shard_bytes", "quarantine", "tokenizer", "license", "title"}
)
"""Options on which no row and no split depends."""


def row_ids(previous: Path | None) -> Iterable[bytes]:
    """The rows of a former export, in order; none where there is none."""
    return read_row_ids(previous / SIDE / ROW_IDS) if previous else ()


def previous_export(fmt: Format, options: ExportOptions) -> Path | None:
    """The folder of the former export in this format; None if none is named.

    Raises:
        InvalidInputError: The one named is none, or was made with other options.
    """
    if options.since is None:
        return None
    for folder in (options.since / fmt.name, options.since):
        manifest, ids = folder / MANIFEST, folder / SIDE / ROW_IDS
        if manifest.is_file() and ids.is_file():
            told = decode_json(manifest.read_bytes())
            if isinstance(told, dict) and told.get("format") == fmt.name:
                _refuse_other_options(told.get("options"), options)
                return folder
    raise InvalidInputError(
        "since", f"{shown(str(options.since))} is no {fmt.name} export"
    )


def _refuse_other_options(previous: Json, options: ExportOptions) -> None:
    """Rows that other options leave out would be told as gone, or change their split.

    Raises:
        InvalidInputError: Names the options that differ.
    """
    given: Json = decode_json(dumps(options.fingerprint()))
    usual: Json = decode_json(dumps(ExportOptions().fingerprint()))
    known = _completed(previous if isinstance(previous, dict) else {}, usual)
    other = [
        name
        for name, value in given.items()
        if name not in _FREE_TO_CHANGE and known[name] != value
    ]
    if other:
        told = f"was exported with other options: {', '.join(other)}"
        raise InvalidInputError("since", told)


def _completed(previous: JsonObject, usual: JsonObject) -> JsonObject:
    """The options of a former export; those that it did not know were as usual."""
    known = {**usual, **previous}
    for name in ("filters", "caps", "judging"):
        if isinstance(known[name], dict):
            known[name] = {**usual[name], **known[name]}
    return known
