"""Whatever is done, the store answers as the framework's own does in memory."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from itertools import count
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic_ai import conversation_store
from pydantic_ai.conversation import Conversation
from pydantic_ai.conversation_store import (
    ConversationRecord,
    ConversationStore,
    InMemoryConversationStore,
)
from pydantic_ai.exceptions import UserError

from convstore import Store
from convstore.adapters.pydantic_ai import ConvstoreConversations
from tests.frameworks.pydantic_ai.talk import BEGIN, message

IDS = ("a", "b", "c", "d", "e")
ids, few = st.sampled_from(IDS[:3]), st.integers(0, 3)
# An id that was deleted in a scope stays in it, so each id has one of its own.
scopes = st.sampled_from([True, True, False, None])
STEPS = st.one_of(
    st.tuples(st.just("save"), ids, scopes, few),
    st.tuples(st.just("rewrite"), ids, few, few),
    st.tuples(st.just("windowed"), ids, few, few),
    st.tuples(st.just("branch"), ids, few, st.booleans()),
    st.tuples(st.just("fork"), ids, few, st.booleans(), st.sampled_from(IDS)),
    st.tuples(st.just("delete"), st.sampled_from(IDS), scopes),
    st.tuples(st.just("stale"), ids),
    st.tuples(st.just("list"), ids, st.booleans(), few),
)


class Side:
    """One of the two stores, and what its clients hold."""

    def __init__(self, store: ConversationStore, mint: Callable[[], int]) -> None:
        self.store, self.mint = store, mint
        self.held: dict[str, Conversation] = {}

    async def do(self, step: tuple[Any, ...]) -> Any:
        try:
            told = await getattr(self, step[0])(*step[1:])
        except UserError as error:
            return type(error)
        state: list[Any] = [told]
        for one in IDS:
            record = await self.store.read_record(one)
            entries = await self.store.load_entries(one)
            state.append((timeless(record), entries))
        return state

    async def load(self, one: str, limit: int | None = None) -> Conversation:
        loaded = await self.store.load(one, limit=limit)
        return loaded or Conversation(conversation_id=one)

    async def keep(self, talk: Conversation, scope: str | None = None) -> Any:
        self.held.setdefault(talk.conversation_id, replace(talk))
        return await self.store.save(talk, scope=scope), talk.revision

    def scope(self, one: str, own: bool | None) -> str | None:
        return None if own is None else f"of {one}" if own else "nobody"

    async def save(self, one: str, own: bool | None, more: int) -> Any:
        talk = await self.load(one)
        if talk.revision is None:
            own = True
        talk.messages += [message(self.mint()) for _ in range(more)]
        talk.usage.requests += 1
        return await self.keep(talk, self.scope(one, own))

    async def rewrite(self, one: str, kept: int, more: int) -> Any:
        talk = await self.load(one)
        messages = [*talk.messages[:kept], *(message(self.mint()) for _ in range(more))]
        again = replace(talk, messages=messages, new_message_index=None)
        return await self.keep(again, self.scope(one, True))

    async def windowed(self, one: str, limit: int, more: int) -> Any:
        talk = await self.load(one, limit)
        talk.messages += [message(self.mint()) for _ in range(more)]
        return await self.keep(talk, self.scope(one, True))

    async def _entry(self, one: str, place: int) -> str:
        record = await self.store.read_record(one)
        entries = await self.store.load_entries(one) or []
        known = [entry.id for entry in entries] + (record.branches if record else [])
        return known[place % len(known)] if known else "none"

    async def branch(self, one: str, at: int, by_entry: bool) -> Any:
        where: Any = {"at": at}
        if by_entry:
            where = {"from_entry": await self._entry(one, at)}
        revision = (await self.load(one)).revision
        return await self.store.branch(one, expected_revision=revision, **where)

    async def fork(self, one: str, at: int, by_entry: bool, new: str) -> Any:
        where: Any = {"at": at}
        if by_entry:
            where = {"from_entry": await self._entry(one, at)}
        return await self.store.fork(
            one, new_conversation_id=new, scope=self.scope(new, True), **where
        )

    async def delete(self, one: str, own: bool | None) -> None:
        await self.store.delete(one, scope=self.scope(one, own))

    async def stale(self, one: str) -> Any:
        talk = self.held.pop(one, Conversation(conversation_id=one))
        talk.messages = [*talk.messages, message(self.mint())]
        return await self.store.save(talk, scope=self.scope(one, True))

    async def list(self, one: str, own: bool, limit: int) -> Any:
        scope = self.scope(one, True) if own else None
        found = await self.store.list_conversations(scope=scope, limit=limit or None)
        return [timeless(record) for record in found]


def timeless(record: ConversationRecord | None) -> ConversationRecord | None:
    return None if record is None else replace(record, updated_at=BEGIN)


@pytest.fixture
def minted(monkeypatch: pytest.MonkeyPatch) -> dict[str, int]:
    at = {"next": 0}

    def mint() -> str:
        at["next"] += 1
        return f"id-{at['next']}"

    monkeypatch.setattr(conversation_store, "uuid7", mint)
    return at


tenants = count()


@settings(
    max_examples=20,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(steps=st.lists(STEPS, min_size=6, max_size=14))
async def test_the_same_steps_give_the_same(
    store: Store, minted: dict[str, int], steps: list[tuple[Any, ...]]
) -> None:
    def mint() -> int:
        minted["next"] += 1
        return minted["next"]

    ours = ConvstoreConversations(store.for_tenant(f"t-{next(tenants)}"))
    theirs = Side(InMemoryConversationStore(), mint)
    side = Side(ours, mint)
    for step in steps:
        before = minted["next"]
        expected = await theirs.do(step)
        minted["next"] = before
        assert await side.do(step) == expected, step
