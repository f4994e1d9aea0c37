"""What a legal hold forbids: no row of a held session goes, by any verb. What is
changed in place goes on changing, as the conversation does."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import pytest

from convstore import (
    CheckpointValue,
    CheckpointWrite,
    ItemInput,
    LegalHoldError,
    ManualClock,
    SessionDocument,
    Store,
)

BODY = CheckpointValue("text", b"a step")
Act = Callable[[Store], Awaitable[object]]

DESTROYING: dict[str, Act] = {
    "sessions.delete": lambda s: s.sessions.delete("s-1"),
    "sessions.delete unarchived": lambda s: s.sessions.delete("s-1", archive=False),
    "erase": lambda s: s.erase(session_id="s-1"),
    "checkpoints.delete": lambda s: s.checkpoints.delete("s-1", [("", "c-1")]),
    "checkpoints.prune": lambda s: s.checkpoints.prune("s-1"),
    "checkpoints.end": lambda s: s.checkpoints.end("s-1", through="c-9"),
    "checkpoints.copy over": lambda s: s.checkpoints.copy("s-2", "s-1"),
    "items.delete": lambda s: s.items.delete("step", "1", session_id="s-1"),
    "items.delete of one that has expired": lambda s: s.items.delete(
        "step", "2", session_id="s-1"
    ),
    "sessions.apply, an item": lambda s: s.sessions.apply(
        "s-1", items=[ItemInput("step", "1", delete=True, inside=True)]
    ),
    "sessions.apply, a state": lambda s: s.sessions.apply(
        "s-1", adapter_state={"mine": None}
    ),
    "sessions.patch, a state": lambda s: s.sessions.patch(
        "s-1", adapter_state={"mine": None}
    ),
    "ledger.clear": lambda s: s.ledger.clear("s-1"),
}


async def held(store: Store, clock: ManualClock) -> None:
    """A session with some of everything that can be destroyed, under hold."""
    for session_id in ("s-1", "s-2"):
        chat = store.conversation(session_id)
        await chat.append(role="user", content="Which archives?")
        for name in ("c-1", "c-2"):
            await store.checkpoints.put(session_id, name, body=BODY)
        await store.checkpoints.put_writes(
            session_id, "c-2", [CheckpointWrite("task", 0, "messages", BODY)]
        )
    await store.items.put("step", "1", {"name": "search"}, session_id="s-1")
    await store.items.put("step", "2", {"name": "old"}, ttl_s=1, session_id="s-1")
    await store.sessions.patch("s-1", adapter_state={"mine": {"n": 1}})
    await store.ledger.pin("s-1", model="m-1")
    clock.advance(60)
    await store.holds.place("s-1", reason="case 7", actor_id="legal")


@pytest.mark.parametrize("verb", DESTROYING)
async def test_nothing_of_a_held_session_is_destroyed(
    store: Store, clock: ManualClock, verb: str
) -> None:
    await held(store, clock)
    before = await _document(store)

    with pytest.raises(LegalHoldError) as told:
        await DESTROYING[verb](store)

    assert told.value.session_ids == ("s-1",)
    assert await _document(store) == before
    await store.holds.release("s-1", actor_id="legal")
    await DESTROYING[verb](store)
    assert await _document(store) != before


async def test_a_held_session_goes_on(store: Store, clock: ManualClock) -> None:
    await held(store, clock)

    await store.conversation("s-1").append(role="assistant", content="Three.")
    await store.checkpoints.put("s-1", "c-2", body=CheckpointValue("text", b"again"))
    await store.items.put("step", "1", {"name": "found"}, session_id="s-1")
    await store.sessions.patch("s-1", adapter_state={"mine": {"n": None, "m": 2}})
    await store.turns.switch("s-1", 0)

    # What is not there cannot be destroyed.
    assert await store.checkpoints.delete("s-1", [("", "c-9")]) == 0
    assert await store.checkpoints.prune("s-1", keep=9) == 0
    assert not await store.items.delete("step", "9", session_id="s-1")
    await store.sessions.patch("s-1", adapter_state={"another": None})


async def test_clearing_all_of_the_ledger_leaves_what_is_held(
    store: Store, clock: ManualClock
) -> None:
    await held(store, clock)
    await store.ledger.pin("s-2", model="m-1")

    assert await store.ledger.clear() == 1
    assert await store.ledger.find("s-1") is not None
    assert await store.ledger.find("s-2") is None


async def _document(store: Store) -> list[SessionDocument]:
    return [one async for one in store.documents(session_ids=["s-1"])]
