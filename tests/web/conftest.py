"""The page over a store, asked as a browser asks."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from typing import Any
from urllib.parse import urlencode

import httpx
import pytest

from convstore import Store
from convstore.web import Actor, app

BASE = "http://127.0.0.1:8170"
OWN = {"origin": BASE, "sec-fetch-site": "same-origin"}
ANN = Actor("ann", ("annotator",), ("default",))


class Visitor:
    """Somebody with a browser."""

    def __init__(self, client: httpx.AsyncClient) -> None:
        self.client = client

    async def get(self, path: str, **query: object) -> httpx.Response:
        return await self.client.get(path + (f"?{urlencode(query)}" if query else ""))

    async def json(self, path: str, **query: object) -> Any:
        answer = await self.client.get(
            path, params=query, headers={"accept": "application/json"}
        )
        assert answer.status_code == 200, answer.text
        return answer.json()

    async def post(
        self, path: str, form: dict[str, object], **query: object
    ) -> httpx.Response:
        """As a form of the page is sent."""
        address = path + (f"?{urlencode(query)}" if query else "")
        return await self.client.post(address, data=form, headers=OWN)


@pytest.fixture
async def visitor(store: Store) -> AsyncIterator[Callable[..., Visitor]]:
    """`visitor(actor, **how)`: a page over the store, and a browser in front of it."""
    async with AsyncExitStack() as stack:

        def make(actor: Actor | None = ANN, **how: Any) -> Visitor:
            page = app(store, lambda request: actor, **how)
            client = httpx.AsyncClient(
                transport=httpx.ASGITransport(page), base_url=BASE
            )
            stack.push_async_callback(client.aclose)
            return Visitor(client)

        yield make


def acts_of(html: str) -> list[str]:
    """The ids that the forms of a page carry."""
    return re.findall(r'name="act" value="(\w+)"', html)


async def talk(store: Store, session_id: str = "s-1", user_id: str = "u-1") -> None:
    """A question with two answers; the second is on the active branch."""
    chat = store.conversation(session_id, user_id=user_id)
    await chat.append(role="user", content="May I have the file?")
    await chat.append(role="assistant", content="Yes, with pleasure.", model="m-1")
    await store.turns.append(
        session_id, role="assistant", content="No, not today.", parent_seq=1
    )
