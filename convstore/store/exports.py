"""An export from a store: its documents, through a thread that writes the files."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from convstore.blobs.base import BlobStore
from convstore.concurrency.feed import Feed
from convstore.db.engine import Backend
from convstore.export.options import ExportOptions
from convstore.export.report import ExportReport
from convstore.export.stages.job import run_export, run_split_export
from convstore.export.stages.planning import held_snapshot, planned, source_of
from convstore.export.stages.splits import Source, Split
from convstore.export.stages.workers import ALONE
from convstore.vocabulary.errors import InvalidInputError
from convstore.vocabulary.policy import FeedbackPolicy
from convstore.vocabulary.progress import OnProgress, Progress
from convstore.vocabulary.records import Json, SessionDocument
from convstore.vocabulary.settings import StoreConfig


async def run(
    documents: AsyncIterator[SessionDocument],
    formats: Sequence[str],
    to: Path,
    options: ExportOptions,
    on_progress: OnProgress | None,
) -> ExportReport:
    """Write the data sets; see `run_export`, whose errors these are.

    Documents are held a few at a time. A caller that is cancelled leaves no thread
    behind, and what was read so far is kept for the next run.
    """
    feed = Feed(documents, size_of)

    def tell(progress: Progress) -> None:
        feed.check()
        if on_progress is not None:
            on_progress(progress)

    return await feed.run(
        lambda given: run_export(given, formats, to, options, tell),
    )


def source_for(
    config: StoreConfig, backend: Backend, blobs: BlobStore
) -> Source | None:
    """What workers open to read an open store; None if they cannot."""
    source = source_of(config) if backend.opens_by_url else None
    if source is None:
        return None
    # Where it was opened: the program may stand in another folder since.
    root = getattr(blobs, "root", None)
    url = source.url if backend.file is None else f"sqlite:///{backend.file}"
    return replace(source, url=url, archive=str(root or source.archive))


async def run_of_splits(
    backend: Backend,
    source: Source,
    tenant: str,
    formats: Sequence[str],
    to: Path,
    options: ExportOptions,
    on_progress: OnProgress | None,
) -> ExportReport | None:
    """The same by whoever writes the rows and reads them, too: workers, or without any
    the thread that writes, past the event loop. As of one moment where the database can
    name one; None where there is too little to open it once more.

    Raises:
        WorkerLostError: One of them failed, or was ended.
    """
    async with held_snapshot(backend) as snapshot:
        splits = planned(backend, source, tenant, options.filters.source, snapshot)
        first, count = [], 0
        async for split in splits:
            first.append(split)
            count += len(split.session_ids)
            if count > ALONE:
                break
        else:
            return None

        async def all_of_them() -> AsyncIterator[Split]:
            for split in first:
                yield split
            async for split in splits:
                yield split

        feed = Feed(all_of_them())

        def tell(progress: Progress) -> None:
            feed.check()
            if on_progress is not None:
                on_progress(progress)

        return await feed.run(
            lambda given: run_split_export(given, formats, to, options, tell)
        )


def size_of(document: SessionDocument) -> int:
    """About how many characters a session holds; cheap, and not exact."""
    size = sum([_text(state.state) for state in document.graph_states])
    for turn in document.turns:
        if turn.content:
            size += len(turn.content)
        if turn.parts or turn.results:
            size += _text(turn.parts) + _text(turn.results)
    return size


def _text(value: Json) -> int:
    """The characters of a JSON value's texts."""
    size, waiting = 0, [value] if value else []
    while waiting:
        each = waiting.pop()
        if isinstance(each, str):
            size += len(each)
        elif isinstance(each, dict):
            waiting += each.values()
        elif isinstance(each, list | tuple):
            waiting += each
    return size


def options_of(given: Mapping[str, Any], feedback: FeedbackPolicy) -> ExportOptions:
    """Options by name; those that are made of parts also as a dict of these.

    What they leave to the store's settings is read from `feedback`.

    Raises:
        InvalidInputError: There is no option of this name, or its value is of a wrong
            kind.
    """
    try:
        return TypeAdapter(ExportOptions).validate_python(dict(given)).on(feedback)
    except ValidationError as error:
        # Without what was given: a filter may name a person.
        first = error.errors(
            include_url=False, include_context=False, include_input=False
        )[0]
        name = ".".join(str(part) for part in first["loc"])
        unknown = first["type"] == "unexpected_keyword_argument"
        told = "is not an option of an export" if unknown else first["msg"]
        raise InvalidInputError(name, told) from None
