"""Reads the sessions of splits, live and archived, in flat memory. Changes nothing."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from types import TracebackType

from convstore.blobs.base import BlobStore
from convstore.blobs.retrying import RetryingBlobs, RetryPolicy
from convstore.blobs.selection import blob_store
from convstore.db import documents, segments, session_places, sizes
from convstore.db.engine import Backend, BackendOptions, Connection, open_backend
from convstore.db.segments import Place
from convstore.export.stages.splits import Source, Split
from convstore.segments.frames import Unpacker
from convstore.segments.reader import read_document
from convstore.segments.segment import ArchiveLimits
from convstore.vocabulary.documents import decode_document
from convstore.vocabulary.errors import (
    CorruptionError,
    SegmentCorruptError,
    SegmentNotFoundError,
)
from convstore.vocabulary.limits import Limits
from convstore.vocabulary.records import SessionDocument

_ATTEMPTS = 5
"""Of a session that moves between the ledger and its file, as in an erasure of its
neighbour."""
_CONNECTIONS = 1


def backend_options(source: Source) -> BackendOptions:
    """What a backend needs of a source."""
    return BackendOptions(
        source.url, _CONNECTIONS, source.pooler, Limits(), schema=source.schema
    )


class SplitReader:
    """Keeps the database of the last split open for the next one; a context.

    For threads without an event loop.
    """

    def __init__(self) -> None:
        self._runner = asyncio.Runner()
        self._source: Source | None = None
        self._backend: Backend | None = None
        self._blobs: BlobStore | None = None
        self._unpacker = Unpacker(ArchiveLimits())

    def __enter__(self) -> SplitReader:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections. Idempotent."""
        backend, self._backend = self._backend, None
        if backend is not None:
            self._runner.get_loop().run_until_complete(backend.close())
        self._runner.close()

    def documents(self, split: Split) -> Iterator[SessionDocument]:
        """The sessions of a split that still are, each whole and of one moment.

        Raises:
            CorruptionError: A session's rows or file are damaged; names it.
        """
        yield from map(decode_document, split.documents)
        if split.source is None:
            return
        self._runner.get_loop().run_until_complete(self._open(split.source))
        left = list(split.session_ids)
        while left:
            some, places, rest = self._runner.get_loop().run_until_complete(
                self._page(split, left)
            )
            # What stays behind is what was too much to be held beside these.
            left = rest
            while some:
                yield some.pop()
            for place in places:
                document = self._archived(split, place)
                if document is not None:
                    yield document

    async def _open(self, source: Source) -> None:
        if self._source == source:
            return
        if self._backend is not None:
            backend, self._backend, self._source = self._backend, None, None
            await backend.close()
        self._backend = await open_backend(backend_options(source))
        self._blobs = RetryingBlobs(
            blob_store(source.archive, source.object_storage),
            # The client of a bucket tries again by itself.
            RetryPolicy(attempts=2) if "://" in source.archive else None,
        )
        self._source = source

    async def _page(
        self, split: Split, session_ids: Sequence[str]
    ) -> tuple[list[SessionDocument], list[Place], list[str]]:
        """Live sessions, the places of archived ones, and ids for the next page."""
        backend = self._backend
        assert backend is not None

        def look(
            connection: Connection,
        ) -> tuple[list[SessionDocument], list[Place], list[str]]:
            if split.snapshot:
                backend.dialect.adopt_snapshot(connection, split.snapshot)
            return _looked(connection, split.tenant, session_ids)

        live, places, rest = await backend.read(look, snapshot=True)
        if split.snapshot and (live or places):
            # An erasure is not a matter of when it was looked.
            found = await backend.read(
                lambda c: session_places.states(c, split.tenant, session_ids)
            )
            erased = {i for i in session_ids if found.get(i, "erased") == "erased"}
            live = [d for d in live if d.session.id not in erased]
            places = [place for place in places if place.key[1] not in erased]
        return live, places, rest

    def _archived(self, split: Split, place: Place) -> SessionDocument | None:
        """The session at a place; None if it is gone."""
        session_id = place.key[1]
        now: Split | None = None
        for attempt in range(_ATTEMPTS):
            try:
                return self._read(place)
            except _MovedError as moved:
                if attempt == _ATTEMPTS - 1:
                    raise moved.error from None
            now = now or Split(split.tenant, (session_id,), split.source)
            live, places, _ = self._runner.get_loop().run_until_complete(
                self._page(now, now.session_ids)
            )
            if live:
                return live[0]
            if not places:
                return None
            (place,) = places
        raise AssertionError("unreachable")

    def _read(self, place: Place) -> SessionDocument:
        assert self._blobs is not None
        session_id, entry, segment = place.key[1], place.entry, place.segment
        segment_id = place.segment_id or ""
        if entry is None or segment is None:
            missing = SegmentCorruptError(
                segment_id, "is not in the ledger", (session_id,)
            )
            raise _MovedError(missing)
        try:
            document = read_document(self._blobs, segment.key, entry, self._unpacker)
        except SegmentNotFoundError:
            missing = SegmentCorruptError(
                segment_id, "the file is missing", (session_id,)
            )
            raise _MovedError(missing) from None
        if document.session.tenant_id != place.key[0]:
            problem = "holds another tenant's session"
            raise SegmentCorruptError(segment_id, problem, (session_id,))
        return document


class _MovedError(Exception):
    """A copy is not where it was; `error` is what to say if it is nowhere else."""

    def __init__(self, error: SegmentCorruptError) -> None:
        super().__init__()
        self.error = error


def _looked(
    connection: Connection, tenant: str, session_ids: Sequence[str]
) -> tuple[list[SessionDocument], list[Place], list[str]]:
    states = session_places.states(connection, tenant, session_ids)
    live = [i for i in session_ids if states.get(i) == "active"]
    archived = [i for i in session_ids if states.get(i) == "archived"]
    rest: list[str] = []
    found: dict[str, SessionDocument | CorruptionError] = {}
    if live:
        held = sizes.held(connection, tenant, live)
        fits = sizes.that_fit(held.sizes)
        live, rest = live[:fits], live[fits:]
        found = documents.read(connection, tenant, live, held.tables)
    whole = []
    for document in found.values():
        if isinstance(document, CorruptionError):
            raise document
        whole.append(document)
    keys = [(tenant, session_id) for session_id in archived]
    places = segments.places(connection, keys) if keys else []
    order = {session_id: number for number, session_id in enumerate(archived)}
    places.sort(key=lambda place: order[place.key[1]])
    whole.reverse()  # They are taken from the end.
    return whole, places, rest
