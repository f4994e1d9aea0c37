"""Sessions of megabytes: what is held at once is bounded by bytes, not by number."""

from __future__ import annotations

import asyncio
import tracemalloc
from collections.abc import Callable
from typing import Any

import pytest

from convstore import Store
from convstore.archive import restorer
from convstore.db import documents as rows
from convstore.db import lifecycle, sizes
from tests.integration.archives import OpenAnother, sound

ROOM = 1024 * 1024
LARGE = ROOM // 4
COUNT = 24


@pytest.fixture(autouse=True)
def _less_room(monkeypatch: pytest.MonkeyPatch) -> None:
    """A sixteenth of the usual, so that sessions need not be larger to be large."""
    for bounded in (sizes.that_fit, sizes.portions):
        *others, room = bounded.__defaults__ or ()
        assert room == sizes.BYTES_AT_ONCE
        monkeypatch.setattr(bounded, "__defaults__", (*others, ROOM))
    monkeypatch.setattr(sizes, "BYTES_AT_ONCE", ROOM)
    monkeypatch.setattr(restorer, "BYTES_AT_ONCE", ROOM)


async def fill(store: Store, count: int, size: int) -> None:
    for number in range(count):
        await store.conversation(f"s-{number:03}").append(
            role="user", content="x" * size
        )


@pytest.fixture
def held(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Characters of each time that whole sessions were read, or taken out."""
    seen: list[int] = []

    def noting(work: Callable[..., Any]) -> Callable[..., Any]:
        def noted(*given: Any) -> Any:
            found = work(*given)
            seen.append(sum(len(str(r.turns)) for r in found))
            return found

        return noted

    for name in ("read_rows", "read_small"):
        monkeypatch.setattr(rows, name, noting(getattr(rows, name)))
    monkeypatch.setattr(lifecycle, "take", noting(lifecycle.take))
    return seen


async def test_documents_hold_no_more_text_than_the_bound_at_once(
    store: Store, held: list[int]
) -> None:
    await fill(store, COUNT, LARGE)

    found = [len(d.turns[0].content or "") async for d in store.documents()]

    assert found == [LARGE] * COUNT
    assert max(held) <= ROOM + LARGE


async def test_retention_holds_no_more_text_than_the_bound_at_once(
    store: Store, held: list[int], database_url: str, archive_dir: Any
) -> None:
    await fill(store, COUNT, LARGE)

    report = await store.run_retention(older_than_s=0)

    assert (report.archived, report.purged) == (COUNT, COUNT)
    assert len(report.segments) == 1
    assert max(held) <= ROOM + LARGE
    sound(database_url, archive_dir)


async def test_small_sessions_are_read_together_as_ever(
    store: Store, held: list[int]
) -> None:
    await fill(store, 70, 10)

    assert len([d async for d in store.documents()]) == 70
    assert len(held) == 2


async def test_one_session_larger_than_the_bound_is_read_alone(
    store: Store, held: list[int]
) -> None:
    await fill(store, 2, LARGE)
    await store.conversation("s-000-large").append(role="user", content="x" * 2 * ROOM)

    found = [d.session.id async for d in store.documents()]

    assert found == ["s-000", "s-000-large", "s-001"]
    assert [size // ROOM for size in held] == [0, 2, 0]


@pytest.mark.parametrize("from_archive", [False, True])
async def test_memory_of_documents_is_flat_in_the_number_of_large_sessions(
    open_another: OpenAnother, from_archive: bool
) -> None:
    store = await open_another()

    async def peak(tenant: str, count: int) -> int:
        of = store.for_tenant(tenant)
        await fill(of, count, LARGE)
        if from_archive:
            await store.run_retention(older_than_s=0)
        tracemalloc.start()
        try:
            async for _ in of.documents():
                pass
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    few = await peak("few", 8)

    # One session more or less is let go of in time or a moment later; all would be 40.
    assert await peak("many", 48) < max(1.5 * few, few + 4 * LARGE)


async def test_restores_hold_no_more_than_the_bound_until_their_commits(
    store: Store, monkeypatch: pytest.MonkeyPatch, database_url: str, archive_dir: Any
) -> None:
    """Of many callers at once: copies that were read, and those of them committed."""
    await fill(store, COUNT, LARGE)
    await store.run_retention(older_than_s=0)
    most, read, done = 0, 0, 0
    rows_of = restorer.document_rows

    def reading(document: Any) -> Any:
        nonlocal most, read
        read += 1
        most = max(most, read - done)
        return rows_of(document)

    monkeypatch.setattr(restorer, "document_rows", reading)

    async def restore(number: int) -> None:
        nonlocal done
        await store.restore(f"s-{number:03}")
        done += 1

    await asyncio.gather(*(restore(n % COUNT) for n in range(2 * COUNT)))

    assert read == COUNT
    fit = ROOM // LARGE
    assert most <= 2 * fit + 1
    sound(database_url, archive_dir)


async def test_memory_of_restores_is_flat_in_the_number_of_large_sessions(
    store: Store,
) -> None:
    async def peak(tenant: str, count: int) -> int:
        of = store.for_tenant(tenant)
        await fill(of, count, LARGE)
        await store.run_retention(older_than_s=0)
        tracemalloc.start()
        try:
            await asyncio.gather(*(of.restore(f"s-{n:03}") for n in range(count)))
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    # Not of a few: whether those are read faster than they are committed, or one after
    # the other, is the machine's to say, and makes a third of their peak.
    one = await peak("one", 1)

    # Copies that were read and wait, and what a commit of a roomful sends: as text, as
    # bytes, and in the driver's buffer. All of them would be 48, and what is sent more.
    fit = ROOM // LARGE
    assert await peak("many", 48) < one + (2 * fit + 1 + 3 * (fit + 1)) * LARGE
