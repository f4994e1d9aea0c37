"""The wall between tenants: with equal ids everywhere, nobody sees another's rows."""

import hashlib
import inspect
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest

from convstore import (
    CheckpointValue,
    CheckpointWrite,
    GraphStateNotFoundError,
    InteractionNotFoundError,
    InvalidInputError,
    SessionNotFoundError,
    Store,
    TurnNotFoundError,
)
from convstore.export import plan
from tests.integration.conversations import every_page, say

Call = Callable[[Store], Awaitable[Any]]

# Every public read: what each tenant is told.
READS: dict[str, Call] = {
    "sessions.get": lambda s: s.sessions.get("s-1"),
    "sessions.find": lambda s: s.sessions.find("s-1"),
    "sessions.list": lambda s: every_page(s.sessions.list, limit=1),
    "sessions.list by user": lambda s: s.sessions.list(user_id="u-1"),
    "sessions.list by title": lambda s: s.sessions.list(title="q"),
    "sessions.list judged": lambda s: s.sessions.list(judged=True),
    "sessions.list disagreed": lambda s: s.sessions.list(disagreed=False),
    "sessions.list held": lambda s: s.sessions.list(held=True),
    "sessions.list by tag": lambda s: s.sessions.list(tag="t"),
    "sessions.list by metadata": lambda s: s.sessions.list(metadata={"k": 1}),
    "sessions.count": lambda s: s.sessions.count(),
    "sessions.forks": lambda s: s.sessions.forks("s-1"),
    "sessions.adapter_state": lambda s: s.sessions.adapter_state("s-1", "x"),
    "sessions.adapter_states": lambda s: _states(s),
    "turns.get": lambda s: s.turns.get("s-1", 1),
    "turns.find": lambda s: s.turns.find("s-1", external_id="m-1"),
    "turns.find_all": lambda s: s.turns.find_all(external_id="m-1"),
    "turns.list": lambda s: s.turns.list("s-1"),
    "turns.window": lambda s: s.turns.window("s-1"),
    "turns.window branched": lambda s: s.turns.window("s-2"),
    "turns.history": lambda s: s.turns.history("s-1"),
    "turns.previous_user_turn": lambda s: s.turns.previous_user_turn("s-1"),
    "turns.branches": lambda s: s.turns.branches("s-2"),
    "turns.branch": lambda s: s.turns.branch("s-2"),
    "turns.branch of a tip": lambda s: s.turns.branch("s-2", head=1),
    "turns.siblings": lambda s: s.turns.siblings("s-2", [1]),
    "turns.children": lambda s: s.turns.children("s-2", [0, 1]),
    "turns.tools": lambda s: s.turns.tools("s-1", TOOLS_HASH),
    "interactions.list": lambda s: s.interactions.list("s-1"),
    "interactions.summary": lambda s: s.interactions.summary("s-1"),
    "interactions.effective": lambda s: s.interactions.effective("s-1"),
    "interactions.search": lambda s: s.interactions.search(),
    "interactions.search by actor": lambda s: s.interactions.search(actor_id="u-1"),
    "graph_states.get": lambda s: s.graph_states.get("s-1"),
    "graph_states.find": lambda s: s.graph_states.find("s-1"),
    "graph_states.list": lambda s: s.graph_states.list("s-1"),
    "graph_states.namespaces": lambda s: s.graph_states.namespaces("s-1"),
    "checkpoints.get": lambda s: s.checkpoints.get("s-1"),
    "checkpoints.find": lambda s: s.checkpoints.find("s-1", "c-1"),
    "checkpoints.list": lambda s: every_page(s.checkpoints.list, limit=1),
    "checkpoints.list of a run": lambda s: s.checkpoints.list(run_id="r-1"),
    "checkpoints.list by metadata": lambda s: s.checkpoints.list(metadata={"k": 1}),
    "checkpoints.list of one": lambda s: s.checkpoints.list("s-1"),
    "holds.list": lambda s: s.holds.list(),
    "holds.list of one": lambda s: s.holds.list("s-1"),
    "ledger.get": lambda s: s.ledger.find("s-1"),
    "ledger.find": lambda s: s.ledger.find("s-1"),
    "ledger.list": lambda s: s.ledger.list(),
    "ledger.stats": lambda s: _in_ledger(s),
    "ledger.cost": lambda s: s.ledger.cost(),
    "ledger.report": lambda s: _charged(s),
    "ledger.check_budget": lambda s: s.ledger.check_budget("s-1"),
    "ledger.is_cache_sticky": lambda s: s.ledger.is_cache_sticky("s-1"),
    "archive.list": lambda s: s.archive.list(),
    "archive.read": lambda s: s.archive.read("archived"),
    "queues.list": lambda s: s.queues.list(),
    "queues.get": lambda s: s.queues.find("queue"),
    "queues.find": lambda s: s.queues.find("queue"),
    "users.list": lambda s: s.users.list(),
    "erasures.list": lambda s: s.erasures.list(),
    "erasures.get": lambda s: _receipts(s),
    "items.get": lambda s: s.items.find("app", "k"),
    "items.find": lambda s: s.items.find("app", "k"),
    "items.find of a session": lambda s: s.items.find("app", "k", session_id="s-1"),
    "items.find_many": lambda s: _named(s),
    "items.list": lambda s: s.items.list(),
    "items.list by user": lambda s: s.items.list(user_id="u-1"),
    "items.list of a session": lambda s: s.items.list(session_id="s-1"),
    "items.namespaces": lambda s: s.items.namespaces(),
    "attachments.get": lambda s: s.attachments.find(REF),
    "attachments.find": lambda s: s.attachments.find(REF),
    "attachments.inlined": lambda s: _inlined(s),
    "attachments.inlined_turns": lambda s: _inlined(s),
    "search": lambda s: s.search("q"),
    "search of a session": lambda s: s.search("q", session_id="s-1"),
    "documents": lambda s: _all(s.documents()),
    "conversation": lambda s: s.conversation("s-1", user_id="u-1").window(),
}
# Writes, and what belongs to no tenant: segments and their upkeep.
NOT_COMPARED = {
    "sessions": {"get_or_create", "update", "patch", "apply", "touch", "transfer",
                 "fork", "delete"},
    "turns": {"append", "append_once", "append_many", "append_message",
              "add_exchange", "switch", "pop"},
    "interactions": {"record", "record_many", "add_feedback"},
    "graph_states": {"put"},
    "checkpoints": {"put", "put_writes", "delete", "prune", "end", "copy"},
    "holds": {"place", "release"},
    "ledger": {"pin", "touch", "escalate", "record_request", "add_cost",
               "set_cache_sticky", "clear"},
    "attachments": {"put"},
    "items": {"put", "patch", "touch", "delete", "remove_expired"},
    "search_index": {"run", "check", "rebuild"},
    "queues": {"put", "next", "release", "delete"},
    "archive": {"segments", "runs", "verify", "agreement", "count_segments",
                "recover", "rebuild", "adopt", "compact", "tables"},
}  # fmt: skip
REF = f"attachment:sha256:{hashlib.sha256(b'acme').hexdigest()}"
# SHA-256 of the JSON text [{"name":"f"}].
TOOLS_HASH = "918efb218d11a906df5a29daaff50aaad3ff29d8342d4ccdd9357d725e69d041"


async def _all(stream: AsyncIterator[Any]) -> list[Any]:
    return [item async for item in stream]


async def _states(store: Store) -> Any:
    found = await store.sessions.adapter_states(["s-1", "s-2", "archived"], "x")
    return list(found.items())


async def _receipts(store: Store) -> Any:
    page = await store.erasures.list()
    return [await store.erasures.get(receipt.erasure_id) for receipt in page.items]


async def _inlined(store: Store) -> bool:
    return "base64" in str(await store.attachments.inlined({"url": REF}))


async def _named(store: Store) -> Any:
    return list((await store.items.find_many([("app", "k")])).values())


async def _charged(store: Store) -> Any:
    return (await store.ledger.report("user")).rows


async def _in_ledger(store: Store) -> Any:
    return (await store.ledger.stats()).sessions


async def _put_checkpoint(store: Store, said: str) -> None:
    value = CheckpointValue("text", said.encode())
    await store.checkpoints.put(
        "s-1",
        "c-1",
        body=value,
        values={"small": value, "large": CheckpointValue("text", value.data * 100)},
        lists={"messages": [value]},
        run_id="r-1",
        metadata={"k": 1},
    )
    written = CheckpointWrite("t-1", 0, "x", value)
    await store.checkpoints.put_writes("s-1", "c-1", [written])


async def _fill(store: Store, said: str) -> None:
    """Equal ids in every tenant; only what is said differs."""
    await store.sessions.get_or_create("erased")
    await store.erase(session_id="erased")
    await say(store, "archived", f"q {said}")
    await store.sessions.delete("archived")
    await store.sessions.get_or_create(
        "s-1", user_id="u-1", tags=["t"], metadata={"k": 1}, title=f"q {said}"
    )
    tools = [{"name": "f"}]
    await store.turns.append(
        "s-1", role="user", content=f"q {said}", external_id="m-1", tools=tools
    )
    await store.turns.append("s-1", role="assistant", content=f"a {said}")
    await store.interactions.record(
        "s-1",
        action="feedback",
        turn_seq=2,
        actor_id="u-1",
        feedback=f"label {said}",
        external_id="f-1",
    )
    await store.graph_states.put("s-1", {"said": said}, external_id="g-1")
    await _put_checkpoint(store, said)
    await store.holds.place("s-1", reason=f"case {said}")
    await store.queues.put("queue", question=f"better, {said}?")
    await store.ledger.pin("s-1", model=f"model {said}", tier="t")
    await store.ledger.add_cost("s-1", micros=len(said))
    await store.sessions.patch("s-1", adapter_state={"x": {"said": said}})
    await store.sessions.fork("s-1", f"fork of {said}")
    await store.attachments.put(said.encode(), media_type="text/plain")
    for session_id in (None, "s-1"):
        user_id = "u-1" if session_id is None else None
        await store.items.put(
            "app", "k", {"said": said}, user_id=user_id, session_id=session_id
        )
    await store.sessions.get_or_create("s-2", user_id="u-1")
    await store.turns.append_many(
        "s-2",
        [
            {"role": "user", "content": f"root {said}"},
            {"role": "assistant", "content": f"one {said}"},
            {"role": "assistant", "content": f"two {said}", "parent_seq": 1},
        ],
    )


async def test_every_public_read_is_compared(store: Store) -> None:
    """Fails when a read is added to the store and not to READS."""
    verbs = {
        f"{noun}.{name}"
        for noun, value in vars(store).items()
        for name, verb in inspect.getmembers(type(value))
        if "_" not in (noun[0], name[0])
        and (inspect.iscoroutinefunction(verb) or inspect.isasyncgenfunction(verb))
        and name not in NOT_COMPARED.get(noun, ())
    }

    assert verbs <= READS.keys()


async def test_a_read_gives_each_tenant_its_own(store: Store) -> None:
    """Differential: with the other tenants' rows there or not, the answer is one."""
    acme = store.for_tenant("acme")
    await _fill(acme, "acme")
    alone = {name: await read(acme) for name, read in READS.items()}

    await _fill(store, "default")
    await _fill(store.for_tenant("acm"), "prefix")
    await _fill(store.for_tenant("acme "), "blank")

    for name, read in READS.items():
        assert await read(acme) == alone[name], name
        if "acme" in repr(alone[name]):
            assert await read(store) != alone[name], name


async def test_a_read_finds_nothing_of_another_tenant(store: Store) -> None:
    await _fill(store.for_tenant("acme"), "acme")

    for name, read in READS.items():
        try:
            found = await read(store)
        except SessionNotFoundError:
            found = None

        assert not getattr(found, "items", found), name


async def test_writes_do_not_reach_another_tenants_session(store: Store) -> None:
    acme = store.for_tenant("acme")
    await _fill(acme, "acme")
    before = [await READS[name](acme) for name in READS if name != "turns.tools"]

    for call in (
        store.turns.append("s-1", role="user", content="x"),
        store.turns.append("s-1", role="user", external_id="m-1"),
        store.turns.switch("s-2", 2),
        store.sessions.update("s-1", title="x"),
        store.sessions.touch("s-1"),
        store.sessions.patch("s-1", metadata={"x": 1}),
        store.sessions.fork("s-1", "s-9"),
        store.turns.append_once("s-1", role="user", content="x"),
        store.turns.append_many("s-1", [{"role": "user", "content": "x"}]),
        store.turns.pop("s-2"),
        store.sessions.apply("s-1", turns=[{"role": "user", "content": "x"}]),
        store.sessions.delete("s-1"),
        store.sessions.delete("s-1", expected_version=1, archive=False),
        store.sessions.transfer("s-1", user_id="u-2"),
        store.items.put("app", "k", 1, session_id="s-1"),
        store.items.patch("app", "k", {"x": 1}, session_id="s-1"),
        store.interactions.record("s-1", action="retract", supersedes=1),
        store.graph_states.put("s-1", 1),
        _put_checkpoint(store, "x"),
        store.checkpoints.put_writes(
            "s-1", "c-1", [CheckpointWrite("t-2", 0, "x", CheckpointValue("t", b""))]
        ),
        store.checkpoints.delete("s-1", [("", "c-1")]),
        store.checkpoints.prune("s-1", keep=0),
        store.checkpoints.end("s-1", through="z"),
        store.checkpoints.copy("s-1", "s-9"),
        store.holds.place("s-1", reason="x"),
        store.holds.release("s-1"),
    ):
        with pytest.raises(SessionNotFoundError):
            await call

    after = [await READS[name](acme) for name in READS if name != "turns.tools"]
    assert after == before


async def test_a_deleted_id_that_begins_anew_is_another_tenants_still(
    store: Store,
) -> None:
    acme = store.for_tenant("acme")
    await _fill(acme, "acme")

    assert (await store.sessions.get_or_create("archived", renew=True))[1]
    await store.sessions.apply("gone", create=True, renew=True)
    assert not await store.items.delete("app", "k", session_id="archived")

    assert (await acme.archive.read("archived")).turns
    assert await acme.sessions.find("gone") is None


async def test_external_ids_are_each_tenants_own(store: Store) -> None:
    acme = store.for_tenant("acme")
    await _fill(acme, "acme")

    await _fill(store, "default")

    assert (await acme.turns.get("s-1", 1)).content == "q acme"
    assert (await store.turns.get("s-1", 1)).content == "q default"


async def test_a_number_of_another_tenants_rows_is_not_there(store: Store) -> None:
    await _fill(store.for_tenant("acme"), "acme")
    await store.sessions.get_or_create("s-1")

    with pytest.raises(TurnNotFoundError):
        await store.turns.get("s-1", 1)
    with pytest.raises(GraphStateNotFoundError):
        await store.graph_states.get("s-1", version=1)
    with pytest.raises(InteractionNotFoundError):
        await store.interactions.record("s-1", action="retract", supersedes=1)


async def test_a_cursor_of_another_tenant_shows_ones_own_rows_only(
    store: Store,
) -> None:
    acme = store.for_tenant("acme")
    await _fill(acme, "acme")
    await _fill(store, "default")
    cursor = (await acme.sessions.list(limit=1)).next_cursor

    page = await store.sessions.list(cursor=cursor)

    assert {s.tenant_id for s in page.items} <= {"default"}


@pytest.mark.parametrize("tenant", ["", "x" * 256, "a\0", "\ud800", 5, None])
async def test_a_tenant_that_is_no_id_is_refused(store: Store, tenant: Any) -> None:
    with pytest.raises(InvalidInputError) as caught:
        store.for_tenant(tenant)

    assert caught.value.field == "tenant_id"


async def test_an_empty_tenant_is_not_all_of_them(store: Store) -> None:
    with pytest.raises(InvalidInputError, match="tenant_id"):
        await store.run_retention(tenant_id="")
    with pytest.raises(InvalidInputError, match="tenant_id"):
        await anext(store.archive.plan(tenant_id=""))
    with pytest.raises(InvalidInputError, match="tenant"):
        plan(database="sqlite:///absent.db", tenant="")


async def test_a_transaction_is_inside_the_wall_too(store: Store) -> None:
    await _fill(store, "default")
    acme = store.for_tenant("acme")

    async with acme.transaction() as tx:
        assert await tx.sessions.find("s-1") is None
        await tx.sessions.get_or_create("s-1", title="ours")

    assert (await store.sessions.get("s-1")).title == "q default"
    assert (await acme.sessions.get("s-1")).title == "ours"
