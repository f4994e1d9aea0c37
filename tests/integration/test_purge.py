"""Rows go only when they are, to the byte, what was read back from the segment."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from convstore import Store, StoreConfig
from convstore.archive.archiver import archive
from convstore.db.unit import Head
from convstore.errors import LegalHoldError
from convstore.retention.purger import purge
from convstore.segments.segment import STEPS as SEGMENT_STEPS
from convstore.vocabulary.clock import ManualClock
from tests.integration.archives import (
    Elsewhere,
    OpenAnother,
    Steps,
    document,
    everything_under,
    fill,
    raw,
    sound,
    states,
)
from tests.integration.conversations import contents, say

STEPS_OF_A_GENERATION = (
    "generation.announced",
    "generation.published",
    "generation.settled",
)

# In a run, the first time: a generation is taken again before each seal.
STEPS_BEFORE_THE_PLAN = (
    "lease.acquired",
    "folder.bound",
    "folder.marked",
    *STEPS_OF_A_GENERATION,
)

STEPS_OF_A_RUN = (
    *STEPS_BEFORE_THE_PLAN,
    "claim.begin",
    "claim.after_commit",
    "read.snapshot_open",
    "read.end",
    *SEGMENT_STEPS,
    "export.done",
    "seal.begin",
    "seal.after_commit",
    "purge.begin",
    "purge.guard",
    "purge.deleted",
    "purge.compared",
    "purge.before_commit",
    "purge.after_commit",
)

# Every step for the user who returns; where others meet a run, those that differ.
MAIN_STEPS = (
    "claim.after_commit",
    "read.end",
    "write.half_entry",
    "verify.done",
    "publish.link",
    "export.done",
    "seal.begin",
    "seal.after_commit",
    "purge.begin",
    "purge.deleted",
    "purge.before_commit",
    "purge.after_commit",
)


@pytest.fixture
def elsewhere(
    database_url: str, archive_dir: Path, clock: ManualClock
) -> Iterator[Elsewhere]:
    """The store of another process on the same database and folder."""
    another = Elsewhere(StoreConfig(url=database_url, archive_dir=archive_dir), clock)
    yield another
    another.close()


async def test_purged_sessions_have_no_rows_and_their_stub_says_where_they_are(
    store: Store, database_url: str, archive_dir: Path
) -> None:
    await fill(store, "s-1")
    before = await store.sessions.get("s-1")

    report = await store.run_retention(older_than_s=0)

    stub = await store.sessions.get("s-1")
    assert (stub.state, stub.segment_id) == ("archived", report.segments[0])
    assert (stub.title, stub.turn_count) == (before.title, before.turn_count)
    assert stub.version == before.version + 1
    assert (await store.archive.list()).items[0].session_id == "s-1"
    sound(database_url, archive_dir)


@pytest.mark.mostly_slow("sqlite-*", "postgres-purge.*")
@pytest.mark.parametrize("step", STEPS_OF_A_RUN)
async def test_a_user_who_returns_at_any_step_loses_nothing(
    open_another: OpenAnother,
    elsewhere: Elsewhere,
    archive_dir: Path,
    database_url: str,
    step: str,
) -> None:
    hook = Steps()
    store = await open_another(on_step=hook)
    await fill(store, "s-1")
    await fill(store, "s-2")
    hook.at(
        step,
        lambda: elsewhere.ask(
            lambda s: s.turns.append("s-1", role="user", content="I am back")
        ),
    )

    await store.run_retention(older_than_s=0)

    (turn,) = await elsewhere.answers()
    assert turn.seq == 4
    # Before the plan is made, this very turn is archived with the others.
    state = "archived" if step in STEPS_BEFORE_THE_PLAN else "active"
    assert await states(store) == {"s-1": state, "s-2": "archived"}
    assert (await document(store, "s-1")).turns[-1].content == "I am back"
    sound(database_url, archive_dir)
    # It comes round again.
    await store.run_retention(older_than_s=0)
    assert (await document(store, "s-1")).turns[-1].content == "I am back"
    sound(database_url, archive_dir)


@pytest.mark.parametrize("step", STEPS_OF_A_GENERATION)
async def test_a_user_who_returns_while_a_seal_takes_its_generation_loses_nothing(
    open_another: OpenAnother,
    elsewhere: Elsewhere,
    database_url: str,
    archive_dir: Path,
    step: str,
) -> None:
    hook = Steps()
    store = await open_another(on_step=hook)
    await fill(store, "s-1")
    await fill(store, "s-2")

    def come_back() -> None:
        elsewhere.ask(lambda s: s.turns.append("s-1", role="user", content="I am back"))

    # By then the rows were read, and the file has no such turn.
    hook.at("export.done", lambda: hook.at(step, come_back))

    report = await store.run_retention(older_than_s=0)

    (turn,) = await elsewhere.answers()
    assert turn.seq == 4
    assert (report.purged, report.changed) == (1, 1)
    assert await states(store) == {"s-1": "active", "s-2": "archived"}
    assert (await document(store, "s-1")).turns[-1].content == "I am back"
    sound(database_url, archive_dir)


@pytest.mark.mostly_slow("sqlite-*", "postgres-purge.before_commit")
@pytest.mark.parametrize("step", MAIN_STEPS)
async def test_two_workers_at_any_step_purge_each_session_once(
    open_another: OpenAnother,
    elsewhere: Elsewhere,
    archive_dir: Path,
    database_url: str,
    step: str,
) -> None:
    hook = Steps()
    store = await open_another(on_step=hook)
    for session_id in ("s-1", "s-2"):
        await fill(store, session_id)
    before = [await document(store, "s-1"), await document(store, "s-2")]

    async def run_too(other: Store) -> Any:
        # As after a pause that was longer than the lease.
        raw(database_url, "DELETE FROM leases")
        await other.archive.recover()
        return await other.run_retention(older_than_s=0)

    hook.at(step, lambda: elsewhere.ask(run_too, patience_s=1.0))

    mine = await store.run_retention(older_than_s=0)

    (theirs,) = await elsewhere.answers()
    assert not isinstance(theirs, BaseException), theirs
    await store.archive.recover(alone=True)
    assert [await document(store, "s-1"), await document(store, "s-2")] == before
    assert await states(store) == {"s-1": "archived", "s-2": "archived"}
    assert not mine.problems
    sound(database_url, archive_dir)


@pytest.mark.mostly_slow("sqlite-*", "postgres-purge.after_commit")
@pytest.mark.parametrize("step", MAIN_STEPS)
async def test_a_hold_placed_at_any_step_keeps_the_rows_or_the_archive(
    open_another: OpenAnother,
    elsewhere: Elsewhere,
    archive_dir: Path,
    database_url: str,
    step: str,
) -> None:
    hook = Steps()
    store = await open_another(on_step=hook)
    await fill(store, "s-1")
    hook.at(
        step, lambda: elsewhere.ask(lambda s: s.holds.place("s-1", reason="case 9"))
    )

    await store.run_retention(older_than_s=0)

    (hold,) = await elsewhere.answers()
    assert hold.reason == "case 9"
    state = (await states(store))["s-1"]
    assert state == "active" or step.startswith("purge.")
    with pytest.raises(LegalHoldError):
        await store.sessions.delete("s-1", archive=False)
    sound(database_url, archive_dir)


@pytest.mark.mostly_slow("sqlite-*", "postgres-*-publish.link")
@pytest.mark.parametrize("step", [s for s in MAIN_STEPS if not s.startswith("purge.")])
@pytest.mark.parametrize("verb", ["erase", "destroy"])
async def test_what_is_erased_while_it_is_archived_is_nowhere_afterwards(
    open_another: OpenAnother,
    elsewhere: Elsewhere,
    archive_dir: Path,
    database_url: str,
    step: str,
    verb: str,
) -> None:
    hook = Steps()
    store = await open_another(on_step=hook)
    for session_id in ("secret-1", "s-2"):
        await fill(store, session_id)
    other = await document(store, "s-2")

    async def erase(another: Store) -> None:
        if verb == "erase":
            await another.erase(session_id="secret-1")
        else:
            await another.sessions.delete("secret-1", archive=False)

    hook.at(step, lambda: elsewhere.ask(erase, patience_s=1.0))

    await store.run_retention(older_than_s=0)

    assert await elsewhere.answers() == [None]
    assert b"in secret-1?" not in everything_under(archive_dir)
    state = (await states(store))["secret-1"]
    assert state == {"erase": "erased", "destroy": "deleted"}[verb]
    await store.run_retention(older_than_s=0)
    assert await document(store, "s-2") == other
    assert b"in secret-1?" not in everything_under(archive_dir)
    await store.archive.recover(alone=True)
    sound(database_url, archive_dir)


async def test_an_append_that_waits_for_a_purge_restores_and_goes_on(
    open_another: OpenAnother, elsewhere: Elsewhere
) -> None:
    hook = Steps()
    store = await open_another(on_step=hook)
    await fill(store, "s-1")
    append = partial(_append, content="late")
    hook.at("purge.deleted", lambda: elsewhere.ask(append))

    report = await store.run_retention(older_than_s=0)

    (turn,) = await elsewhere.answers()
    assert report.purged == 1
    assert turn.seq == 4
    assert (await store.sessions.get("s-1")).state == "active"


async def _append(store: Store, content: str) -> Any:
    return await store.turns.append("s-1", role="user", content=content)


async def test_a_write_that_forgets_the_version_is_caught_by_the_comparison(
    open_another: OpenAnother,
    monkeypatch: pytest.MonkeyPatch,
    database_url: str,
    archive_dir: Path,
) -> None:
    hook = Steps()
    store = await open_another(on_step=hook)
    await fill(store, "s-1")
    change = "UPDATE interactions SET created_at = created_at + 1 WHERE seq = 1"
    hook.at("seal.begin", lambda: raw(database_url, change))

    report = await store.run_retention(older_than_s=0)

    assert [problem.code for problem in report.problems] == ["purge_mismatch"]
    assert await states(store) == {"s-1": "active"}
    assert (await store.stats()).unreadable == 1
    sound(database_url, archive_dir)
    assert (await store.run_retention(older_than_s=0)).purged == 1
    sound(database_url, archive_dir)


async def test_one_mismatch_does_not_keep_the_others(
    open_another: OpenAnother, database_url: str, archive_dir: Path
) -> None:
    hook = Steps()
    store = await open_another(on_step=hook)
    for session_id in ("s-1", "s-2", "s-3"):
        await fill(store, session_id)
    change = "UPDATE turns SET created_at = created_at + 1 WHERE session_id = 's-2'"
    hook.at("seal.begin", lambda: raw(database_url, change))

    report = await store.run_retention(older_than_s=0)

    assert [problem.session_id for problem in report.problems] == ["s-2"]
    assert report.purged == 2
    sound(database_url, archive_dir)


async def test_purging_twice_is_purging_once(
    store: Store, database_url: str, archive_dir: Path
) -> None:
    """A worker that comes late must not call the only copy stale."""
    await fill(store, "s-1")
    context = store._parts.archive.context
    version = (await store.sessions.get("s-1")).version
    written = await archive(context, "default", [("s-1", version)])

    first = await purge(context, written.entries, written.fingerprints)
    second = await purge(context, written.entries, written.fingerprints)

    assert first.purged == [("default", "s-1")]
    assert (second.purged, second.changed) == ([], [])
    sound(database_url, archive_dir)


async def test_a_segment_that_was_replaced_meanwhile_is_not_purged_into(
    store: Store, database_url: str, archive_dir: Path
) -> None:
    """An erasure between the seal and the purge moves the copies to another file."""
    for session_id in ("s-1", "s-2"):
        await fill(store, session_id)
    context = store._parts.archive.context
    wanted = [(s, (await store.sessions.get(s)).version) for s in ("s-1", "s-2")]
    written = await archive(context, "default", wanted)
    await store.erase(session_id="s-1")

    done = await purge(context, written.entries, written.fingerprints)

    assert done.purged == []
    sound(database_url, archive_dir, settled=False)
    assert (await store.archive.recover()).purges_finished == 1
    assert (await document(store, "s-2")).session.id == "s-2"
    sound(database_url, archive_dir)


# The tests are tested: each guard taken out in turn must turn something red.


async def test_without_the_version_guard_the_comparison_still_saves_the_turn(
    open_another: OpenAnother,
    elsewhere: Elsewhere,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("convstore.retention.purger._guarded", _unguarded)
    hook = Steps()
    store = await open_another(on_step=hook)
    await fill(store, "s-1")
    hook.at("seal.begin", lambda: elsewhere.ask(partial(_append, content="back")))

    report = await store.run_retention(older_than_s=0)

    await elsewhere.answers()
    assert [problem.code for problem in report.problems] == ["purge_mismatch"]
    assert (await contents(store, "s-1"))[-1] == "back"


async def test_without_guard_and_comparison_a_turn_is_lost_and_the_checker_sees_it(
    open_another: OpenAnother,
    elsewhere: Elsewhere,
    monkeypatch: pytest.MonkeyPatch,
    database_url: str,
    archive_dir: Path,
) -> None:
    monkeypatch.setattr("convstore.retention.purger._guarded", _unguarded)
    monkeypatch.setattr("convstore.retention.purger._take_and_compare", _only_take)
    hook = Steps()
    store = await open_another(on_step=hook)
    await fill(store, "s-1")
    hook.at("seal.begin", lambda: elsewhere.ask(partial(_append, content="back")))
    await store.run_retention(older_than_s=0)
    await elsewhere.answers()

    with pytest.raises(AssertionError, match="I4 turns of"):
        sound(database_url, archive_dir)


async def test_without_the_hold_check_a_held_session_goes_and_a_test_sees_it(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    await fill(store, "s-1")
    await store.holds.place("s-1", reason="case")
    decide = "convstore.retention.planner.decide"
    monkeypatch.setattr(decide, _archive_everything)
    with_guard = await store.run_retention(older_than_s=0)
    monkeypatch.setattr("convstore.retention.purger._guarded", _unguarded)

    without = await store.run_retention(older_than_s=0)

    assert with_guard.purged == 0
    assert without.purged == 1


async def test_without_the_check_of_the_segment_a_stub_names_a_lost_file(
    store: Store,
    monkeypatch: pytest.MonkeyPatch,
    database_url: str,
    archive_dir: Path,
) -> None:
    monkeypatch.setattr(
        "convstore.retention.purger._waiting", lambda _, entries: list(entries)
    )
    for session_id in ("s-1", "s-2"):
        await fill(store, session_id)
    context = store._parts.archive.context
    wanted = [(s, (await store.sessions.get(s)).version) for s in ("s-1", "s-2")]
    written = await archive(context, "default", wanted)
    await store.erase(session_id="s-1")
    await purge(context, written.entries, written.fingerprints)

    with pytest.raises(AssertionError, match="I6 entries"):
        sound(database_url, archive_dir)


def _unguarded(unit: Any, entry: Any) -> Head | None:
    return unit.find(entry.key)  # type: ignore[no-any-return]


def _only_take(_: Any, unit: Any, going: Any, *__: Any) -> None:
    from convstore.db import lifecycle

    lifecycle.take(unit, going[0][0].tenant_id, [head for _, head in going])


def _archive_everything(policy: Any, now: Any, summary: Any, **_: Any) -> Any:
    from convstore.retention.plan import Decision

    return Decision(summary, "archive", "idle", "because a test says so")


async def test_every_step_of_a_run_is_announced_in_its_order(
    open_another: OpenAnother,
) -> None:
    hook = Steps()
    store = await open_another(on_step=hook)
    await say(store, "s-1", "one")

    await store.run_retention(older_than_s=0)

    first_times = list(dict.fromkeys(hook.reached))
    assert set(first_times) == set(STEPS_OF_A_RUN)
    after = first_times[first_times.index("publish.dirsync") :]
    assert after[1:] == list(STEPS_OF_A_RUN[-9:])


async def test_one_upkeep_gives_back_what_a_purge_freed(
    open_another: OpenAnother, sqlite_url: str
) -> None:
    """However much: in steps, between which others write."""
    store = await open_another(url=sqlite_url)
    backend = store._parts.backend
    for number in range(12):
        await store.conversation(f"s-{number}").append(
            role="user", content="x" * 1_500_000
        )
    before = await backend.size_bytes()
    await store.run_retention(older_than_s=0)

    done = await backend.maintain()

    assert done["pages_freed"] > 4_000
    assert raw(sqlite_url, "PRAGMA freelist_count") == [(0,)]
    assert await backend.size_bytes() < before / 10
