"""Every session once, live and archived: the one source of exports and checks."""

from __future__ import annotations

from bisect import bisect_right
from collections import deque
from collections.abc import AsyncIterator, Sequence
from typing import Protocol, TypeAlias, TypeVar

from convstore.archive.restorer import Restorer
from convstore.db import documents, sessions, sizes
from convstore.db.engine import Connection, Runner, Work
from convstore.db.session_filters import Filter
from convstore.vocabulary.errors import CorruptionError, SessionNotFoundError
from convstore.vocabulary.records import DocumentSource, SessionDocument, SessionState

T = TypeVar("T")
PAGE = 64
"""Sessions of one snapshot, if they are not too large together; see `sizes`."""

_IDS = 1_000
"""Of the ids asked for, those of one statement: most may be of no session."""

_Listed: TypeAlias = tuple[str, SessionState, SessionDocument | CorruptionError | None]


class Pages(Protocol):
    """What reads a page of documents."""

    async def __call__(self, work: Work[T], *, snapshot: bool = False) -> T: ...


SOURCES: dict[DocumentSource, SessionState | None] = {
    "both": None,
    "live": "active",
    "archive": "archived",
}
"""Where documents come from, as the state of their sessions."""


async def stream_documents(
    runner: Runner,
    restorer: Restorer,
    tenant: str,
    wanted: Filter,
    *,
    session_ids: Sequence[str] | None = None,
    pages: Pages | None = None,
) -> AsyncIterator[SessionDocument]:
    """Documents of a tenant's sessions in the order of their ids, in flat memory.

    Changes nothing. Each session is whole and of one moment; two sessions may be of
    different moments. One that is archived, restored or made meanwhile comes at most
    once, in the state in which it was met. `pages` reads pages of live ones in place
    of `runner`, if given; where archived ones lie `runner` is asked.

    Raises:
        CorruptionError: A session's rows or file are damaged; names it.
    """
    after, ids = "", None if session_ids is None else sorted(set(session_ids))
    while True:
        page, is_last = await (pages or runner.read)(
            lambda c, a=after: _page(c, tenant, wanted, a, ids),  # type: ignore[misc]
            snapshot=True,
        )
        archived = [session_id for session_id, _, live in page if live is None]
        read = await restorer.read_many(runner, tenant, archived) if archived else {}
        if page:
            after = page[-1][0]
        while page:  # what was given is let go
            session_id, _, live = page.popleft()
            document = live or read.pop(session_id, None)
            if isinstance(document, CorruptionError):
                raise document
            if document is not None:
                yield document
                continue
            try:
                yield await restorer.read(runner, tenant, session_id)
            except SessionNotFoundError:
                # Restored, or gone for good, since the page was read.
                for again in await runner.read(
                    lambda c, i=session_id: _live(c, tenant, i),  # type: ignore[misc]
                    snapshot=True,
                ):
                    yield again
        if is_last:
            return


def _page(
    connection: Connection,
    tenant: str,
    wanted: Filter,
    after: str,
    session_ids: Sequence[str] | None,
) -> tuple[deque[_Listed], bool]:
    """The next sessions, as many as are held at once, and whether they are the last."""
    found, is_last = _listed(connection, tenant, wanted, after, session_ids)
    live = [session_id for session_id, state in found if state == "active"]
    whole: dict[str, SessionDocument | CorruptionError] = {}
    if live:
        held = sizes.held(connection, tenant, live)
        fits = sizes.that_fit(held.sizes)
        if fits < len(live):
            found = [each for each in found if each[0] < live[fits]]
            live, is_last = live[:fits], False
        whole = documents.read(connection, tenant, live, held.tables)
    page = deque(
        (session_id, state, whole.get(session_id)) for session_id, state in found
    )
    return page, is_last


def _listed(
    connection: Connection,
    tenant: str,
    wanted: Filter,
    after: str,
    session_ids: Sequence[str] | None,
) -> tuple[list[tuple[str, SessionState]], bool]:
    """Ids and states by id, beyond `after`, and whether there are no more."""
    if session_ids is None:
        found = sessions.list_by_id(connection, tenant, wanted, after, PAGE)
        return found, len(found) < PAGE
    # A portion of the list for each statement: all of it again for each page would be
    # as many times as there are pages.
    start = bisect_right(session_ids, after) if after else 0
    found = []
    while start < len(session_ids) and not found:
        some = session_ids[start : start + _IDS]
        start += _IDS
        found = sessions.list_by_id(connection, tenant, wanted, after, PAGE, some)
        if len(found) == PAGE:
            return found, False
    return found, start >= len(session_ids)


def _live(
    connection: Connection, tenant: str, session_id: str
) -> list[SessionDocument]:
    found = documents.read(connection, tenant, [session_id]).get(session_id)
    if isinstance(found, CorruptionError):
        raise found
    return [found] if found is not None and found.session.state == "active" else []
