"""A fork begins with what another session said, and is a session of its own."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from convstore import (
    AlreadyExistsError,
    InvalidInputError,
    LegalHoldError,
    Page,
    SessionDeletedError,
    SessionErasedError,
    SessionNotFoundError,
    Store,
    Turn,
    TurnNotFoundError,
    open_store,
)
from convstore.db import session_locks, statements
from convstore.vocabulary.clock import ManualClock
from tests.integration.archives import document, documents, fill, sound, timeless
from tests.integration.conversations import contents, every_page, everything, say

Open = Callable[..., Awaitable[Store]]


def said(turns: list[Turn]) -> list[Turn]:
    """Turns without what a copy says anew: where they stand."""
    return [replace(t, session_id="", seq=0, parent_seq=None) for t in turns]


async def branched(store: Store) -> None:
    """Turns 1 2 3 4 5, of which 4 and 5 follow 1: `a b c B C`, and C is the tip."""
    await say(store, "s-1", "a", "b", "c")
    await store.turns.append("s-1", role="assistant", content="B", parent_seq=1)
    await store.turns.append("s-1", role="user", content="C")


@pytest.mark.parametrize("archive", [True, False])
async def test_a_deleted_id_begins_anew_as_a_fork_when_told(
    store: Store, database_url: str, archive_dir: Path, archive: bool
) -> None:
    await fill(store, "s-1")
    await fill(store, "s-2")
    deleted = await store.sessions.get("s-2")
    await store.sessions.delete("s-2", archive=archive)
    with pytest.raises(SessionDeletedError):
        await store.sessions.fork("s-1", "s-2")

    fork = await store.sessions.fork("s-1", "s-2", 2, renew=True)

    assert fork == await store.sessions.get("s-2")
    assert (fork.generation, fork.forked_from, fork.turn_count) == (2, "s-1", 2)
    assert fork.version > deleted.version
    assert said(await store.turns.branch("s-2")) == (
        said(await store.turns.branch("s-1", head=2))
    )
    assert (await store.interactions.list("s-2")).items == ()
    with pytest.raises(AlreadyExistsError):
        await store.sessions.fork("s-1", "s-2", renew=True)
    sound(database_url, archive_dir)


async def test_a_fork_holds_what_its_source_said(store: Store) -> None:
    await fill(store, "s-1")
    before = await document(store, "s-1")
    path = await store.turns.branch("s-1", head=2)

    fork = await store.sessions.fork("s-1", "s-2", at_seq=2)

    turns = await store.turns.branch("s-2")
    assert said(turns) == said(path)
    assert [(t.seq, t.parent_seq) for t in turns] == [(1, None), (2, 1)]
    assert turns[1].payload == path[1].payload is not None
    assert turns[1].tools_hash is not None
    assert await store.turns.tools("s-2", turns[1].tools_hash) == (
        await store.turns.tools("s-1", turns[1].tools_hash)
    )
    assert await store.turns.find("s-2", external_id="m-1") == turns[0]
    source = before.session
    for name in ("user_id", "title", "language", "tags", "metadata", "current_slots"):
        assert getattr(fork, name) == getattr(source, name), name
    assert (fork.turn_count, fork.head_seq, fork.branched) == (2, 2, False)
    assert await store.sessions.get("s-2") == fork
    assert await document(store, "s-1") == before


async def test_feedback_graphs_ledger_and_holds_stay_with_the_source(
    store: Store,
) -> None:
    await fill(store, "s-1")
    await store.ledger.pin("s-1", model="m", tier="t")
    await store.holds.place("s-1", reason="case")

    fork = await store.sessions.fork("s-1", "s-2")

    made = await document(store, "s-2")
    assert (made.interactions, made.graph_states, made.holds) == ((), (), ())
    assert made.ledger is None
    assert (fork.feedback_counts, fork.hold_count) == ({}, 0)
    assert (fork.interaction_count, fork.graph_state_count) == (0, 0)
    await store.sessions.delete("s-2")
    with pytest.raises(LegalHoldError):
        await store.sessions.delete("s-1")


async def test_the_branch_of_any_turn_can_be_forked(store: Store) -> None:
    await branched(store)

    head = await store.sessions.fork("s-1", "head")
    await store.sessions.fork("s-1", "left", at_seq=3)
    await store.sessions.fork("s-1", "first", at_seq=1)

    assert await contents(store, "head") == ["a", "B", "C"]
    assert await contents(store, "left") == ["a", "b", "c"]
    assert await contents(store, "first") == ["a"]
    turns = await store.turns.branch("head")
    assert [(t.seq, t.parent_seq) for t in turns] == [(1, None), (2, 1), (3, 2)]
    assert not head.branched


async def test_the_empty_branch_can_be_forked(store: Store) -> None:
    await say(store, "s-1", "a")
    await store.turns.switch("s-1", 0)

    empty = await store.sessions.fork("s-1", "empty")
    none = await store.sessions.fork("s-1", "none", at_seq=0)

    assert (empty.turn_count, empty.head_seq) == (none.turn_count, none.head_seq)
    assert (empty.turn_count, empty.forked_turns, empty.forked_at_seq) == (0, 0, None)
    assert await store.turns.branch("empty") == []
    assert (await store.turns.append("empty", role="user", content="x")).seq == 1


async def test_slots_and_template_are_those_of_the_turn(store: Store) -> None:
    await store.sessions.get_or_create("s-1")
    for n in (1, 2):
        await store.turns.append(
            "s-1", role="user", slots={"place": str(n)}, template_id=f"t-{n}"
        )
    await store.sessions.update("s-1", current_slots={"place": "set", "more": "x"})

    at_head = await store.sessions.fork("s-1", "head")
    before = await store.sessions.fork("s-1", "before", at_seq=1)

    assert at_head.current_slots == {"place": "set", "more": "x"}
    assert (before.current_slots, before.current_template_id) == ({"place": "1"}, "t-1")


async def test_lineage_goes_both_ways(store: Store) -> None:
    await branched(store)
    one = await store.sessions.fork("s-1", "s-2", at_seq=4)
    two = await store.sessions.fork("s-2", "s-3")
    other = await store.sessions.fork("s-1", "s-4", at_seq=1)

    assert (one.forked_from, one.forked_at_seq, one.forked_turns) == ("s-1", 4, 2)
    assert (two.forked_from, two.forked_at_seq, two.forked_turns) == ("s-2", 2, 2)
    assert {s.root_session_id for s in (one, two, other)} == {"s-1"}
    assert await every_page(store.sessions.forks, "s-1", limit=1) == [one, other]
    assert await every_page(store.sessions.forks, "s-2") == [two]
    assert await every_page(store.sessions.forks, "s-3") == []
    with pytest.raises(SessionNotFoundError):
        await store.sessions.forks("absent")


async def test_lineage_survives_archive_restore_and_rebuild_of_a_document(
    store: Store, clock: ManualClock, database_url: str, archive_dir: Path
) -> None:
    await fill(store, "s-1")
    await store.sessions.fork("s-1", "s-2", at_seq=2)
    live = await documents(store)
    clock.advance(5)
    assert (await store.run_retention(older_than_s=0)).purged == 2

    stubs = (await store.sessions.forks("s-1")).items
    assert [(s.id, s.state, s.forked_turns) for s in stubs] == [("s-2", "archived", 2)]
    assert await documents(store) == live
    await store.restore("s-2")

    assert timeless(await document(store, "s-2")) == timeless(live["s-2"])
    sound(database_url, archive_dir)


async def test_an_archived_session_is_restored_to_be_forked(store: Store) -> None:
    await fill(store, "s-1")
    path = await store.turns.branch("s-1")
    await store.run_retention(older_than_s=0)

    await store.sessions.fork("s-1", "s-2")

    assert said(await store.turns.branch("s-2")) == said(path)


async def test_either_lives_on_by_itself(store: Store) -> None:
    await say(store, "s-1", "a", "b")
    await store.sessions.fork("s-1", "s-2")

    await store.turns.append("s-1", role="user", content="c")
    await store.turns.append("s-2", role="user", content="d")
    assert await contents(store, "s-1") == ["a", "b", "c"]
    assert await contents(store, "s-2") == ["a", "b", "d"]
    await store.erase(session_id="s-1")

    assert await contents(store, "s-2") == ["a", "b", "d"]
    again = await store.sessions.fork("s-2", "s-3")
    assert (again.forked_from, again.root_session_id) == ("s-2", "s-1")


async def test_ids_that_are_taken_are_refused(store: Store) -> None:
    await say(store, "s-1", "a")
    for name in ("live", "archived", "deleted", "erased"):
        await say(store, name, "x")
    await store.sessions.delete("deleted")
    await store.erase(session_id="erased")
    before = await everything(store, "live")

    for name, error in (
        ("live", AlreadyExistsError),
        ("deleted", SessionDeletedError),
        ("erased", SessionErasedError),
    ):
        with pytest.raises(error):
            await store.sessions.fork("s-1", name)
        with pytest.raises(error if name != "live" else InvalidInputError):
            await store.sessions.fork(name, name if name == "live" else "new")
    assert await everything(store, "live") == before
    await store.run_retention(older_than_s=0)
    with pytest.raises(AlreadyExistsError):
        await store.sessions.fork("s-1", "archived")
    assert await store.sessions.find("new") is None


async def test_a_session_that_is_about_to_be_erased_is_not_forked(
    open_another: Open,
) -> None:
    """The erasure has said which sessions go, and would leave the fork."""

    def stop(step: str) -> None:
        if step == "erase.before_commit":
            raise EOFError

    store = await open_another(on_step=stop)
    await fill(store, "s-1", user_id="ann")
    with pytest.raises(EOFError):
        await store.erase(user_id="ann")

    with pytest.raises(SessionErasedError):
        await store.sessions.fork("s-1", "s-2")

    assert await store.sessions.find("s-1") is not None
    assert await store.sessions.find("s-2") is None


async def test_an_erasure_beside_forks_leaves_none(
    store: Store, open_another: Open
) -> None:
    other = await open_another()
    for number in range(4):
        user, name = f"u-{number}", f"s-{number}"
        await fill(store, name, user_id=user)

        done = await asyncio.gather(
            *(other.sessions.fork(name, f"{name}-{n}") for n in range(6)),
            store.erase(user_id=user),
            return_exceptions=True,
        )

        known = (SessionErasedError, SessionNotFoundError)
        assert not isinstance(done[-1], BaseException)
        assert all(
            isinstance(each, known) for each in done if isinstance(each, BaseException)
        )
        assert (await store.sessions.list(user_id=user)).items == ()
        assert await store.sessions.list(state="active") == Page((), None)


async def test_what_cannot_be_forked_is_refused(store: Store) -> None:
    await say(store, "s-1", "a")

    with pytest.raises(SessionNotFoundError):
        await store.sessions.fork("absent", "s-2")
    with pytest.raises(TurnNotFoundError):
        await store.sessions.fork("s-1", "s-2", at_seq=2)
    for wrong in (-1, True, "1"):
        with pytest.raises(InvalidInputError):
            await store.sessions.fork("s-1", "s-2", at_seq=wrong)  # type: ignore[arg-type]
    with pytest.raises(InvalidInputError):
        await store.sessions.fork("s-1", "")

    assert await store.sessions.find("s-2") is None


async def test_a_user_forks_their_own_sessions_alone(store: Store) -> None:
    await fill(store, "s-1", user_id="ann")
    await say(store, "nobody's", "x")
    await fill(store, "bob's", user_id="bob")
    ann, bob = (
        store.conversation("s-1", user_id="ann"),
        store.conversation("s-1", user_id="bob"),
    )

    fork = await ann.fork("s-2")

    assert fork.user_id == "ann"
    assert (await ann.forks()).items == (fork,)
    for wrong in (bob.fork("s-3"), bob.forks(), ann.fork("bob's")):
        with pytest.raises(SessionNotFoundError):
            await wrong
    with pytest.raises(SessionNotFoundError):
        await store.conversation("nobody's", user_id="ann").fork("s-3")


async def test_a_tenant_forks_its_own_sessions_alone(store: Store) -> None:
    await say(store, "s-1", "a")
    acme = store.for_tenant("acme")

    with pytest.raises(SessionNotFoundError):
        await acme.sessions.fork("s-1", "s-2")
    await acme.sessions.get_or_create("s-1")
    await acme.sessions.fork("s-1", "s-2")

    assert await store.sessions.find("s-2") is None
    assert (await store.sessions.forks("s-1")).items == ()


async def test_of_many_forks_to_one_id_one_is_made(
    store: Store, open_another: Open
) -> None:
    stores = [store, await open_another()]
    for n in range(4):
        await say(store, f"s-{n}", f"{n}", "x")

    told = await asyncio.gather(
        *(stores[n % 2].sessions.fork(f"s-{n % 4}", "new") for n in range(12)),
        return_exceptions=True,
    )

    made = [each for each in told if not isinstance(each, BaseException)]
    refused = [type(each) for each in told if isinstance(each, BaseException)]
    assert (len(made), refused) == (1, [AlreadyExistsError] * 11), told
    assert (await contents(store, "new"))[0] == (made[0].forked_from or "")[-1]


async def test_forks_to_and_fro_do_not_wait_for_each_other(
    store: Store, open_another: Open
) -> None:
    other = await open_another()
    for name in ("a", "b"):
        await say(store, name, "x")

    await asyncio.gather(
        *(store.sessions.fork("a", f"b-{n}") for n in range(5)),
        *(other.sessions.fork("b", f"a-{n}") for n in range(5)),
        *(store.turns.append("a", role="user") for _ in range(5)),
        *(other.turns.append("b", role="user") for _ in range(5)),
    )

    assert len((await store.sessions.forks("a")).items) == 5


async def test_a_fork_in_a_transaction_goes_with_it(store: Store) -> None:
    await say(store, "s-1", "a")

    async def fail() -> None:
        async with store.transaction() as tx:
            await tx.turns.append("s-1", role="user", content="b")
            await tx.sessions.fork("s-1", "s-2")
            assert await contents(tx, "s-2") == ["a", "b"]
            raise EOFError

    with pytest.raises(EOFError):
        await fail()
    assert await store.sessions.find("s-2") is None
    async with store.transaction() as tx:
        await tx.sessions.fork("s-1", "s-2")
        await tx.turns.append("s-2", role="user", content="c")

    assert await contents(store, "s-2") == ["a", "c"]


async def test_no_turn_comes_through_the_client(store: Store) -> None:
    """However long the branch is: nothing is read, and as many statements."""
    counts = []
    whole = statements.Prepared.all
    for length in (3, 60):
        name = f"s-{length}"
        await say(store, name, *("text" for _ in range(length)))
        await store.turns.append(name, role="user", content="text", parent_seq=2)
        await store.turns.switch(name, length)
        ran: list[Any] = []

        def seen(self: Any, connection: Any, values: Any, ran: Any = ran) -> Any:
            found = whole(self, connection, values)
            ran.append(sum(len(row) for row in found))
            return found

        with pytest.MonkeyPatch.context() as patched:
            patched.setattr(statements.Prepared, "all", seen)
            await store.sessions.fork(name, f"{name}-fork")
        counts.append(ran)
        assert await store.turns.window(f"{name}-fork", limit=100) != []

    assert counts[0] == counts[1]
    assert max(counts[0]) <= 2 * len(session_locks.NAMES)


async def test_a_warm_store_knows_of_a_fork(open_another: Open) -> None:
    store = await open_another(cache={"kind": "memory"})
    await say(store, "s-1", "a")
    assert await store.sessions.find("s-2") is None

    fork = await store.sessions.fork("s-1", "s-2")

    assert await store.sessions.get("s-2") == fork
    assert await contents(store, "s-2") == ["a"]


async def test_exports_take_a_shared_beginning_once(
    store: Store, tmp_path: Path
) -> None:
    await say(store, "s-1", "Q1", "A1", "Q2", "A2")
    await store.sessions.fork("s-1", "same")
    await store.sessions.fork("s-1", "on", at_seq=2)
    await say(store, "on", "Q3", "A3")

    reports = {
        name: await store.export(name, to=tmp_path / name)
        for name in ("messages", "prompt", "oasst")
    }

    assert {name: report.rows for name, report in reports.items()} == {
        "messages": 2,  # the source, and the fork that went on
        "prompt": 3,
        "oasst": 2,
    }
    for report in reports.values():
        (told,) = report.formats
        assert told.dropped["shared-beginning"] > 0


async def test_forks_of_one_line_go_to_one_split(store: Store, tmp_path: Path) -> None:
    await say(store, "s-1", "Q1", "A1")
    for n in range(8):
        await store.sessions.fork("s-1", f"f-{n}")
        await say(store, f"f-{n}", f"Q{n}", f"A{n}")

    await store.export(
        "messages", to=tmp_path / "out", splits={"train": 0.5, "test": 0.5}
    )

    assert len(list((tmp_path / "out").glob("data/*"))) == 1


def test_threads_fork_too(database_url: str) -> None:
    from convstore import blocking

    with blocking.open_store(database_url) as store:
        store.conversation("s-1").append(role="user", content="a")

        fork = store.sessions.fork("s-1", "s-2", at_seq=1)

        assert [t.content for t in store.turns.branch(fork.id)] == ["a"]


async def test_a_fork_comes_back_from_its_export(store: Store, tmp_path: Path) -> None:
    await fill(store, "s-1")
    await store.sessions.fork("s-1", "s-2", at_seq=2)
    await store.export("convstore", to=tmp_path / "out")

    (data,) = (tmp_path / "out").rglob("*.jsonl")
    async with open_store(f"sqlite:///{tmp_path}/other.db") as other:
        await other.import_("convstore", data)

        assert [s.id for s in (await other.sessions.forks("s-1")).items] == ["s-2"]


@pytest.mark.parametrize("mode", ["inline", "deferred"])
async def test_a_fork_is_found_by_what_it_began_with(
    open_another: Open, mode: str
) -> None:
    store = await open_another(search={"mode": mode})
    await say(store, "s-1", "Welke archieven zijn er in Enschede?", "Drie.")

    await store.sessions.fork("s-1", "s-2")

    page = await store.search("archieven")
    assert {hit.session.id for hit in page.items} == {"s-1", "s-2"}
    assert page.complete
