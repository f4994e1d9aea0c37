"""A session that learns from each run whose it is, and one in the SDK's wrappers."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Any

import httpx
import pytest
from agents import Agent, RunContextWrapper, Runner
from agents.extensions.memory import EncryptedSession
from agents.memory import OpenAIResponsesCompactionSession
from agents.memory.session import Session, _session_accepts_wrapper
from agents.testing import ScriptedModel, assistant_message
from openai import AsyncOpenAI
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from convstore import InvalidInputError, Store
from convstore.adapters.openai_agents import ConvstoreSession
from tests.crash.invariants import read_rows

SECRET = "Zwartewaterland"
KEY = "a key of this test alone, and of nobody else"


@dataclass
class Visitor:
    user_id: Any = "ann"
    tenant_id: Any = "shop"


def of_the_run(store: Store, session_id: str = "s-1") -> ConvstoreSession:
    return ConvstoreSession(
        session_id,
        store,
        user_id=lambda visitor: visitor.user_id,
        tenant_id=lambda visitor: visitor.tenant_id,
    )


def guide(*answers: str) -> Agent[Any]:
    said = [
        [assistant_message(text, item_id=f"m-{n}")] for n, text in enumerate(answers)
    ]
    return Agent(name="guide", model=ScriptedModel(steps=said))


def asked(text: str) -> Any:
    return {"role": "user", "content": text}


@pytest.mark.parametrize("encrypted", [False, True])
async def test_each_run_says_whose_the_session_is(
    store: Store, encrypted: bool
) -> None:
    session: Any = of_the_run(store)
    if encrypted:
        session = EncryptedSession("s-1", session, encryption_key=KEY)
    assert _session_accepts_wrapper(session)
    for agent, who in (
        (guide("One."), Visitor("ann", "shop")),
        (guide("Two."), Visitor("bob", "museum")),
        (guide("Three."), Visitor("ann", "shop")),
    ):
        await Runner.run(agent, f"I am {who.user_id}.", context=who, session=session)

    for who, answers in (
        (Visitor("ann", "shop"), ["One.", "Three."]),
        (Visitor("bob", "museum"), ["Two."]),
    ):
        run: Any = RunContextWrapper(context=who)
        items = await session.get_items(wrapper=run)
        said = [item["content"][0]["text"] for item in items[1::2]]
        assert said == answers
        kept = await store.for_tenant(who.tenant_id).sessions.get("s-1")
        assert (kept.user_id, kept.turn_count) == (who.user_id, 2 * len(answers))
        assert await session.pop_item(wrapper=run) == items[-1]
        await session.clear_session(wrapper=run)
        assert await session.get_items(wrapper=run) == []
    assert await store.sessions.find("s-1") is None


async def test_a_call_that_is_for_nobody_is_refused(store: Store) -> None:
    session = of_the_run(store)
    nobody: Any = [
        None,
        RunContextWrapper(context=Visitor(user_id=None)),
        RunContextWrapper(context=Visitor(tenant_id="")),
    ]
    for run, field in zip(nobody, ["tenant_id", "user_id", "tenant_id"], strict=True):
        for call in (
            session.get_items(wrapper=run),
            session.add_items([asked("Hello")], wrapper=run),
            session.pop_item(wrapper=run),
            session.clear_session(wrapper=run),
        ):
            with pytest.raises(InvalidInputError) as caught:
                await call
            assert caught.value.field == field
    with pytest.raises(InvalidInputError):
        await session._get_compaction_snapshot(3)
    # Another user's run in the same tenant does not see it either.
    await session.add_items([asked("Hi")], wrapper=RunContextWrapper(Visitor("ann")))
    bob: Any = RunContextWrapper(context=Visitor("bob"))
    assert await session.get_items(wrapper=bob) == []


async def test_an_owner_who_is_known_needs_no_run(store: Store) -> None:
    session = ConvstoreSession("s-1", store, user_id="ann")
    run: Any = RunContextWrapper(context=Visitor("bob"))

    await session.add_items([asked("Hello")], wrapper=run)

    assert isinstance(session, Session)
    assert await session.get_items() == [asked("Hello")]
    assert (await store.sessions.get("s-1")).user_id == "ann"


async def test_what_is_encrypted_is_read_by_who_has_the_key_alone(
    store: Store, database_url: str
) -> None:
    def session(key: str) -> EncryptedSession:
        own: Any = ConvstoreSession("s-1", store, user_id="ann")
        return EncryptedSession("s-1", own, encryption_key=key)

    await Runner.run(guide("Rain."), f"In {SECRET}?", session=session(KEY))
    await store.run_retention(older_than_s=0)
    await Runner.run(guide("Sun."), "And then?", session=session(KEY))

    told = await session(KEY).get_items()
    assert told[0] == asked(f"In {SECRET}?")
    assert len(told) == 4
    assert await session("another key of some length, too").get_items() == []
    assert SECRET not in repr(await store.turns.branch("s-1"))
    assert SECRET not in repr(await asyncio.to_thread(read_rows, database_url))
    assert SECRET not in repr(await store.turns.history("s-1", limit=10))
    assert await session(KEY).pop_item() == told[-1]
    await session(KEY).clear_session()
    assert await session(KEY).get_items() == []
    assert (await store.sessions.get("s-1")).turn_count == 4


def compacting(under: Any, output: list[Any]) -> OpenAIResponsesCompactionSession:
    """With the SDK's own client, answered in this process."""

    async def compact(request: Request) -> JSONResponse:
        asked_for.append(await request.json())
        made = {"id": "c-1", "object": "response.compaction", "created_at": 1}
        usage = {"input_tokens": 9, "output_tokens": 1, "total_tokens": 10}
        details = {"input_tokens_details": {"cached_tokens": 0}}
        details["output_tokens_details"] = {"reasoning_tokens": 0}
        return JSONResponse({**made, "output": output, "usage": {**usage, **details}})

    asked_for: list[Any] = []
    served = Starlette(routes=[Route("/responses/compact", compact, methods=["POST"])])
    client = AsyncOpenAI(
        api_key="none",
        base_url="http://compacting",
        http_client=httpx.AsyncClient(transport=httpx.ASGITransport(served)),
    )
    made = OpenAIResponsesCompactionSession(
        "s-1",
        under,
        client=client,
        compaction_mode="input",
        should_trigger_compaction=lambda seen: len(seen["session_items"]) >= 6,
    )
    made.asked_for = asked_for  # type: ignore[attr-defined]
    return made


@pytest.mark.parametrize("order", ["compacted", "encrypted", "both"])
async def test_a_session_that_the_sdk_compacts_is_left_on_a_branch(
    store: Store, order: str
) -> None:
    summary = {"id": "cmp_1", "type": "compaction", "encrypted_content": "short"}
    own: Any = ConvstoreSession("s-1", store, user_id="ann")
    session: Any = own
    if order == "encrypted":
        session = EncryptedSession("s-1", own, encryption_key=KEY)
    session = compact = compacting(session, [summary])
    if order == "both":
        session = EncryptedSession("s-1", compact, encryption_key=KEY)
    for number in range(3):
        await Runner.run(guide(f"{number}."), f"Question {number}?", session=session)

    assert len(compact.asked_for) == 1
    assert len(compact.asked_for[0]["input"]) == 6
    assert await session.get_items() == [summary]
    acts = (await store.interactions.list("s-1")).items
    assert [(act.action, act.turn_seq, act.actor_kind) for act in acts] == [
        ("compact", 6, "code")
    ]
    await Runner.run(guide("3."), "Question 3?", session=session)
    items = await session.get_items()
    assert [item.get("role") for item in items] == [None, "user", "assistant"]
    assert (await store.sessions.get("s-1")).turn_count == 9
