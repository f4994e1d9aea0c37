"""A registered hook is told of every write to a session, in the same commit."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path

import pytest
from sqlalchemy import (
    CTE,
    BigInteger,
    Column,
    Connection,
    FromClause,
    MetaData,
    String,
    Table,
    and_,
    func,
    insert,
    literal,
    select,
)

from convstore import Store
from convstore.db import flush_hooks
from convstore.db.flushed import Flushed
from convstore.vocabulary.documents import encode_document
from tests.integration.archives import archived, document, fill, ids, raw
from tests.integration.conversations import say

OpenAnother = Callable[..., Awaitable[Store]]
NewDatabase = Callable[[str], str]
Mark = tuple[str, str, int]

TOY = Table(
    "toy_marks",
    MetaData(),
    Column("session_id", String),
    Column("way", String),
    Column("turns", BigInteger),
)


class Toy:
    """Marks each session that is written to with its way, and how many new turns."""

    about = ("rows", "hot", "cold", "labels")

    def __init__(self) -> None:
        self.told: list[Flushed] = []

    def flush(self, connection: Connection, flushed: Flushed) -> None:
        self.told.append(flushed)
        new = [row["session_id"] for row in flushed.rows.get("turns", ())]
        for way, heads in (("hot", flushed.hot), ("cold", flushed.cold)):
            for _, session_id in heads:
                values = (session_id, way, new.count(session_id))
                connection.execute(insert(TOY).values(values))

    def at_once(self, turns: FromClause, changed: CTE) -> Sequence[CTE]:
        same = and_(
            turns.c.tenant_id == changed.c.tenant_id,
            turns.c.session_id == changed.c.session_id,
        )
        marks = (
            select(changed.c.session_id, literal("at once"), func.count(turns.c.seq))
            .join_from(changed, turns, same)
            .group_by(changed.c.session_id)
        )
        names = ["session_id", "way", "turns"]
        return [insert(TOY).from_select(names, marks).cte("marks")]

    def cold(self, session_id: str) -> list[tuple[str, int]]:
        """States in which a session was told to be, and its new turns, in order."""
        return [
            (
                flushed.cold["default", session_id]["state"],
                sum(
                    row["session_id"] == session_id
                    for row in flushed.rows.get("turns", ())
                ),
            )
            for flushed in self.told
            if ("default", session_id) in flushed.cold
        ]


@pytest.fixture
def toy(monkeypatch: pytest.MonkeyPatch, database_url: str, store: Store) -> Toy:
    toy = Toy()
    raw(database_url, "CREATE TABLE toy_marks (session_id TEXT, way TEXT, turns INT)")
    monkeypatch.setattr(flush_hooks, "HOOKS", (*flush_hooks.HOOKS, toy))
    return toy


def marks(database_url: str) -> list[Mark]:
    found = raw(database_url, "SELECT session_id, way, turns FROM toy_marks")
    return sorted((a, b, c) for a, b, c in found)


@pytest.mark.usefixtures("toy")
async def test_a_hook_is_called_in_the_flush_and_in_the_one_statement(
    store: Store, database_url: str
) -> None:
    await store.sessions.get_or_create("s-1", title="no words are to be added")
    await say(store, "s-1", "one", "two")
    await say(store, "s-1", "three")

    remembered = "hot" if database_url.startswith("sqlite") else "at once"
    assert marks(database_url) == sorted(
        [("s-1", "cold", 0), ("s-1", remembered, 2), ("s-1", remembered, 1)]
    )


@pytest.mark.usefixtures("toy")
async def test_the_one_statement_marks_no_session_that_it_leaves_out(
    store: Store, open_another: OpenAnother, database_url: str
) -> None:
    other = await open_another()
    await say(store, "s-1", "one")
    await say(other, "s-1", "two")
    raw(database_url, "DELETE FROM toy_marks")

    await say(store, "s-1", "three")  # on a head that has moved on since

    assert marks(database_url) == [("s-1", "hot", 1)]


@pytest.mark.usefixtures("toy")
async def test_what_is_rolled_back_is_marked_by_nobody(
    store: Store, database_url: str
) -> None:
    try:
        async with store.transaction() as tx:
            await say(tx, "s-1", "one")
            raise KeyError
    except KeyError:
        pass

    assert marks(database_url) == []


async def test_a_hook_sees_a_session_through_its_whole_life(
    store: Store, toy: Toy
) -> None:
    await fill(store, "s-1")
    await store.run_retention(older_than_s=0)
    await store.restore("s-1")
    await store.sessions.delete("s-1")
    await store.restore("s-1")
    await store.erase(session_id="s-1")

    life = toy.cold("s-1")
    assert life[0] == ("active", 0)  # before anything was said in it
    gone = [each for each in life if each != ("active", 0)]
    assert gone == [
        ("archived", 0),
        ("active", 3),
        ("deleted", 0),
        ("active", 3),
        ("erased", 0),
    ]


async def test_a_hook_sees_what_is_imported(
    store: Store, open_another: OpenAnother, new_database: NewDatabase, tmp_path: Path
) -> None:
    await fill(store, "s-1")
    line = encode_document(await document(store, "s-1"))
    ours, theirs = tmp_path / "ours.jsonl", tmp_path / "theirs.jsonl"
    ours.write_bytes(line + b"\n")
    said = [{"role": "user", "content": "hello"}]
    theirs.write_text(json.dumps({"id": "s-2", "messages": said}) + "\n", "utf-8")
    fresh = await open_another(url=new_database("sqlite"))
    told = Toy()
    hooks = flush_hooks.HOOKS
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(told, "flush", lambda _, flushed: told.told.append(flushed))
        patch.setattr(flush_hooks, "HOOKS", (*hooks, told))
        await fresh.import_("convstore", ours)
        report = await fresh.import_("messages", theirs)

    assert report.sessions == 1
    assert told.cold("s-1") == [("active", 3)]
    (other,) = {key[1] for each in told.told for key in each.cold} - {"s-1"}
    assert sum(turns for _, turns in told.cold(other)) == 1
    labels = [label for flushed in told.told for label in flushed.labels]
    assert labels == [("default", "s-1", "correct")]


async def test_a_hook_sees_what_is_taken_up_from_an_archive(
    store: Store, open_another: OpenAnother, new_database: NewDatabase
) -> None:
    await archived(store, *ids("s", 2))
    fresh = await open_another(url=new_database("sqlite"))
    told = Toy()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(told, "flush", lambda _, flushed: told.told.append(flushed))
        patch.setattr(flush_hooks, "HOOKS", (*flush_hooks.HOOKS, told))
        await fresh.archive.rebuild()

    assert [told.cold(session_id) for session_id in ids("s", 2)] == [
        [("archived", 0)],
        [("archived", 0)],
    ]
    assert await fresh.sessions.list(label="correct")


async def test_a_hook_is_told_which_sessions_have_other_metadata_or_tags(
    store: Store, toy: Toy
) -> None:
    """Only then is written anew what they are found by: not for each new title."""
    key = ("default", "s-1")
    await store.sessions.get_or_create("s-1", tags=["new"])
    await store.sessions.update("s-1", title="Title")
    await store.sessions.update("s-1", metadata={"a": 1})

    assert [(key in f.made, key in f.described) for f in toy.told] == [
        (True, False),
        (False, False),
        (False, True),
    ]
    found = await store.sessions.list(tag="new", metadata={"a": 1})
    assert [session.id for session in found.items] == ["s-1"]
