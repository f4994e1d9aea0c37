"""An export from a store: its documents, through a thread that writes the files."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any, TypeVar

from convstore.errors import InvalidInputError
from convstore.export.job import run_export
from convstore.export.options import Caps, ExportOptions, Filters, Judging
from convstore.export.report import ExportReport, OnProgress, Progress
from convstore.feeding import Feed
from convstore.records import SessionDocument

T = TypeVar("T")
_INNER: dict[str, type[Any]] = {"filters": Filters, "caps": Caps, "judging": Judging}


async def run(
    documents: AsyncIterator[SessionDocument],
    formats: Sequence[str],
    to: Path,
    options: Mapping[str, Any],
    on_progress: OnProgress | None,
) -> ExportReport:
    """Write the data sets; see `run_export`, whose errors these are.

    Documents are held a few at a time. A caller that is cancelled leaves no thread
    behind, and what was read so far is kept for the next run.
    """
    chosen = options_of(options)
    feed = Feed(documents)

    def tell(progress: Progress) -> None:
        feed.check()
        if on_progress is not None:
            on_progress(progress)

    return await feed.run(
        lambda given: run_export(given, formats, to, chosen, tell),
    )


def options_of(given: Mapping[str, Any]) -> ExportOptions:
    """Options by name; those that are made of parts also as a dict of these.

    Raises:
        InvalidInputError: There is no option of this name.
    """
    values = {
        name: _filled(_INNER[name], value, f"{name}.")
        if name in _INNER and isinstance(value, Mapping)
        else value
        for name, value in given.items()
    }
    return _filled(ExportOptions, values, "")


def _filled(kind: type[T], given: Mapping[str, Any], where: str) -> T:
    known = {f.name for f in fields(kind)}  # type: ignore[arg-type]
    for name in given:
        if name not in known:
            raise InvalidInputError(f"{where}{name}", "is not an option of an export")
    return kind(**given)
