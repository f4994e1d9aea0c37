# ruff: noqa: I001 - Chainlit is imported where its settings may lie

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import tests.frameworks.chainlit.conftest  # noqa: F401 - imports Chainlit
from chainlit.context import ChainlitContext, context_var
from chainlit.session import HTTPSession
from chainlit.types import Feedback
from chainlit.user import PersistedUser, User

from convstore import Store
from convstore.adapters.chainlit import ConvstoreDataLayer
from tests.frameworks.writers import Found

THREAD = "chainlit"


class Writer:
    # Each step is a call of its own.
    whole = False

    def __init__(self, store: Store) -> None:
        self.store, self.layer = store, ConvstoreDataLayer(store)
        self.user: PersistedUser | None = None

    async def write(self, names: list[str]) -> None:
        if self.user is None:
            self.user = await self.layer.create_user(User(identifier="ann"))
        session = HTTPSession(
            id="s", thread_id=THREAD, user=self.user, client_type="webapp",
            token=None, user_env=None,
        )  # fmt: skip
        token = context_var.set(ChainlitContext(session))
        try:
            await self._talk(*names)
        finally:
            context_var.reset(token)

    async def _talk(self, asked: str, answer: str) -> None:
        await self.layer.create_step(_step(asked, "user_message", asked))
        # Written on entry and on exit.
        tool = _step(f"tool-{asked}", "tool", "")
        await self.layer.create_step(tool)
        await self.layer.update_step(tool | {"output": f"rows for {asked}"})
        await self.layer.create_step(_step(answer, "assistant_message", answer))
        given = Feedback(forId=answer, value=1, threadId=THREAD)
        await self.layer.upsert_feedback(given)

    async def read(self) -> Found:
        thread: Any = await self.layer.get_thread(THREAD)
        if thread is None:
            return [], []
        steps = thread["steps"]
        names = [one["output"] for one in steps if one["type"] != "tool"]
        wrong = []
        if [one["id"] for one in steps if one["type"] != "tool"] != names:
            wrong.append("a step is not what was written")
        turns = await self.store.turns.branch(THREAD)
        if [turn.content for turn in turns] != names:
            wrong.append("the steps say something else than the turns")
        for tool in (one for one in steps if one["type"] == "tool"):
            if tool["output"] not in ("", f"rows for {tool['id'][5:]}"):
                wrong.append("a step of a tool is half")
        return names, wrong


def _step(step_id: str, kind: str, text: str) -> dict[str, Any]:
    told = {"id": step_id, "threadId": THREAD, "name": kind, "type": kind}
    at = datetime.now(UTC).isoformat().replace("+00:00", "Z")
    return told | {"output": text, "input": "", "createdAt": at}
