"""Reading never fails because a session was archived, and changes nothing."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from convstore import (
    CheckpointValue,
    CheckpointWrite,
    Store,
    StoreConfig,
    TurnInput,
)
from convstore.errors import (
    LimitExceededError,
    SegmentCorruptError,
    SessionDeletedError,
    SessionErasedError,
    SessionNotFoundError,
    TurnNotFoundError,
)
from convstore.policy import CachePolicy, LedgerPolicy
from convstore.vocabulary.clock import ManualClock
from tests.integration.archives import (
    Elsewhere,
    OpenAnother,
    archived,
    damage,
    document,
    fill,
    raw,
    segment_files,
    sound,
)
from tests.integration.test_tenants import NOT_COMPARED

Read = Callable[[Store], Awaitable[Any]]
READS: dict[str, Read] = {
    "turns.get": lambda s: s.turns.get("s-1", 2),
    "turns.find": lambda s: s.turns.find("s-1", external_id="m-1"),
    "turns.list": lambda s: s.turns.list("s-1", limit=2),
    "turns.list newest first": lambda s: s.turns.list("s-1", newest_first=True),
    "turns.window": lambda s: s.turns.window("s-1"),
    "turns.window by size": lambda s: s.turns.window("s-1", max_chars=40),
    "turns.history": lambda s: s.turns.history("s-1"),
    "turns.history with all wishes": lambda s: s.turns.history(
        "s-1", limit=1, repair=True, keep_system=True, begin_with="user"
    ),
    "turns.previous_user_turn": lambda s: s.turns.previous_user_turn("s-1"),
    "turns.branches": lambda s: s.turns.branches("s-1"),
    "turns.branch": lambda s: s.turns.branch("s-1"),
    "turns.siblings": lambda s: s.turns.siblings("s-1", [1]),
    "turns.children": lambda s: s.turns.children("s-1", [0, 1]),
    "turns.tools": lambda s: _tools(s),
    "interactions.list": lambda s: s.interactions.list("s-1", limit=2),
    "interactions.summary": lambda s: s.interactions.summary("s-1"),
    "graph_states.get": lambda s: s.graph_states.get("s-1"),
    "interactions.effective": lambda s: s.interactions.effective("s-1"),
    "graph_states.find": lambda s: s.graph_states.find("s-1", version=1),
    "graph_states.list": lambda s: s.graph_states.list("s-1"),
    "graph_states.namespaces": lambda s: s.graph_states.namespaces("s-1"),
    "checkpoints.get": lambda s: s.checkpoints.get("s-1"),
    "checkpoints.get of a step": lambda s: s.checkpoints.get("s-1", "c-1"),
    "checkpoints.find": lambda s: s.checkpoints.find("s-1", "c-2"),
    "checkpoints.find nothing": lambda s: s.checkpoints.find("s-1", "c-9"),
    "checkpoints.list": lambda s: s.checkpoints.list("s-1", limit=1),
    "checkpoints.list by metadata": lambda s: s.checkpoints.list(
        "s-1", namespace="", metadata={"step": 1}, run_id="r-1", before="c-2"
    ),
    "items.find of the session": lambda s: s.items.find("app", "k", session_id="s-1"),
    "items.list of the session": lambda s: s.items.list(session_id="s-1"),
    "items.namespaces": lambda s: s.items.namespaces(session_id="s-1"),
    "sessions.adapter_state": lambda s: s.sessions.adapter_state("s-1", "x"),
    "ledger.get": lambda s: s.ledger.get("s-1"),
    "ledger.find": lambda s: s.ledger.find("s-1"),
    "ledger.check_budget": lambda s: _budget(s),
    "ledger.is_cache_sticky": lambda s: s.ledger.is_cache_sticky("s-1"),
    "handle.window": lambda s: s.conversation("s-1", user_id="u-1").window(),
    "handle.history": lambda s: s.conversation("s-1", user_id="u-1").history(),
    "handle.feedback": lambda s: s.conversation("s-1", user_id="u-1").feedback(),
    "handle.buffer": lambda s: s.conversation("s-1", user_id="u-1").buffer(),
    "transaction": lambda s: _in_transaction(s),
}
BUDGET = LedgerPolicy(session_budget_micros=10)


async def _tools(store: Store) -> Any:
    page = await store.turns.list("s-1")
    (name,) = {turn.tools_hash for turn in page.items} - {None}
    return await store.turns.tools("s-1", str(name))


async def _budget(store: Store) -> Any:
    with pytest.raises(LimitExceededError) as refused:
        await store.ledger.check_budget("s-1")
    return refused.value.limit


async def _in_transaction(store: Store) -> Any:
    async with store.transaction() as tx:
        return await tx.turns.window("s-1")


async def _filled(store: Store) -> None:
    await fill(store, "s-1")
    await store.items.put("app", "k", {"b": 1, "a": [None]}, session_id="s-1")
    written = CheckpointWrite("t-1", 0, "said", CheckpointValue("json", b"[1]"))
    await store.checkpoints.put_writes("s-1", "c-2", [written])
    await store.sessions.patch("s-1", adapter_state={"x": {"b": 1, "a": [None]}})
    await store.ledger.pin("s-1", model="m-1")
    await store.ledger.add_cost("s-1", micros=10)
    await store.ledger.set_cache_sticky("s-1", "anthropic")


def reads_of_a_session(store: Store) -> set[str]:
    """The verbs of the store's nouns that read one session's rows."""
    return {
        f"{noun}.{name}"
        for noun in ("turns", "interactions", "graph_states", "checkpoints", "ledger")
        for name, verb in inspect.getmembers(type(getattr(store, noun)))
        if not name.startswith("_") and name not in NOT_COMPARED[noun]
        if inspect.iscoroutinefunction(verb)
        and "session_id" in list(inspect.signature(verb).parameters)[:2]
    }


async def test_every_read_of_a_session_is_compared(store: Store) -> None:
    """Fails when a read is added to a noun and not to READS."""
    assert reads_of_a_session(store) <= READS.keys()


async def test_every_read_is_the_same_before_while_and_after_it_is_archived(
    open_another: OpenAnother, database_url: str, archive_dir: Path
) -> None:
    store = await open_another(ledger=BUDGET)
    await _filled(store)
    before = {name: await read(store) for name, read in READS.items()}
    await store.run_retention(older_than_s=0)

    through = {name: await read(store) for name, read in READS.items()}

    assert through == before
    assert (await store.sessions.get("s-1")).state == "archived"
    assert raw(database_url, "SELECT count(*) FROM turns") == [(0,)]
    await store.restore("s-1")
    assert {name: await read(store) for name, read in READS.items()} == before
    sound(database_url, archive_dir)


@pytest.mark.parametrize("cache", [None, "memory"])
async def test_a_hot_tier_changes_nothing_about_it(
    open_another: OpenAnother, cache: str | None
) -> None:
    settings_ = {} if cache is None else {"cache": CachePolicy(kind="memory")}
    store, other = await open_another(**settings_), await open_another()
    await _filled(store)
    before = await store.turns.window("s-1")
    await store.run_retention(older_than_s=0)

    assert await store.turns.window("s-1") == before
    # Restored and continued past this store, whose tier still has the stub.
    await other.turns.append("s-1", role="user", content="weer hier")
    assert (await store.turns.window("s-1"))[: len(before)] == before


TURNS = st.lists(
    st.tuples(
        st.sampled_from(["user", "assistant", "system", "tool"]),
        st.none() | st.text(st.characters(codec="utf-8", exclude_characters="\0")),
        st.integers(0, 3),
        st.dictionaries(st.sampled_from("ab"), st.integers() | st.floats(-9, 9)),
    ),
    max_size=8,
)


@pytest.mark.mostly_slow("sqlite")
async def test_whatever_was_said_reads_the_same_through(store: Store) -> None:
    count = 0

    async def compare(
        given_: list[tuple[str, str | None, int, dict[str, Any]]],
    ) -> None:
        nonlocal count
        count += 1
        name = f"drawn-{count}"
        await store.sessions.get_or_create(name)
        for seq, (role, content, back, metadata) in enumerate(given_):
            parent = None if back == 0 else max(0, seq - back)
            await store.turns.append(
                name,
                role=role,
                content=content,
                parent_seq=parent,
                metadata={k: v for k, v in metadata.items() if abs(v) < 2**53},
            )
        reads = (
            lambda: store.turns.list(name),
            lambda: store.turns.window(name, limit=5),
            lambda: store.turns.branches(name),
            lambda: store.turns.previous_user_turn(name),
        )
        before = [await read() for read in reads]
        await store.run_retention(older_than_s=0)
        through = [await read() for read in reads]
        await store.restore(name)
        after = [await read() for read in reads]
        await store.sessions.delete(name, archive=False)
        assert through == before
        assert after == before

    loop = asyncio.get_running_loop()

    @settings(max_examples=6, deadline=None, suppress_health_check=list(HealthCheck))
    @given(TURNS)
    def draw(given_: Any) -> None:
        asyncio.run_coroutine_threadsafe(compare(given_), loop).result()

    await asyncio.to_thread(draw)


async def test_one_verb_reads_one_frame(
    open_another: OpenAnother, monkeypatch: pytest.MonkeyPatch
) -> None:
    from convstore.archive import copies

    store = await open_another()
    await store.sessions.get_or_create("s-1")
    await store.turns.append("s-1", role="user", content="vraag")
    await store.turns.append_many(
        "s-1", [TurnInput("assistant", f"antwoord {n}") for n in range(200)]
    )
    await store.run_retention(older_than_s=0)
    read, frames = copies.read_document, []

    def counted(*args: Any, **more: Any) -> Any:
        frames.append(1)
        return read(*args, **more)

    monkeypatch.setattr(copies, "read_document", counted)
    # Looked for in pieces that grow: the last one is the whole branch.
    found = await store.turns.previous_user_turn("s-1")
    many = await asyncio.gather(*(store.turns.get("s-1", n + 1) for n in range(30)))

    assert found is not None
    assert found.seq == 1
    assert len(many) == 30
    assert len(frames) == 1


async def test_what_is_kept_for_reads_is_bounded_and_goes(store: Store) -> None:
    names = [f"s-{n}" for n in range(20)]
    for name in names:
        await store.sessions.get_or_create(name)
        await store.turns.append(name, role="user", content=name)
    await store.run_retention(older_than_s=0)
    for name in names:
        await store.turns.window(name)
    through = store._scope.lifecycle._through  # type: ignore[attr-defined]

    assert len(through._kept) == len(through._timers) == 8

    await store._scope.lifecycle.close()
    assert not through._kept
    assert not through._timers


async def test_a_read_tells_others_users_sessions_apart(store: Store) -> None:
    await archived(store, "s-1")
    other = store.conversation("s-1", user_id="u-2")

    for call in (other.window(), other.feedback(), other.graph_state()):
        with pytest.raises(SessionNotFoundError):
            await call
    with pytest.raises(SessionNotFoundError):
        await store.for_tenant("acme").turns.window("s-1")


async def test_a_turn_that_never_was_is_not_found(store: Store) -> None:
    await archived(store, "s-1")

    with pytest.raises(TurnNotFoundError):
        await store.turns.get("s-1", 99)
    assert await store.turns.find("s-1", external_id="never") is None


async def test_a_deleted_and_an_erased_session_say_what_they_are(store: Store) -> None:
    await archived(store, "s-1", "s-2")
    await store.turns.window("s-1")  # warm
    await store.turns.window("s-2")
    await store.sessions.delete("s-1")
    await store.erase(session_id="s-2")

    for name, error in (("s-1", SessionDeletedError), ("s-2", SessionErasedError)):
        for call in (
            store.sessions.get(name),
            store.turns.window(name),
            store.interactions.list(name),
            store.graph_states.find(name),
            store.ledger.find(name),
        ):
            with pytest.raises(error):
                await call
        assert await store.sessions.find(name) is None
    assert (await store.sessions.list()).items == ()
    (binned,) = (await store.sessions.list(state="deleted")).items
    assert binned.id == "s-1"


async def test_writes_restore_what_reads_leave_archived(store: Store) -> None:
    await archived(store, "s-1", "s-2")
    await store.turns.window("s-1")

    await store.turns.append("s-1", role="user", content="weer hier")
    session, created = await store.sessions.get_or_create("s-2")

    assert (await store.sessions.get("s-1")).state == "active"
    assert (session.state, created) == ("active", False)


async def test_a_damaged_copy_is_a_typed_error_and_no_empty_session(
    store: Store, archive_dir: Path
) -> None:
    await archived(store, "s-1")
    (path,) = segment_files(archive_dir)
    damage(path)

    for call in (store.turns.window("s-1"), store.interactions.summary("s-1")):
        with pytest.raises(SegmentCorruptError):
            await call


@pytest.mark.parametrize("beside", ["restore", "purge", "erase a neighbour", "erase"])
async def test_what_runs_beside_a_read_through_gives_no_mixture(
    open_another: OpenAnother,
    database_url: str,
    archive_dir: Path,
    clock: ManualClock,
    monkeypatch: pytest.MonkeyPatch,
    beside: str,
) -> None:
    """It happens between the look at the stub and the reading of the frame."""
    from convstore.archive import copies

    store = await open_another()
    await archived(store, "s-1", "s-2")
    before = await store.turns.list("s-1")
    await store._scope.lifecycle.close()
    config = StoreConfig(url=database_url, archive_dir=archive_dir)
    elsewhere = Elsewhere(config, clock)

    async def purge(other: Store) -> None:
        await other.turns.append("s-1", role="user", content="weer hier")
        await other.run_retention(older_than_s=0)

    calls: dict[str, Callable[[Store], Awaitable[Any]]] = {
        "restore": lambda s: s.restore("s-1"),
        "purge": purge,
        "erase a neighbour": lambda s: s.erase(session_id="s-2"),
        "erase": lambda s: s.erase(session_id="s-1"),
    }
    read = copies.read_document

    def late(*args: Any, **more: Any) -> Any:
        monkeypatch.setattr(copies, "read_document", read)
        elsewhere.ask(calls[beside], 20.0)
        return read(*args, **more)

    monkeypatch.setattr(copies, "read_document", late)
    try:
        found = await store.turns.list("s-1")
    except SessionErasedError:
        assert beside == "erase"
        found = before
    await elsewhere.answers()
    elsewhere.close()

    assert found.items[: len(before.items)] == before.items


async def test_a_store_whose_reads_restore_gives_the_same(
    open_another: OpenAnother,
) -> None:
    store, reading = await open_another(), await open_another(restore_on_read=True)
    await archived(store, "s-1")
    through = await store.turns.list("s-1")

    restored = await reading.turns.list("s-1")

    assert restored == through
    assert (await document(store, "s-1")).session.state == "active"
