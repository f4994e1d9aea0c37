"""Turns by external id, across the sessions of a tenant."""

from __future__ import annotations

import pytest
from sqlalchemy import Connection, inspect, text

from convstore import InvalidInputError, Page, Store, Turn
from convstore.db import turns as rows
from convstore.db.dialects.base import schema_of
from tests.integration.conversations import say

ID = "m-1"


async def name(store: Store, session_id: str, user_id: str | None = None) -> Turn:
    """A session of two turns, of which the second has the id."""
    await say(store, session_id, "first")
    if user_id is not None:
        await store.sessions.update(session_id, user_id=user_id)
    return await store.turns.append(
        session_id, role="user", external_id=ID, payload=b"\0", payload_format="f"
    )


async def pages(store: Store, limit: int = 100, **more: str) -> list[Page[Turn]]:
    found: list[Page[Turn]] = []
    cursor = None
    while True:
        found.append(
            await store.turns.find_all(
                external_id=ID, limit=limit, cursor=cursor, **more
            )
        )
        assert len(found[-1].items) <= limit
        cursor = found[-1].next_cursor
        if cursor is None:
            return found


async def everywhere(store: Store, limit: int = 100, **more: str) -> list[Turn]:
    return [turn for page in await pages(store, limit, **more) for turn in page.items]


async def test_every_session_that_has_the_id_answers(store: Store) -> None:
    one = await name(store, "s-1")
    other = await name(store, "s-2")
    await say(store, "s-3", "another")
    await store.sessions.fork("s-1", "s-4")
    copy = await store.turns.get("s-4", 2)

    found = await store.turns.find_all(external_id=ID)

    assert found == Page((one, other, copy), None)
    assert (await store.turns.find_all(external_id="absent")).items == ()


async def test_pages_go_through_all_of_them(store: Store) -> None:
    turns = [await name(store, f"s-{n}") for n in range(5)]

    for limit in (1, 2, 5, 6):
        assert await everywhere(store, limit) == turns


async def test_archived_sessions_answer_too(store: Store) -> None:
    turns = [await name(store, f"s-{n:02}") for n in range(70)]
    assert (await store.run_retention(older_than_s=0)).purged == 70
    await say(store, "s-live", "x")
    live = await name(store, "s-live")

    found = await pages(store)

    assert [t for page in found for t in page.items] == [live, *turns]
    # So many frames are read with one call.
    assert [(len(page.items), page.complete) for page in found] == [
        (65, False),
        (6, True),
    ]
    assert await everywhere(store, 7) == [live, *turns]
    states = {s.state for s in (await store.sessions.list(limit=99)).items}
    assert states == {"active", "archived"}


async def test_of_many_sessions_some_are_looked_at_with_one_call(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rows, "_LOOKED_AT", 3)
    for n in range(8):
        await say(store, f"a-{n}", "x")
    turn = await name(store, "s-1")
    await store.run_retention(older_than_s=0)
    for n in range(8):
        await say(store, f"a-{n}", "y")

    assert await everywhere(store) == [turn]
    assert len(await pages(store)) > 2


async def test_a_user_is_told_of_their_own_sessions(store: Store) -> None:
    mine = await name(store, "s-1", "ann")
    await name(store, "s-2", "bob")
    await name(store, "s-3")
    gone = await name(store, "s-0", "ann")
    await name(store, "s-4", "bob")
    await store.sessions.delete("s-4")

    assert await everywhere(store, user_id="ann") == [gone, mine]
    await store.run_retention(older_than_s=0)
    assert await everywhere(store, user_id="ann") == [gone, mine]
    handle = store.conversation("s-1", user_id="ann")
    own = type(store.turns)(handle._scope)
    assert (await own.find_all(external_id=ID)).items == (gone, mine)
    with pytest.raises(InvalidInputError):
        await own.find_all(external_id=ID, user_id="bob")


async def test_an_empty_user_is_not_everybody(store: Store) -> None:
    await name(store, "s-1", "ann")

    with pytest.raises(InvalidInputError, match="user_id"):
        await store.turns.find_all(external_id=ID, user_id="")


async def test_a_tenant_is_told_of_its_own_sessions(store: Store) -> None:
    await name(store, "s-1")
    acme = store.for_tenant("acme")

    assert (await acme.turns.find_all(external_id=ID)).items == ()


async def test_what_is_no_id_or_cursor_is_refused(store: Store) -> None:
    for wrong in ({"external_id": ""}, {"external_id": ID, "cursor": "x"}):
        with pytest.raises(InvalidInputError):
            await store.turns.find_all(**wrong)  # type: ignore[arg-type]
    with pytest.raises(InvalidInputError):
        await store.turns.find_all(external_id=ID, limit=0)


async def test_an_index_answers(store: Store) -> None:
    await name(store, "s-1")
    explain = "EXPLAIN QUERY PLAN " if store._parts.backend.lanes == 1 else "EXPLAIN "
    asked = (
        "SELECT seq FROM turns WHERE tenant_id = 'default' AND external_id = 'm-1'"
        " AND session_id > '' ORDER BY session_id LIMIT 9"
    )

    def look(connection: object) -> str:
        if "QUERY" not in explain:
            connection.execute(text("SET enable_seqscan = off"))  # type: ignore[attr-defined]
        rows = connection.execute(text(explain + asked))  # type: ignore[attr-defined]
        return str([tuple(row) for row in rows])

    async with store.transaction() as tx:
        plan = await tx._scope.runner.read(look)
    assert "uq_turns_external_ids" in plan


async def test_a_turn_is_written_to_one_index_beside_its_key(store: Store) -> None:
    def look(connection: Connection) -> list[tuple[str, bool]]:
        found = inspect(connection).get_indexes("turns", schema=schema_of(connection))
        return [(str(each["name"]), bool(each["unique"])) for each in found]

    indexes = await store._parts.backend.read(look)

    assert indexes == [("uq_turns_external_ids", True)]
