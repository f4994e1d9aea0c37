"""Chainlit's data layer passes what every adapter passes."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from chainlit.context import ChainlitContext, context_var
from chainlit.session import HTTPSession
from chainlit.user import PersistedUser

from convstore import Store
from convstore.adapters.chainlit import ConvstoreDataLayer
from convstore.adapters.chainlit.codec import user_id_of
from convstore.testing.framework_suite import (
    ANSWER,
    CITIES,
    OWNER,
    QUESTION,
    RESULTS,
    WEATHER,
)
from tests.frameworks.on_both import OnBothDatabases

_numbers = itertools.count(1)
_BEGAN = datetime.now(UTC)
# What is another's with each step, or is told by the thread.
_DRAWN = ("id", "createdAt", "threadId")


def step(kind: str, output: str, **more: Any) -> dict[str, Any]:
    """A step as Chainlit makes it, later than every one before."""
    number = next(_numbers)
    # By the clock of the machine, which what others write is given as well.
    at = max(datetime.now(UTC), _BEGAN) + timedelta(microseconds=number)
    return {
        "id": f"step-{number}",
        "name": kind,
        "type": kind,
        "input": "",
        "output": output,
        "createdAt": at.isoformat().replace("+00:00", "Z"),
        **more,
    }


class TestChainlit(OnBothDatabases):
    # A call is a step that is shown with the answer, and no turn.
    tools = False

    def talk(self) -> list[Any]:
        return [
            self.asked(QUESTION),
            *(
                step("tool", RESULTS[call_id], name=WEATHER, input=city)
                for call_id, city in CITIES.items()
            ),
            step("assistant_message", ANSWER, generation={"model": "m-1"}),
        ]

    def odd(self) -> list[Any]:
        return [
            step("user_message", "nul \x00 and \ud83d", metadata={"n": 2**70}),
            step("assistant_message", "Hm.", name="n" * 300, id="i" * 300),
            step("tool", "", input="", metadata={"json": None}, isError=True),
            step("assistant_message", "", streaming=True),
        ]

    def asked(self, text: str) -> Any:
        return step("user_message", text)

    async def add(self, store: Store, session_id: str, messages: Sequence[Any]) -> None:
        layer = _open(store, session_id)
        for message in messages:
            await layer.create_step({**message, "threadId": session_id})

    async def read(self, store: Store, session_id: str) -> list[Any]:
        thread = await _open(store, session_id).get_thread(session_id)
        return [] if thread is None else list(thread["steps"])

    async def delete(self, store: Store, session_id: str) -> None:
        await _open(store, session_id).delete_thread(session_id)

    def plain(self, message: Any) -> Any:
        return {name: v for name, v in message.items() if name not in _DRAWN}


def _open(store: Store, thread_id: str) -> ConvstoreDataLayer:
    """The data layer in a browser that `OWNER` has logged in to."""
    user = PersistedUser(
        id=user_id_of(OWNER), identifier=OWNER, createdAt="2026-03-01T00:00:00Z"
    )
    session = HTTPSession(
        id="s", thread_id=thread_id, user=user, client_type="webapp",
        token=None, user_env=None,
    )  # fmt: skip
    context_var.set(ChainlitContext(session))
    return ConvstoreDataLayer(store)
