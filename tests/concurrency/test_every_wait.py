"""A caller that is cancelled at any place where it waits leaves nothing half done, no
connection lent and no transaction open; and whoever calls next is served."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest

from convstore import (
    AlreadyExistsError,
    CheckpointValue,
    SessionErasedError,
    Store,
)
from convstore.blobs.base import STAGING_FOLDER
from convstore.vocabulary.documents import encode_document
from tests.concurrency.stepping import How, Stepped
from tests.integration.archives import OpenAnother, documents, fill, raw, sound
from tests.leaks import set_aside

Call = Callable[[Store, str], Coroutine[Any, Any, Any]]
_MOST = 6
"""Waits of one call that are tried, of the many that a long one has."""


async def _transact(store: Store, name: str) -> None:
    async with store.transaction() as tx:
        await tx.turns.append(name, role="user", content="in a transaction")
        await tx.graph_states.put(name, {"in": "it"})
        await tx.items.put("n", "k", 1, session_id=name)


def _checkpoint(store: Store, name: str) -> Coroutine[Any, Any, Any]:
    said = [CheckpointValue("json", b'"a"'), CheckpointValue("msgpack", b"\0\xff")]
    return store.checkpoints.put(
        name,
        "c-3",
        parent_id="c-2",
        body=CheckpointValue("json", b"1"),
        values={"large": CheckpointValue("json", b"y" * 800)},
        lists={"said": [*said, CheckpointValue("json", b'"new"')]},
    )


SHORT: dict[str, Call] = {
    "append": lambda store, name: store.turns.append(name, role="user", content="x"),
    "append_once": lambda store, name: store.turns.append_once(
        name, role="user", content="x", external_id="e"
    ),
    "items.put": lambda store, name: store.items.put("n", "k", 1, session_id=name),
    "items.put outside": lambda store, name: store.items.put("n", name, 1),
    "checkpoints.put": _checkpoint,
    "checkpoints.prune": lambda store, name: store.checkpoints.prune(name),
    "apply": lambda store, name: store.sessions.apply(
        name,
        turns=[{"role": "user", "content": "a"}, {"role": "user", "content": "b"}],
        metadata={"more": 1},
    ),
    "patch": lambda store, name: store.sessions.patch(name, adapter_state={"f": {}}),
    "switch": lambda store, name: store.turns.switch(name, 2),
    "pop": lambda store, name: store.turns.pop(name),
    "branch": lambda store, name: store.turns.branch(name),
    "fork": lambda store, name: store.sessions.fork(name, f"{name}-fork"),
    "transaction": _transact,
}
LONG: dict[str, Call] = {
    "retention": lambda store, name: store.run_retention(older_than_s=0),
    "restore": lambda store, name: store.restore(name),
    "append to an archived one": lambda store, name: store.turns.append(
        name, role="user", content="x"
    ),
    "compact": lambda store, name: store.archive.compact(),
    "erase": lambda store, name: store.erase(session_id=name),
    "erase a rater": lambda store, name: store.erase(user_id=f"rater {name}"),
    "export": lambda store, name: store.export(
        "messages", to=Path(store.config.archive_dir or "").parent / f"out-{name}"
    ),
    "import": lambda store, name: store.import_(
        "auto", Path(store.config.archive_dir or "").parent / f"{name}.jsonl"
    ),
}


@pytest.fixture(name="settled")
def settled_fixture(database_url: str) -> Callable[[Store], Awaitable[None]]:
    """Waits for what a cancelled call has left to others, and finds nothing kept."""

    async def settled(store: Store) -> None:
        others = asyncio.all_tasks() - {asyncio.current_task()}
        if others:
            await asyncio.wait(others, timeout=120)
        async with asyncio.timeout(120):
            while store._parts.backend.checked_out():  # noqa: ASYNC110 - nobody tells
                await asyncio.sleep(0.001)
        if database_url.startswith("postgres"):
            kept = (
                "SELECT query FROM pg_stat_activity WHERE state LIKE 'idle in%' "
                "AND datname = current_database() AND pid <> pg_backend_pid()"
            )
            assert raw(database_url, kept) == []

    return settled


async def _shape(store: Store, name: str) -> Any:
    """How much there is of everything that a session, and what is named after it, has:
    enough to tell a half from a whole."""
    found: dict[str, Any] = {}
    for document in [d async for d in store.documents()]:
        if document.session.id.startswith(name):
            told = json.loads(encode_document(document))
            sizes = {k: len(v) for k, v in told.items() if isinstance(v, list | dict)}
            state = document.session.head_seq, document.session.metadata
            checkpoints = {k: len(v) for k, v in told.get("checkpoints", {}).items()}
            key = document.session.id.removeprefix(name)
            found[key] = sizes, state, checkpoints
    items = (await store.items.list(limit=1_000)).items
    return found, [item.value for item in items if item.key == name]


@pytest.mark.parametrize("kind", SHORT)
@pytest.mark.mostly_slow("sqlite-transaction", "postgres-apply")
async def test_a_call_is_whole_or_was_not(
    store: Store, settled: Callable[[Store], Awaitable[None]], kind: str
) -> None:
    call = SHORT[kind]
    await fill(store, "twin")
    before = await _shape(store, "twin")
    whole = Stepped(call(store, "twin"))
    assert not isinstance(await whole.run(), BaseException)
    after = await _shape(store, "twin")

    for how in How:
        for at in _some_of(whole.waits):
            name = f"{how.name}-{at:03}"
            await fill(store, name)

            result = await Stepped(call(store, name), at, how).run()

            await settled(store)
            found = await _shape(store, name)
            assert found in (before, after), (how, at)
            if not isinstance(result, BaseException):
                assert found == after, (how, at)
            await store.turns.append(name, role="user", content="next")


@pytest.mark.parametrize("kind", LONG)
@pytest.mark.mostly_slow("sqlite-restore", "sqlite-retention")
async def test_a_long_call_loses_nothing_and_is_done_again(
    open_another: OpenAnother,
    settled: Callable[[Store], Awaitable[None]],
    database_url: str,
    archive_dir: Path,
    kind: str,
) -> None:
    call, store = LONG[kind], await open_another()

    async def prepare(name: str) -> None:
        lines = [{"messages": [{"role": "user", "content": f"{n}"}]} for n in range(9)]
        text = "\n".join(json.dumps(line) for line in lines)
        (archive_dir.parent / f"{name}.jsonl").write_text(text)
        for one in (name, f"{name}-more"):
            await fill(store, one)
            await store.interactions.record(
                one, action="copy", actor_id=f"rater {name}"
            )
            if kind not in ("retention", "export"):
                await store.run_retention(older_than_s=0)

    await prepare("twin")
    whole = Stepped(call(store, "twin"))
    assert not isinstance(await whole.run(), BaseException)
    for how in How:
        for at in _some_of(whole.waits):
            name = f"{how.name}-{at:03}"
            await prepare(name)

            await Stepped(call(store, name), at, how).run()

            await settled(store)
            assert not [*(archive_dir / STAGING_FOLDER).glob("*")], (how, at)
            try:
                await call(store, name)
            except (AlreadyExistsError, SessionErasedError):
                assert kind in ("export", "erase"), (how, at)
            found = await documents(store)
            there = {one for one in found if one in (name, f"{name}-more")}
            gone = {name} if kind == "erase" else set()
            assert there == {name, f"{name}-more"} - gone, (how, at)
            if kind == "erase a rater":
                acts = [act for one in there for act in found[one].interactions]
                assert f"rater {name}" not in {act.actor_id for act in acts}, (how, at)
    await store.archive.recover(alone=True)
    sound(database_url, archive_dir, settled=False)
    set_aside()


def _some_of(waits: int) -> list[int]:
    """Numbers of waits, from the first to the last, at most so many."""
    if waits <= _MOST:
        return list(range(1, waits + 1))
    return sorted({1 + n * (waits - 1) // (_MOST - 1) for n in range(_MOST)})
