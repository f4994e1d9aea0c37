"""Every page of an empty store, of one session, and of very many."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest

from convstore import Store
from convstore.web import Actor
from tests.web.conftest import Visitor, talk
from tests.web.many import make_many

OPERATOR = Actor("cy", ("operator",), ("default",))
PAGES = (
    "/", "/?only=judged", "/?only=unjudged", "/?only=disagreed", "/?only=held",
    "/?title=nobody", "/?tag=nobody", "/?label=down", "/?user=u-7", "/?state=deleted",
    "/search", "/queues", "/disagreements", "/datasets", "/datasets?format=kto",
    "/retention", "/archive", "/cost", "/people", "/bulk?only=judged",
)  # fmt: skip
OF_SESSIONS = (
    "/search?q=file", "/conversation?id=s-1", "/compare?id=s-1&one=2&other=3",
    "/judge?queue=q", "/judge?queue=none",
)  # fmt: skip
MOST_BYTES = 100_000
MOST_S = 0.25
"""Of the processor for a page, on a slow machine: a walk of all takes longer."""


async def assert_light(page: Visitor, path: str) -> None:
    """It answers, is small, and takes no more than a page may."""
    took = []
    for _ in range(3):
        began = time.process_time()
        answer = await page.get(path)
        took.append(time.process_time() - began)

    assert answer.status_code == 200, path
    assert len(answer.content) < MOST_BYTES, path
    assert min(took) < MOST_S, f"{path}: {min(took):.3f} s"


async def test_every_page_shows_nothing_and_one_session(
    store: Store, visitor: Callable[..., Visitor]
) -> None:
    page = visitor(OPERATOR)
    for path in PAGES:
        await assert_light(page, path)
    await talk(store, "s-1")
    await store.queues.put("q")
    await store.queues.put("none", title="nobody")
    for path in PAGES + OF_SESSIONS:
        await assert_light(page, path)


@pytest.mark.parametrize(
    "count", [1_000, pytest.param(100_000, marks=pytest.mark.slow)]
)
async def test_no_page_walks_all_sessions(
    store: Store, visitor: Callable[..., Visitor], count: int
) -> None:
    await make_many(store, count)
    await store.queues.put("q")
    await store.queues.put("none", title="nobody")
    page = visitor(OPERATOR)

    assert (await page.json("/"))["items"][0]["id"].startswith("as-")
    for path in PAGES + OF_SESSIONS:
        await assert_light(page, path)
