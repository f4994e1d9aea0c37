"""Personal data out of the text of turns, before any row is made of them."""

from __future__ import annotations

from collections.abc import Callable

from convstore.errors import InvalidInputError
from convstore.export.options import ExportOptions
from convstore.records import SessionDocument


def redactor(
    options: ExportOptions,
) -> Callable[[SessionDocument], SessionDocument] | None:
    """The redactor that the options name; None leaves text as it is."""
    if options.redact is None:
        return None
    raise InvalidInputError("redact", f"{options.redact!a} is not known")
