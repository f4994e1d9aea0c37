"""Uses the public face once, for the type checker: checked, never run."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, assert_type

from convstore import (
    Branch,
    Choice,
    FeedbackSummary,
    GraphState,
    Interaction,
    LegalHold,
    Limits,
    ManualClock,
    Page,
    Session,
    Store,
    StoreConfig,
    Transaction,
    Turn,
    TurnInput,
    VersionConflictError,
    blocking,
    open_store,
)
from convstore.repositories.conversation import Conversation
from convstore.types import History


async def asynchronous() -> None:
    config = StoreConfig(url="sqlite://", limits=Limits(max_page=50))
    async with open_store(config, clock=ManualClock()) as store:
        assert_type(store, Store)
        assert_type(store.for_tenant("acme"), Store)
        session, created = await store.sessions.get_or_create("s-1", tags=["a"])
        assert_type(session, Session)
        assert_type(created, bool)
        assert_type(session.metadata, dict[str, Any])
        assert_type(session.expires_at, datetime | None)
        assert_type(await store.sessions.find("s-1"), Session | None)
        assert_type(await store.sessions.list(user_id="u-1"), Page[Session])
        assert_type(await store.sessions.count(), int)
        await store.sessions.update("s-1", title=None, expires_at=datetime.now(UTC))
        turn = await store.turns.append("s-1", role="user", content="Hi", slots={})
        assert_type(turn, Turn)
        turns = await store.turns.append_many("s-1", [TurnInput("user"), {"role": "x"}])
        assert_type(turns, list[Turn])
        assert_type(await store.turns.window("s-1"), list[Turn])
        assert_type(await store.turns.history("s-1"), History)
        assert_type(await store.turns.previous_user_turn("s-1"), Turn | None)
        assert_type(await store.turns.branches("s-1"), list[Branch])
        act = await store.interactions.record(
            "s-1", action="choose", choice=Choice(1, (2,)), actor_kind="model"
        )
        assert_type(act, Interaction)
        assert_type(await store.interactions.summary("s-1"), FeedbackSummary)
        state = await store.graph_states.put("s-1", {"nodes": []}, expected_version=0)
        assert_type(state, GraphState)
        assert_type(await store.graph_states.namespaces("s-1"), dict[str, int])
        assert_type(await store.holds.place("s-1", reason="case"), LegalHold)
        await bound(store.conversation("s-1", user_id="u-1"))
        async with store.transaction() as tx:
            assert_type(tx, Transaction)
            assert_type(await tx.turns.append("s-1", role="user"), Turn)


async def bound(chat: Conversation) -> None:
    assert_type(await chat.append(role="user", content="Hi"), Turn)
    assert_type(await chat.add_exchange("Q", "A"), tuple[Turn, Turn])
    assert_type(await chat.graph_state(), GraphState | None)
    assert_type(await chat.session(), Session)


def threaded() -> None:
    with blocking.open_store("sqlite://") as store:
        assert_type(store, blocking.Store)
        assert_type(store.for_tenant("acme"), blocking.Store)
        assert_type(store.tenant, str)
        session, created = store.sessions.get_or_create("s-1", user_id="u-1")
        assert_type(session, Session)
        assert_type(created, bool)
        assert_type(store.sessions.list(), Page[Session])
        assert_type(store.turns.append("s-1", role="user", content="Hi"), Turn)
        assert_type(store.turns.window("s-1", limit=20), list[Turn])
        assert_type(store.interactions.summary("s-1"), FeedbackSummary)
        chat = store.conversation("s-1")
        assert_type(chat, blocking.Conversation)
        assert_type(chat.append(role="user", content="Hi"), Turn)
        assert_type(chat.history(), History)
        with store.transaction() as tx:
            assert_type(tx, blocking.Transaction)
            assert_type(tx.graph_states.put("s-1", {}), GraphState)
        store.turns.append("s-1", content="no role")  # type: ignore[call-arg]
        store.turns.apend("s-1")  # type: ignore[attr-defined]
        store.close()


def errors(error: VersionConflictError) -> None:
    assert_type(error.expected, int)
    assert_type(error.transient, bool)
    assert_type(error.code, str)
