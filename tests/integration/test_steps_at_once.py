"""Steps of graphs on heads that a process remembers: one statement, and what others did
meanwhile counts."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from convstore import (
    Checkpoint,
    CheckpointInput,
    CheckpointsEndedError,
    CheckpointValue,
    CheckpointWrite,
    ConflictError,
    SessionDeletedError,
    Store,
    VersionConflictError,
)
from convstore.store.repositories import Repositories
from convstore.vocabulary.policy import SearchPolicy
from tests.integration.archives import OpenAnother
from tests.integration.conversations import contents, say
from tests.integration.sent_statements import counting

BODY = CheckpointValue("msgpack", b"\x80\x00\xff")
LARGE = CheckpointValue("text", b"large " * 100)
SMALL = CheckpointValue("null", b"")


@pytest.fixture
async def store(store: Store) -> Store:
    """A store that has just written to session s-1, and can remember its head."""
    await say(store, "s-1", "one")
    return store


def turn(text: str, role: str = "assistant") -> dict[str, Any]:
    payload = {"payload": b"\x00\xff", "payload_format": "own"}
    return {"role": role, "content": text, "external_id": text, **payload}


def checkpoint(name: str, **more: Any) -> CheckpointInput:
    given = {"values": {"large": LARGE, "small": SMALL}, "metadata": {"by": "ä\n"}}
    return CheckpointInput(name, BODY, **{**given, **more})


async def put(store: Repositories, name: str, **more: Any) -> None:
    given = checkpoint(name, **more)
    fields = {n: getattr(given, n) for n in given.__struct_fields__}
    del fields["checkpoint_id"]
    await store.checkpoints.put("s-1", name, **fields, create=True)


async def write(store: Repositories, name: str, *texts: str, **more: Any) -> None:
    writes = [
        CheckpointWrite("t-1", place, "x", CheckpointValue("text", text.encode()))
        for place, text in enumerate(texts)
    ]
    await store.checkpoints.put_writes("s-1", name, writes, create=True, **more)


async def step(store: Repositories, name: str, *turns: Any, **more: Any) -> Any:
    given = {"turns": turns, "checkpoint": checkpoint(name), "create": True, **more}
    return await store.sessions.apply("s-1", **given)


async def history(store: Repositories) -> tuple[Checkpoint, ...]:
    return (await store.checkpoints.list("s-1", limit=100)).items


async def test_a_step_is_one_statement_where_the_server_is_far(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    is_far = store._parts.backend.dialect.has_far_server
    for number, role in enumerate(("user", "assistant")):
        name = f"c-{number}"
        # What one batch has, and a batch of several.
        for calls in (
            [put(store, name), write(store, name, "a", "b")],
            [write(store, name, "c")],
            [
                step(
                    store, f"{name}a", turn(f"{number}", role), expected_head=number + 1
                )
            ],
        ):
            sent = counting(monkeypatch)
            await asyncio.gather(*calls)
            monkeypatch.undo()
            assert (len(sent) == 1) is is_far

    assert await contents(store, "s-1") == ["one", "0", "1"]
    found = await history(store)
    assert [c.checkpoint_id for c in found] == ["c-1a", "c-1", "c-0a", "c-0"]
    assert found[-1].values == {"large": LARGE, "small": SMALL}
    assert found[-1].metadata == {"by": "ä\n"}
    assert [w.value.data for w in found[-1].writes] == [b"a", b"b"]


async def test_steps_say_the_same_as_in_a_transaction(
    store: Store, open_another: OpenAnother
) -> None:
    """Where nothing is remembered, and each statement is one of its own."""

    async def work(of: Repositories) -> None:
        await step(of, "c-1", turn("two"), turn("three"))
        await put(of, "c-1", values={"other": LARGE})
        await write(of, "c-1", "a", "b")
        await write(of, "c-1", "not taken", "b", "c")
        await write(of, "c-1", "replaced", replace=True)
        await write(of, "c-1", "not taken")
        await put(of, "c-2", parent_id="c-1", lists={"list": [SMALL, LARGE]})
        await put(of, "c-3", parent_id="c-2", lists={"list": [SMALL, LARGE, BODY]})
        await step(of, "c-4")

    other = store.for_tenant("other")
    await say(other, "s-1", "one")
    await work(store)
    async with other.transaction() as tx:
        await work(tx)

    def told(found: tuple[Checkpoint, ...]) -> list[Any]:
        names = [n for n in Checkpoint.__struct_fields__ if n != "created_at"]
        return [[getattr(one, name) for name in names] for one in found]

    assert told(await history(store)) == told(await history(other))
    assert await contents(store, "s-1") == await contents(other, "s-1")
    one, same = await store.sessions.get("s-1"), await other.sessions.get("s-1")
    assert (one.version, one.turn_count) == (same.version, same.turn_count)


async def test_of_many_at_once_none_is_lost_and_the_last_of_two_stays(
    store: Store,
) -> None:
    await asyncio.gather(
        *(put(store, f"c-{n}") for n in range(5)),
        put(store, "c-1", values={"last": SMALL}),
        *(write(store, f"c-{n}", "first", f"{n}") for n in range(5)),
        write(store, "c-1", "not taken"),
        step(store, "c-9", turn("two")),
        say(store, "s-1", "three"),
    )

    found = {one.checkpoint_id: one for one in await history(store)}
    assert sorted(found) == [*(f"c-{n}" for n in range(5)), "c-9"]
    assert found["c-1"].values == {"last": SMALL}
    assert [w.value.data for w in found["c-1"].writes] == [b"first", b"1"]
    assert await contents(store, "s-1") == ["one", "two", "three"]


async def test_what_was_ended_stays_ended_whoever_ended_it(
    store: Store, open_another: OpenAnother
) -> None:
    other = await open_another()
    await put(store, "c-1")
    for who, last in ((other, "c-5"), (store, "c-7")):
        await who.checkpoints.end("s-1", through=last)
        for late in (
            put(store, "c-8", parent_id=last),
            write(store, "c-4", "late"),
            step(store, "c-3", turn("late")),
        ):
            with pytest.raises(CheckpointsEndedError):
                await late
        await put(store, "c-9")
    assert [one.checkpoint_id for one in await history(store)] == ["c-9"]
    assert await contents(store, "s-1") == ["one"]


async def test_a_step_of_which_a_turn_is_stored_already_changes_nothing(
    store: Store,
) -> None:
    await step(store, "c-1", turn("two"))
    before = await store.sessions.get("s-1")

    with pytest.raises(ConflictError):
        await step(store, "c-2", turn("two"), turn("3"), expected_turn_count=2)
    assert (await step(store, "c-2", turn("two"))).repeated
    assert await store.sessions.get("s-1") == before
    assert [one.checkpoint_id for one in await history(store)] == ["c-1"]


async def test_a_step_on_what_another_store_has_moved_is_refused_or_goes_on(
    store: Store, open_another: OpenAnother
) -> None:
    other = await open_another()
    await step(store, "c-1", turn("two"))
    await say(other, "s-1", "three")

    with pytest.raises(VersionConflictError):
        await step(store, "c-2", turn("four"), expected_head=2)
    await step(store, "c-2", turn("four"))
    assert await contents(store, "s-1") == ["one", "two", "three", "four"]
    await other.sessions.delete("s-1", archive=False)
    with pytest.raises(SessionDeletedError):
        await put(store, "c-3")


async def test_only_sessions_in_which_something_was_said_are_marked_for_the_index(
    open_another: OpenAnother,
) -> None:
    from sqlalchemy import select

    from convstore.db import models

    store = await open_another(search=SearchPolicy("deferred"))
    for name in ("s-1", "s-2"):
        await say(store, name, "one")
    marks = select(models.search_marks.c.session_id, models.search_marks.c.number)

    async def marked() -> set[tuple[str, int]]:
        rows = await store._parts.backend.read(lambda c: c.execute(marks).all())
        return {(session_id, number) for session_id, number in rows}

    before = await marked()
    await put(store, "c-1")
    await asyncio.gather(put(store, "c-2"), say(store, "s-2", "two"))
    assert "s-1" not in {session_id for session_id, _ in await marked() - before}
