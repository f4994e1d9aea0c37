"""What is to be known of a source before a database is opened, or made, for it."""

from __future__ import annotations

from os import PathLike


def recognise(
    format_: str,
    source: str | PathLike[str],
    mapping: str | PathLike[str] | None = None,
) -> tuple[str, str]:
    """The name of the format that reads a source, and by what it was told.

    Raises:
        InvalidInputError, ConfigError: As `Store.import_`, for the same reasons.
    """
    from convstore.imports.detection import choose_format

    choice = choose_format(format_, source, mapping)
    return choice.format.name, choice.why
