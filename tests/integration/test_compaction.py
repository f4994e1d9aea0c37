"""Small segments are joined to larger ones, and nothing of a session changes by it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from convstore import Store, StoreConfig
from convstore.archive import archiver
from convstore.errors import ConvstoreError, LegalHoldError, SessionErasedError
from convstore.retention.joinable import groups
from convstore.vocabulary.clock import ManualClock
from convstore.vocabulary.reports import CompactionReport, RecoveryReport
from tests.integration.archives import (
    DAY_S,
    Elsewhere,
    OpenAnother,
    Steps,
    damage,
    die_at,
    documents,
    everything_under,
    fill,
    policy,
    raw,
    segment_files,
    sound,
    states,
)

BESIDE = [
    ("erase", "publish.link"),
    ("erase", "compact.published"),
    ("erase", "compact.sealed"),
    ("erase", "compact.moved"),
    ("hold", "compact.sealed"),
    ("restore", "compact.sealed"),
    ("restore", "compact.moved"),
    ("verify", "compact.moved"),
    ("recover", "compact.published"),
]


def files(archive_dir: Path, pattern: str) -> int:
    return len(list(archive_dir.glob(pattern)))


async def scattered(store: Store, *session_ids: str) -> None:
    """Archived sessions, each in a segment of its own."""
    for session_id in session_ids:
        await fill(store, session_id)
    report = await store.run_retention(older_than_s=0, batch=1)
    assert report.purged == len(session_ids)


async def test_small_segments_become_one_that_holds_the_same(
    open_another: OpenAnother, database_url: str, archive_dir: Path
) -> None:
    readable = policy(readable_json=True, exports=("messages",))
    store = await open_another(retention=readable)
    names = [f"s-{number}" for number in range(5)]
    await scattered(store, *names)
    await store.sessions.delete("s-4")
    before = await documents(store)
    told = await store.archive.compact(dry_run=True)
    assert len(segment_files(archive_dir)) == 5

    report = await store.archive.compact()

    (path,) = segment_files(archive_dir)
    assert (told.joined, told.made, told.sessions) == (5, 1, 5)
    assert (report.joined, report.made, report.sessions, report.left) == (5, 1, 5, ())
    assert report.segments[0] in path.name
    assert report.bytes_before == report.bytes_after == path.stat().st_size
    assert await documents(store) == before
    assert (await store.archive.verify(deep=True)).ok
    assert files(archive_dir, "shards/**/messages.jsonl") == 1
    assert files(archive_dir, "sessions/**/*.json") == 5
    assert (await store.restore("s-1")).turn_count == 3
    assert (await states(store))["s-4"] == "deleted"
    assert (await store.archive.compact()).joined == 0
    sound(database_url, archive_dir)


async def test_a_run_begins_a_new_segment_when_one_is_full(
    open_another: OpenAnother,
    database_url: str,
    archive_dir: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # Those that are read at once go into one segment.
    monkeypatch.setattr(archiver, "READ_AT_ONCE", 32)
    store = await open_another(retention=policy(segment_bytes=1))
    names = {f"s-{number:02}" for number in range(40)}
    async with store.transaction() as tx:
        for name in sorted(names):
            await tx.sessions.get_or_create(name)
            await tx.turns.append(name, role="user", content="Hoi")

    report = await store.run_retention(older_than_s=0)

    assert (report.purged, len(report.segments)) == (40, 2)
    assert len(segment_files(archive_dir)) == 2
    assert set(await documents(store)) == names
    sound(database_url, archive_dir)


@pytest.mark.parametrize("step", ["compact.sealed", "compact.moved"])
async def test_a_compaction_that_was_cut_short_loses_nothing(
    open_another: OpenAnother,
    database_url: str,
    archive_dir: Path,
    clock: ManualClock,
    step: str,
) -> None:
    hook = Steps()
    store = await open_another(on_step=hook)
    await scattered(store, "s-1", "s-2", "s-3")
    before = await documents(store)
    await die_at(hook, step, store.archive.compact())
    another = await open_another()
    assert await documents(another) == before

    await another.archive.recover(alone=True)

    assert await another.archive.recover(alone=True) == RecoveryReport()
    assert await documents(another) == before
    sound(database_url, archive_dir)
    clock.advance(2 * DAY_S)
    await another.archive.compact()
    assert await documents(another) == before
    assert (await another.archive.verify(deep=True)).ok
    sound(database_url, archive_dir)


@pytest.mark.mostly_slow("sqlite-*", "postgres-compact.moved-*")
@pytest.mark.parametrize(
    ("step", "left"), [("compact.sealed", 3), ("compact.moved", 2)]
)
async def test_the_next_compaction_goes_on_where_one_was_cut_short(
    open_another: OpenAnother,
    database_url: str,
    archive_dir: Path,
    step: str,
    left: int,
) -> None:
    hook = Steps()
    store = await open_another(on_step=hook)
    await scattered(store, "s-1", "s-2", "s-3")
    before = await documents(store)
    await die_at(hook, step, store.archive.compact())
    another = await open_another()

    report = await another.archive.compact()

    assert (report.resumed, report.joined, report.made) == (1, left, 0)
    await another.archive.recover(alone=True)
    assert len(segment_files(archive_dir)) == 1
    assert await documents(another) == before
    assert (await another.archive.verify(deep=True)).ok
    assert (await another.archive.compact()) == CompactionReport()
    sound(database_url, archive_dir)


@pytest.mark.mostly_slow("sqlite-erase", "postgres-erase", "sqlite-damage")
@pytest.mark.parametrize("act", ["erase", "restore", "delete", "damage", "budget"])
async def test_what_came_between_is_respected_when_a_compaction_goes_on(
    open_another: OpenAnother, database_url: str, archive_dir: Path, act: str
) -> None:
    hook = Steps()
    store = await open_another(on_step=hook)
    await scattered(store, "secret-1", "s-2", "s-3")
    small = segment_files(archive_dir)
    before = await documents(store)
    await die_at(hook, "compact.sealed", store.archive.compact())
    (large,) = set(segment_files(archive_dir)) - set(small)
    another = await open_another()
    acts: dict[str, Callable[[], Awaitable[Any]]] = {
        "erase": lambda: another.erase(session_id="secret-1"),
        "restore": lambda: another.restore("secret-1"),
        "delete": lambda: another.sessions.delete("secret-1", archive=False),
        "budget": lambda: another.archive.compact(time_budget_s=0),
    }
    if act == "damage":
        damage(large)
    else:
        await acts[act]()

    report = await another.archive.compact()

    expected = (0, 3, 1) if act == "damage" else (1, 3, 0)
    if act in ("erase", "delete"):  # it has gone from both, and the other's file too
        expected = (1, 2, 0)
    assert (report.resumed, report.joined, report.made) == expected
    assert bool(report.left) == (act == "damage")
    after = await documents(another)
    for name in ("s-2", "s-3"):
        assert after[name] == before[name]
    await another.archive.recover(alone=True)
    if act in ("erase", "delete"):
        assert b"in secret-1?" not in everything_under(archive_dir)
    else:
        assert set(after) == set(before)
    if act != "damage":
        assert len(segment_files(archive_dir)) == 1
        assert (await another.archive.verify(deep=True)).ok
        sound(database_url, archive_dir)


@pytest.mark.mostly_slow("sqlite-*", "postgres-*-publish.link")
@pytest.mark.parametrize(("act", "step"), BESIDE)
async def test_what_goes_on_beside_a_compaction_is_done_as_ever(
    open_another: OpenAnother,
    clock: ManualClock,
    database_url: str,
    archive_dir: Path,
    act: str,
    step: str,
) -> None:
    hook = Steps()
    store = await open_another(on_step=hook)
    await scattered(store, "secret-1", "s-2", "s-3")
    before = await documents(store)
    elsewhere = Elsewhere(StoreConfig(url=database_url, archive_dir=archive_dir), clock)
    calls: dict[str, Callable[[Store], Awaitable[Any]]] = {
        "erase": lambda other: other.erase(session_id="secret-1"),
        "hold": lambda other: other.holds.place("secret-1", reason="case 7"),
        "restore": lambda other: other.restore("secret-1"),
        "verify": lambda other: other.archive.verify(),
        "recover": lambda other: other.archive.recover(),
    }
    hook.at(step, lambda: elsewhere.ask(calls[act]))

    await store.archive.compact()

    (answer,) = await elsewhere.answers()
    elsewhere.close()
    assert not isinstance(answer, BaseException), answer
    after = await documents(store)
    if act == "erase":
        await store.archive.recover(alone=True)
        assert b"in secret-1?" not in everything_under(archive_dir)
        with pytest.raises(SessionErasedError):
            await store.turns.append("secret-1", role="user", content="late")
        del before["secret-1"]
    elif act == "hold":
        with pytest.raises(LegalHoldError):
            await store.erase(session_id="secret-1")
    elif act == "verify":
        assert answer.ok
    assert set(after) == set(before)
    assert after["s-2"] == before["s-2"]
    await store.archive.recover(alone=True)
    assert (await store.archive.verify(deep=True)).ok
    sound(database_url, archive_dir)


async def test_all_of_a_segment_are_found_where_one_came_back_meanwhile(
    open_another: OpenAnother,
    clock: ManualClock,
    database_url: str,
    archive_dir: Path,
) -> None:
    """What the copies of one old segment are worth differs then."""
    hook = Steps()
    store = await open_another(on_step=hook)
    names = [f"s-{number}" for number in range(6)]
    for some in (names[:3], names[3:]):
        for name in some:
            await fill(store, name)
        assert (await store.run_retention(older_than_s=0)).purged == 3
    before = await documents(store)
    elsewhere = Elsewhere(StoreConfig(url=database_url, archive_dir=archive_dir), clock)
    hook.at("compact.sealed", lambda: elsewhere.ask(lambda other: other.restore("s-1")))

    report = await store.archive.compact()

    (answer,) = await elsewhere.answers()
    elsewhere.close()
    assert not isinstance(answer, BaseException), answer
    assert report.joined == 2
    sound(database_url, archive_dir)
    after = await documents(store)
    assert set(after) == set(names)
    assert {n: after[n] for n in names if n != "s-1"} == {
        n: before[n] for n in names if n != "s-1"
    }


async def test_copies_that_nothing_needs_are_left_out(
    store: Store, clock: ManualClock, database_url: str, archive_dir: Path
) -> None:
    await scattered(store, "s-1", "s-2")
    await store.turns.append("s-1", role="user", content="terug")
    await store.run_retention(older_than_s=0, batch=1)
    before = await documents(store)
    at_once = await store.archive.compact()
    clock.advance(3 * DAY_S)

    later = await store.archive.compact()

    # A backup of the database of a moment ago still names the older copy.
    assert (at_once.joined, at_once.dropped) == (2, 0)
    assert (later.joined, later.dropped) == (2, 1)
    assert len(segment_files(archive_dir)) == 1
    assert await documents(store) == before
    sound(database_url, archive_dir)


async def test_segments_of_no_use_are_left_to_recovery(
    store: Store, clock: ManualClock, archive_dir: Path
) -> None:
    await scattered(store, "s-1", "s-2")
    for name in ("s-1", "s-2"):
        await store.restore(name)
    clock.advance(3 * DAY_S)

    report = await store.archive.compact()

    assert (report.joined, report.made, report.left) == (0, 0, ())
    await store.archive.recover()
    assert segment_files(archive_dir) == []


async def test_a_damaged_segment_is_left_as_it_is_and_said(
    store: Store, archive_dir: Path
) -> None:
    await scattered(store, "s-1", "s-2", "s-3")
    first, *_ = segment_files(archive_dir)
    damage(first)

    report = await store.archive.compact()

    assert len(report.left) == 1
    assert report.left[0] in first.name
    assert (report.joined, report.made) == (2, 1)
    assert first in segment_files(archive_dir)
    assert not (await store.archive.verify()).ok


async def test_a_segment_of_which_the_ledger_lacks_something_is_left(
    store: Store, database_url: str, archive_dir: Path
) -> None:
    """Such as a session that a rebuild could not take up: its bytes are not lost."""
    await scattered(store, "s-1", "s-2", "s-3")
    raw(database_url, "DELETE FROM archive_entries WHERE session_id = 's-1'")

    report = await store.archive.compact()

    assert (report.joined, report.made) == (2, 1)
    assert len(segment_files(archive_dir)) == 2


async def test_tenants_stay_apart(
    store: Store, database_url: str, archive_dir: Path
) -> None:
    for tenant in ("acme", "other"):
        of_one = store.for_tenant(tenant)
        for name in ("s-1", "s-2"):
            await fill(of_one, name)
    await store.run_retention(older_than_s=0, batch=1)

    one = await store.archive.compact(tenant_id="acme")
    all_of_them = await store.archive.compact()

    assert (one.joined, one.made) == (2, 1)
    assert (all_of_them.joined, all_of_them.made) == (2, 1)
    assert len(segment_files(archive_dir)) == 2
    sound(database_url, archive_dir)


async def test_two_workers_that_join_at_once_do_no_harm(
    open_another: OpenAnother, database_url: str, archive_dir: Path
) -> None:
    store, another = await open_another(), await open_another()
    await scattered(store, "s-1", "s-2", "s-3")
    before = await documents(store)

    reports = await asyncio.gather(store.archive.compact(), another.archive.compact())

    assert sum(report.joined for report in reports) == 3
    assert len(segment_files(archive_dir)) == 1
    assert await documents(another) == before
    sound(database_url, archive_dir)


async def test_a_database_of_before_finds_its_sessions_in_the_joined_segment(
    store: Store, archive_dir: Path, database_url: str
) -> None:
    """A backup of the database names segments that are gone."""
    await scattered(store, "s-1", "s-2")
    before = await documents(store)
    names = raw(database_url, "SELECT session_id, segment_id FROM sessions")
    rows = raw(
        database_url,
        "SELECT segment_id, key, size_bytes, sha256 FROM archive_segments "
        "WHERE state = 'sealed'",
    )
    await store.archive.compact()
    (new,) = raw(
        database_url, "SELECT segment_id FROM archive_segments WHERE state = 'sealed'"
    )
    # As the backup has it: the old segments, each with its entry, and not the new one.
    raw(database_url, f"DELETE FROM archive_segments WHERE segment_id = '{new[0]}'")
    for segment_id, *_ in rows:
        raw(
            database_url,
            "UPDATE archive_segments SET state = 'sealed' "
            f"WHERE segment_id = '{segment_id}'",
        )
    for session_id, segment_id in names:
        for table in ("sessions", "archive_entries"):
            raw(
                database_url,
                f"UPDATE {table} SET segment_id = '{segment_id}' "
                f"WHERE session_id = '{session_id}'",
            )
    with pytest.raises(ConvstoreError):
        await store.archive.read("s-1")

    await store.archive.rebuild()

    assert await documents(store) == before


def test_a_large_segment_is_not_written_again_for_a_small_one() -> None:
    from convstore.db.joining import Candidate

    def candidate(number: int, size: int, *, tenant: str = "t", month: str = "01"):  # type: ignore[no-untyped-def]
        key = f"segments/2026/{month}/segment-{number}.jsonl.zst"
        return Candidate(str(number), key, size, 1, tenant)

    def sizes(*found: Candidate, most: int = 1000) -> list[list[int]]:
        return [[one.size_bytes for one in g.members] for g in groups(found, most)]

    assert sizes(candidate(1, 10)) == []
    assert sizes(candidate(1, 10), candidate(2, 10)) == [[10, 10]]
    assert sizes(candidate(1, 400), candidate(2, 10), candidate(3, 10)) == [[10, 10]]
    assert sizes(candidate(1, 21), candidate(2, 10)) == []
    assert sizes(candidate(1, 20), candidate(2, 10)) == [[10, 20]]
    assert sizes(*(candidate(n, 10) for n in range(5)), most=25) == [[10, 10]] * 2
    assert sizes(candidate(1, 10), candidate(2, 10, month="02")) == []
    assert sizes(candidate(1, 10), candidate(2, 10, tenant="u")) == []
