"""What archiving and restoring ask and write of the database, and nothing beside it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from convstore import Store
from convstore.archive import session_reads
from convstore.db import (
    archive_entries,
    documents,
    lifecycle,
    row_writes,
    sent_together,
    sizes,
)
from convstore.db.engine import Connection
from convstore.db.sent_together import SentTogether
from convstore.db.session_rows import SessionRows
from convstore.db.statements import Prepared
from convstore.db.unit import Unit
from tests.integration.archives import fill, ids, raw
from tests.integration.conversations import say

HEADS = (
    row_writes.UPDATE_HOT,
    row_writes.UPDATE_ALL,
    row_writes.UPDATE_GONE,
    row_writes.UPDATE_BACK,
)
KEY = ("default", "s-1")


@pytest.fixture
def heads_written(monkeypatch: pytest.MonkeyPatch) -> list[Prepared]:
    """The statements that wrote rows of sessions."""
    seen: list[Prepared] = []

    def noting(verb: str) -> Callable[..., None]:
        original = getattr(Prepared, verb)

        def noted(statement: Prepared, *given: Any) -> None:
            if statement in HEADS:
                seen.append(statement)
            original(statement, *given)

        return noted

    for verb in ("run", "many"):
        monkeypatch.setattr(Prepared, verb, noting(verb))
    return seen


async def test_a_purge_and_a_restore_write_only_where_the_rows_are(
    store: Store, heads_written: list[Prepared]
) -> None:
    for session_id in ids("s", 3):
        await fill(store, session_id)
    heads_written.clear()

    await store.run_retention(older_than_s=0)
    assert heads_written == [row_writes.UPDATE_GONE]

    heads_written.clear()
    await store.restore("s-1")
    assert heads_written == [row_writes.UPDATE_BACK]


@pytest.mark.parametrize("earlier", [False, True])
async def test_what_else_changes_with_a_move_is_written_too(
    store: Store, earlier: bool
) -> None:
    await say(store, "s-1", "Hi")
    before = await store.sessions.get("s-1")

    def work(connection: Connection) -> None:
        unit = Unit(connection)
        head = unit.find(KEY)
        assert head is not None
        if earlier:
            head.row["title"] = "Another"
            head.touch(1)
        head.move(1, "archived", "no-such-segment")
        head.row["title"] = "Another"
        unit.flush()
        head.move(2, "active", None)
        unit.flush()

    await store._parts.backend.write(work)

    after = await store.sessions.get("s-1")
    assert (after.state, after.title) == ("active", "Another")
    assert after.version == before.version + 2 + earlier


async def test_only_tables_that_may_have_rows_of_sessions_are_asked(
    store: Store,
) -> None:
    for session_id in ("a", "b", "c"):
        await say(store, session_id, "Hi")
    await store.items.put("step", "1", 1, session_id="b")
    await say(store.for_tenant("other"), "b", "Hi")

    async def asked(tenant: str, *session_ids: str) -> set[str]:
        return {
            *await store._parts.backend.read(
                lambda c: sizes.possible(c, tenant, session_ids)
            )
        }

    assert await asked("default", "b") == {"turns", "session_items"}
    assert await asked("default", "c", "a") == {"turns", "session_items"}
    assert await asked("default", "a") == await asked("default", "c") == {"turns"}
    assert await asked("other", "b") == {"turns"}
    assert await asked("default", "d") == await asked("default") == set()


def test_every_table_that_a_purge_takes_rows_from_is_looked_at() -> None:
    taken = {str(table.name) for table in lifecycle._TAKE}

    assert taken | {"legal_holds", "session_attachments"} == {*sizes._TABLES}


async def test_sizes_and_rows_are_those_of_every_table(store: Store) -> None:
    await fill(store, "s-1")
    await say(store, "s-2", "x" * 1000)
    backend = store._parts.backend

    held = await backend.read(lambda c: sizes.held(c, "default", ["s-2", "s-1", "s-3"]))
    read = await backend.read(
        lambda c: documents.read_rows(c, "default", ["s-1"], held.tables)
    )

    assert held.sizes[0] in range(1000, 1600)
    assert held.sizes[1] > 1500
    assert held.sizes[2] == 0
    assert {*held.tables} >= {"turns", "session_attachments", "checkpoints"}
    whole = await backend.read(lambda c: documents.read_rows(c, "default", ["s-1"]))
    assert read == whole
    assert whole[0].attachments


async def test_many_small_sessions_are_read_at_once_to_be_archived(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    for session_id in ids("s", 40):
        await say(store, session_id, "Hi")
    reads: list[int] = []
    original = documents.read_small

    def noting(*given: Any) -> list[SessionRows]:
        found = original(*given)
        reads.append(len(found))
        return found

    monkeypatch.setattr(documents, "read_small", noting)

    await store.run_retention(older_than_s=0)

    assert reads == [40]


async def test_sessions_of_short_turns_are_not_measured_to_be_archived(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    long = "x" * (session_reads.SHORT + 1)
    for session_id in ids("s", 9):
        await say(store, session_id, "Hi", long if session_id == "s-4" else "Yes?")
    for name, reason in (("s-5", None), ("s-6", long)):
        await store.interactions.record(name, action="feedback", reason=reason)
    await store.items.put("step", "1", 1, session_id="s-7")
    before = {name: await store.turns.branch(name) for name in ids("s", 9)}
    asked: list[frozenset[str]] = []
    whole: list[int] = []
    measure, read_rows = sizes._sums_of, documents.read_rows

    def measuring(tables: frozenset[str]) -> Prepared:
        asked.append(tables)
        return measure(tables)

    def reading(*given: Any) -> list[SessionRows]:
        found = read_rows(*given)
        whole.append(len(found))
        return found

    monkeypatch.setattr(sizes, "_sums_of", measuring)
    monkeypatch.setattr(documents, "read_rows", reading)

    report = await store.run_retention(older_than_s=0)

    assert (report.purged, len(report.segments)) == (9, 1)
    # Of all of them what is beside their turns and interactions; of the two large ones
    # these as well.
    assert asked == [{"session_items"}, {"turns", "interactions"}]
    assert whole == [2]
    monkeypatch.undo()
    for name, turns in before.items():
        await store.restore(name)
        assert await store.turns.branch(name) == turns
    (act,) = (await store.interactions.list("s-6")).items
    assert act.reason == long


async def test_a_session_without_one_of_its_turns_is_still_set_aside(
    store: Store, database_url: str
) -> None:
    for session_id in ids("s", 3):
        await say(store, session_id, "Hi", "Yes?")
    raw(database_url, "DELETE FROM turns WHERE session_id = 's-1' AND seq = 2")

    report = await store.run_retention(older_than_s=0)

    assert report.purged == 2
    assert [(p.session_id, p.code) for p in report.problems] == [("s-1", "row_corrupt")]


async def test_what_many_restores_change_is_sent_together(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    for session_id in ids("s", 6):
        await say(store, session_id, "Hi")
        if session_id == "s-2":
            await store.run_retention(older_than_s=0)  # three of each of two segments
    await store.run_retention(older_than_s=0)
    sent: list[tuple[SentTogether, int]] = []
    original = SentTogether.many

    def noting(statement: SentTogether, connection: Connection, rows: Any) -> None:
        sent.append((statement, len(rows)))
        original(statement, connection, rows)

    monkeypatch.setattr(SentTogether, "many", noting)

    restored = await asyncio.gather(*(store.restore(name) for name in ids("s", 6)))

    assert [session.state for session in restored] == ["active"] * 6
    changes = (row_writes.UPDATE_BACK, archive_entries._RESTORED)
    for statement in changes:
        assert sum(rows for kind, rows in sent if kind is statement) == 6
    # Less than one each: those who wait are restored together.
    assert len([kind for kind, _ in sent if kind in changes]) < 12
    for name in ids("s", 6):
        session = await store.sessions.get(name)
        assert session.archived_at is None


async def test_rows_that_are_sent_together_are_changed_each_by_itself(
    store: Store,
) -> None:
    for session_id in ids("s", 3):
        await say(store, session_id, "Hi")
    before = {name: await store.sessions.get(name) for name in ids("s", 3)}
    names = ["tenant_id", "session_id", *row_writes._PLACE, "last_activity_at"]

    def change(connection: Connection) -> None:
        unit = Unit(connection)
        unit.load([("default", name) for name in ids("s", 2)])
        rows = []
        for number, (_, head) in enumerate(unit.heads(), 1):
            assert head is not None
            rows.append({name: head.row[name] for name in names})
            rows[-1]["version"] += number
            rows[-1]["last_activity_at"] += number
        row_writes.UPDATE_BACK.many(connection, rows)

    await store._parts.backend.write(change)

    versions = {
        name: (await store.sessions.get(name)).version - session.version
        for name, session in before.items()
    }
    assert sorted(versions.values()) == [0, 1, 2]
    assert versions["s-2"] == 0


async def test_turns_that_come_back_together_are_as_they_were(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Among them one that is too large to go with the others."""
    for session_id in ids("s", 4):
        await fill(store, session_id)
        await say(store, session_id, "x" * 2000 if session_id == "s-2" else "Ø 天 \\")
    before = {name: await store.turns.branch(name) for name in ids("s", 4)}
    await store.run_retention(older_than_s=0)
    monkeypatch.setattr(sent_together, "ROOM", 1000)

    await asyncio.gather(*(store.restore(name) for name in ids("s", 4)))

    for name, turns in before.items():
        assert await store.turns.branch(name) == turns
