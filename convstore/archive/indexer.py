"""Keeps the index of words: what waits goes in, what goes for good is taken out.

Of a session that was archived before it was indexed, the words are made from its
document, and of one that leaves the archive they are made again from it. Any number of
indexers may work at once: see `db.search_removal`.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence

from convstore.archive.context import Context
from convstore.archive.copies import Copy, as_much_at_once, find_copies
from convstore.db import search_checks, search_indexing, search_marks, search_removal
from convstore.db.engine import Connection
from convstore.db.search_contents import Content, of_document
from convstore.db.search_indexing import Indexed
from convstore.db.search_marks import Waiting
from convstore.db.unit import Key
from convstore.search.words import VERSION
from convstore.vocabulary.errors import (
    ConfigError,
    DatabaseAccessError,
    UnavailableError,
)
from convstore.vocabulary.hits import IndexReport
from convstore.vocabulary.progress import OnProgress, Progress
from convstore.vocabulary.reports import IndexState

log = logging.getLogger(__name__)

_SESSIONS = 1_000
"""Sessions that one step looks through for what has no mark."""
_READ = 16
"""Documents that are read together."""
_STEPS = 10_000
"""Steps of tidying after which the next run goes on."""


class Indexer:
    """Indexes for every tenant of one store."""

    def __init__(self, context: Context) -> None:
        self._context = context

    @property
    def is_on(self) -> bool:
        """Whether the store keeps an index."""
        return self._context.backend.search != "off"

    async def begin(self) -> None:
        """Note at the opening of the store what its mode means for the index.

        Raises:
            ConfigError: The database cannot have one.
        """
        context = self._context
        mode = context.backend.search
        index = context.backend.dialect.words
        if mode != "off" and not await context.read(index.is_there):
            raise ConfigError(
                "SEARCH__MODE: this SQLite was built without FTS5, or was when the "
                "database was made: with `off` a search reads through what is there"
            )
        if await context.read(lambda c: search_marks.needs_note(c, mode)):
            await context.write(lambda c: search_marks.begin(c, mode))

    async def catch_up(self, tenant: str, until: float) -> Waiting | None:
        """Index what waits of a tenant, until a time of the monotonic clock; the state
        of the index once nothing waits any more, else None. What keeps it from writing
        is no error: it waits on."""
        try:
            return await self._catch_up(tenant, until)
        except UnavailableError:
            return None

    async def waiting(self, tenant: str) -> tuple[Waiting, int | None]:
        """How much of a tenant waits, and since when: see `search_marks.oldest`."""

        def work(connection: Connection) -> tuple[Waiting, int | None]:
            found = search_marks.waiting(connection, tenant)
            oldest = search_marks.oldest(connection, tenant) if found.marks else None
            return found, oldest

        return await self._context.read(work, snapshot=True)

    async def run(
        self,
        *,
        on_progress: OnProgress | None = None,
        goes_on: Callable[[], bool] = lambda: True,
    ) -> IndexReport:
        """Index what waits of every tenant; bounded in each step, and goes on where the
        last run ended."""
        context, done = self._context, 0
        await self._make_usable()
        tenant = ""
        while name := await context.read(
            lambda c, t=tenant: search_marks.next_tenant(c, t)  # type: ignore[misc]
        ):
            tenant = name
            while await self._look_through(tenant) and goes_on():
                pass
        after: Key | None = None
        while goes_on():
            step = await self._step(None, after)
            done, after = done + step.entries, step.last
            if not step.more:
                break
            if on_progress is not None:
                on_progress(Progress("index", "entries", done, None))
        return IndexReport(entries=done)

    async def rebuild(self, on_progress: OnProgress | None = None) -> IndexReport:
        """Empty the index and make it anew from rows and archive."""
        await self._context.write(search_indexing.start_anew)
        return await self.run(on_progress=on_progress)

    async def check(self, tenant: str) -> IndexReport:
        """Compare the index with what is there to be found; changes nothing."""
        return await self._context.read(
            lambda c: search_checks.check(c, tenant), snapshot=True
        )

    async def contents(self, keys: Sequence[Key]) -> dict[Key, Content]:
        """What must be known of archived sessions to take them out of the index: call
        before they go. Those whose files cannot be read are left out."""
        context = self._context
        wanted = await context.read(lambda c: search_removal.entry_keys(c, keys))
        return await self._archived(sorted(wanted))

    async def tidy(self, gone: int) -> IndexState:
        """Make what was taken out of the index, so many entries, unreadable in its
        files."""
        context = self._context
        rules = await context.read(search_marks.rules)
        if rules is None:
            return "absent"
        if rules != VERSION:
            return "pending"
        index = context.backend.dialect.words
        left, begins = gone > 0, True
        for _ in range(_STEPS):
            if not left:
                context.on_step("erase.index")
                return "cleared"
            try:
                left = await context.backend.tidy(
                    lambda c, b=begins: index.tidy(c, begins=b)  # type: ignore[misc]
                )
            except (UnavailableError, DatabaseAccessError) as error:
                log.warning(
                    "the index could not be tidied: %s",
                    error.code,
                    extra={"event": "index_untidy"},
                )
                return "pending"
            begins = False
        return "pending"

    async def _catch_up(self, tenant: str, until: float) -> Waiting | None:
        after: Key | None = None
        while True:
            state = await self._context.read(lambda c: search_marks.waiting(c, tenant))
            if state.nothing:
                return state
            if time.monotonic() >= until:
                return None
            if not state.usable:
                if not await self._make_usable():
                    return None
                continue
            if not state.looked_through:
                await self._look_through(tenant)
                continue
            if not state.marks:
                return None
            step = await self._step(tenant, after)
            if not step.more:
                return None  # what is left cannot be indexed now
            after = step.last

    async def _make_usable(self) -> bool:
        """Begin an index of these rules, where it is of older ones, or spoilt."""
        rules = await self._context.read(search_marks.rules)
        if rules is not None and rules < VERSION:
            await self._context.write(_start_anew_if_old)
            return True
        return rules == VERSION

    async def _look_through(self, tenant: str) -> bool:
        return await self._context.write(
            lambda c: search_marks.look_through(c, tenant, _SESSIONS)
        )

    async def _step(self, tenant: str | None, after: Key | None) -> Indexed:
        context = self._context

        def work(connection: Connection) -> Indexed:
            done = search_indexing.index_marked(connection, tenant, after)
            context.on_step("index.before_commit")
            return done

        step = await context.write(work)
        context.on_step("index.after_commit")
        for start in range(0, len(step.archived), _READ):
            keys = step.archived[start : start + _READ]
            given = await self._archived(keys)
            marks = await context.read(lambda c, k=keys: search_marks.of(c, k))  # type: ignore[misc]
            more = await context.write(
                lambda c, g=given, m=marks: search_indexing.index(c, list(g), m, g)  # type: ignore[misc]
            )
            step.entries += more.entries
        return step

    async def _archived(self, keys: Sequence[Key]) -> dict[Key, Content]:
        """The content of archived sessions that can be read, in bounded portions."""
        context, found = self._context, dict[Key, Content]()
        left = list(keys)
        while left:
            copies = await find_copies(
                context, context.read, left, of_document, room=as_much_at_once
            )
            for key, copy in copies.items():
                if isinstance(copy, Copy):
                    found[key] = copy.content
            left = [key for key in left if key not in copies]
        return found


def _start_anew_if_old(connection: Connection) -> None:
    # Somebody else may have been first.
    rules = search_marks.rules(connection)
    if rules is not None and rules < VERSION:
        search_indexing.start_anew(connection)
