"""A session store of the Agent Framework does as the framework's own does."""

from __future__ import annotations

import asyncio
import warnings
from typing import Any

import pytest
from agent_framework import AgentSession, Message

import convstore.blocking
from convstore import ConfigError, ConflictError, Store
from convstore.adapters import agent_framework

with warnings.catch_warnings():
    # The framework says that session stores are experimental.
    warnings.simplefilter("ignore")
    from agent_framework import SessionStore

    from convstore.adapters.agent_framework import ConvstoreSessionStore

IDS = ["s-1", "s/" * 200, "sha256:1", "nul \x00 and \ud83d", " "]


def session(session_id: str = "s-1", **state: Any) -> AgentSession:
    made = AgentSession(session_id=session_id, service_session_id="resp-1")
    made.state |= state
    return made


async def test_a_session_comes_back_as_it_was_set(store: Store) -> None:
    ours, theirs = ConvstoreSessionStore(store, user_id="ann"), SessionStore()
    state = {
        "provider": {"messages": [Message("user", ["Which?"])], "n": 2**70},
        "odd": ["nul \x00 and \ud83d", None, 1.5, True],
    }
    for place, key in enumerate(IDS):
        for one in (ours, theirs):
            assert await one.get(key) is None
            await one.delete(key)
            await one.set(key, session(key, **state, place=place))

    for place, key in enumerate(IDS):
        found, known = await ours.get(key), await theirs.get(key)
        assert found is not None
        assert known is not None
        assert (
            found.to_dict()
            == known.to_dict()
            == session(key, **state, place=place).to_dict()
        )
        assert isinstance(found.state["provider"]["messages"][0], Message)
    await ours.set("s-1", session(n=2))
    again = await ours.get("s-1")
    assert again is not None
    assert again.state == {"n": 2}
    await ours.delete("s-1")
    assert await ours.get("s-1") is None
    assert await ours.get(IDS[1]) is not None


async def test_a_session_is_its_users_and_is_erased_with_them(store: Store) -> None:
    ann = ConvstoreSessionStore(store, user_id="ann")
    bob = ConvstoreSessionStore(store, user_id="bob")
    await ann.set("s-1", session(n=1))

    assert await bob.get("s-1") is None
    await bob.delete("s-1")
    with pytest.raises(ConflictError):
        await bob.set("s-1", session(n=2))
    assert await ConvstoreSessionStore(store).get("s-1") is not None
    await ConvstoreSessionStore(store).set("nobody's", session())
    assert await ann.get("nobody's") is None

    await store.conversation("talk", user_id="ann").append(role="user", content="Hm.")
    await store.erase(user_id="ann")
    assert await ann.get("s-1") is None


async def test_what_would_not_come_back_is_refused(store: Store) -> None:
    class Other(AgentSession):
        pass

    ours = ConvstoreSessionStore(store)
    with pytest.raises(TypeError, match="Other"):
        await ours.set("s-1", Other(session_id="s-1"))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the framework says so, too
        with pytest.raises(TypeError, match="JSON"):
            await ours.set("s-1", session(n=object()))
    for call in (ours.get, ours.delete):
        with pytest.raises(ValueError, match="session_id"):
            await call("")
    assert await ours.get("s-1") is None


def test_a_blocking_store_serves_any_loop(database_url: str) -> None:
    with convstore.blocking.open_store(database_url) as store:
        ours = ConvstoreSessionStore(store, user_id="ann")
        asyncio.run(ours.set("s-1", session(n=1)))

        found = asyncio.run(ours.get("s-1"))
    assert found is not None
    assert found.state == {"n": 1}
    with pytest.raises(ConfigError):
        ConvstoreSessionStore(database_url)  # type: ignore[arg-type]


def test_the_package_names_both_of_its_classes() -> None:
    assert dir(agent_framework) == ["ConvstoreHistory", "ConvstoreSessionStore"]
    with pytest.raises(AttributeError):
        agent_framework.Nothing  # noqa: B018
