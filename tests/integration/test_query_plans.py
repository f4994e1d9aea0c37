"""The plan of every hot query: by its index, without reading or sorting the rest."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection

from convstore import StoreConfig, open_store
from convstore.db import (
    branches,
    checkpoint_reads,
    documents,
    graph_states,
    interactions,
    item_reads,
    items,
    joining,
    known_acts,
    labels,
    row_writes,
    search_reading,
    session_clues,
    session_lists,
    session_locks,
    sessions,
    staleness,
    turns,
    unfinished,
)
from convstore.db.dialects.base import BackendOptions
from convstore.db.engine import open_backend
from convstore.db.given_rows import text_of
from convstore.db.item_reads import ItemFilter
from convstore.db.session_filters import Filter, Sides
from convstore.db.session_ids import naming
from convstore.db.session_lists import Place
from convstore.db.statements import Prepared
from convstore.vocabulary.clock import ManualClock
from convstore.vocabulary.codec import dumps
from convstore.vocabulary.limits import Limits
from convstore.vocabulary.records import SessionState
from tests.databases import PostgresDatabases, SqliteDatabases

Explain = Callable[..., Awaitable[str]]
Row = dict[str, Any]

KEY = {"tenant": "default", "id": "s-7"}
TABLES = ("sessions", "turns", "interactions", "graph_states")
WHOLE = tuple(f"{how} {table}" for how in ("SCAN", "Seq Scan on") for table in TABLES)
# Where PostgreSQL names the columns that an index is entered by.
INDEX_COND = "Index Cond"
SORTS = ("TEMP B-TREE", "Sort")
# Inside what the index has in order, and no further than the page reaches.
SORTS_OF_PARTS = (
    "B-TREE FOR LAST",
    "B-TREE FOR RIGHT",
    "Incremental Sort",
    "Sort Key",
    "Presorted",
)


async def _fill(url: str, archive: Path) -> None:
    """Sessions and turns, as many as the plans of a large table can be had with."""
    at = datetime(2025, 1, 1, tzinfo=UTC)
    config = StoreConfig(url=url, archive_dir=archive)
    async with open_store(config, clock=ManualClock()) as store:
        for number in range(40):
            name = f"s-{number}"
            await store.sessions.get_or_create(
                name, user_id=f"u-{number}", title=f"hay {number}"
            )
            await store.turns.append_many(
                name, [{"role": "user", "external_id": f"m-{i}"} for i in range(9)]
            )
            await store.interactions.record_many(
                [
                    {
                        "action": "feedback",
                        "turn_seq": 1,
                        "feedback": "up",
                        "actor_id": f"u-{act}",
                        "created_at": at + timedelta(seconds=act, minutes=number),
                    }
                    for act in range(40)
                ],
                session_id=name,
            )
            await store.graph_states.put(name, {"nodes": []})


@pytest.fixture(scope="module", params=["sqlite", "postgres"])
def database_url(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[str]:
    """A database with sessions and turns in it: one for all, as plans are only read."""
    folder = tmp_path_factory.mktemp("plans")
    databases: SqliteDatabases | PostgresDatabases
    databases = request.getfixturevalue(f"{request.param}_databases")
    if isinstance(databases, SqliteDatabases):
        url = databases.create(folder / "plans.db")
    else:
        url = databases.create()
    asyncio.run(_fill(url, folder / "archive"))
    yield url
    if isinstance(databases, PostgresDatabases):
        databases.drop(url)


@pytest.fixture
def explain(database_url: str) -> Explain:
    """Gives the plan of a statement."""

    async def explained(statement: Any, given: Row | None = None, **values: Any) -> str:
        backend = await open_backend(BackendOptions(database_url, 1, "none", Limits()))
        try:
            # In a transaction: what is set here does not outlive it.
            return await backend.write(lambda c: _plan(c, statement, given or values))
        finally:
            await backend.close()

    return explained


def _plan(connection: Connection, statement: Any, values: dict[str, Any]) -> str:
    verb = "EXPLAIN QUERY PLAN"
    if connection.dialect.paramstyle != "qmark":
        verb = "EXPLAIN"
        connection.exec_driver_sql(
            "ANALYZE sessions, turns, interactions, graph_states, session_title_words"
        )
        # Forty sessions fit a few pages, which are best read whole. What is asked is
        # whether the plan of a large table is there to be had.
        for way in ("seqscan", "bitmapscan", "sort", "hashjoin", "mergejoin"):
            connection.exec_driver_sql(f"SET LOCAL enable_{way} = off")
    if isinstance(statement, Prepared):
        sql, given = statement.bound(connection, values)
    else:
        compiled = statement.compile(dialect=connection.dialect)
        expanded = compiled.construct_expanded_state()
        sql, given = expanded.statement, expanded.positional_parameters
    cursor = connection.connection.cursor()
    cursor.execute(f"{verb} {sql}", given)
    rows = cursor.fetchall()
    cursor.close()
    return "\n".join(str(row[-1]) for row in rows)


def bound_rows(*row: str) -> str:
    """The rows that a statement is given."""
    return dumps([row]).decode()


def assert_walks(plan: str, *indexes: str) -> None:
    """One of `indexes` (SQLite calls some primary key), and nothing read whole."""
    assert any(index in plan for index in indexes), plan
    assert not any(words in plan for words in WHOLE), plan


def assert_by_whole_key(plan: str) -> None:
    """The index is entered with the whole key of a session, not only its tenant."""
    entered = [
        line
        for line in plan.splitlines()
        if "session_id=?" in line or INDEX_COND in line
    ]
    assert any("session_id" in line for line in entered), plan
    assert "Filter: " not in plan, plan


def assert_in_order(plan: str) -> None:
    """The index gives the order: nothing is sorted."""
    assert not any(words in plan for words in SORTS), plan


def assert_asks_by_state(plan: str) -> None:
    """The index of entries is entered with a state; the ledger is not read whole."""
    # PostgreSQL says on the next line what the index is entered with.
    lines = [" ".join(two) for two in pairwise([*plan.splitlines(), ""])]
    asked = [line for line in lines if "ix_archive_entries_segment_state" in line]
    assert any(re.search(r"AND state=\?|state\)?(::text)? = '", a) for a in asked), plan
    assert_ledger_is_not_walked(plan)


def assert_ledger_is_not_walked(plan: str) -> None:
    """What the archive holds is not read whole."""
    assert not any(f"{how} archive" in plan for how in ("SCAN", "Seq Scan on")), plan
    assert "hashed SubPlan" not in plan, plan


def assert_not_of_a_whole_tenant(plan: str) -> None:
    """No part of it goes through the primary keys of everything that a tenant has."""
    assert "PRIMARY KEY (tenant_id=?)" not in plan, plan
    assert "pk_" not in plan, plan


def assert_sorts_buckets_only(plan: str) -> None:
    """The index gives the order but for what is in one bucket."""
    lines = [line for line in plan.splitlines() if any(w in line for w in SORTS)]
    assert lines, plan
    assert all(any(w in line for w in SORTS_OF_PARTS) for line in lines), plan


@pytest.mark.parametrize("way", ["_waiting", "_passing"])
async def test_heads_are_found_by_key(explain: Explain, way: str) -> None:
    statement = getattr(session_locks._LOCKS, way)
    plan = await explain(statement, bound=bound_rows("default", "s-7"), claims=True)

    assert_walks(plan, "PRIMARY KEY", "pk_sessions")


@pytest.mark.parametrize("way", ["_waiting", "_passing"])
async def test_items_are_locked_by_key(explain: Explain, way: str) -> None:
    statement = getattr(items._LOCKS, way)
    plan = await explain(statement, bound=bound_rows("default", "n", "k"), claims=True)

    assert_walks(plan, "PRIMARY KEY", "pk_items")


ITEM_PAGES: list[tuple[ItemFilter, tuple[str, str] | None, str]] = [
    (ItemFilter("n"), None, "key"),
    (ItemFilter("n", key_prefix="k"), ("n", "k5"), "key"),
    (ItemFilter(prefix="n."), None, "key"),
    (ItemFilter(prefix="n."), ("n.3", "k"), "key"),
    (ItemFilter(), ("n", "k"), "key"),
    (ItemFilter(user_id="u"), None, "user"),
    (ItemFilter(user_id="u", prefix="n."), ("n.3", "k"), "user"),
]


@pytest.mark.parametrize(("wanted", "after", "index"), ITEM_PAGES)
@pytest.mark.parametrize("session_id", [None, "s-7"])
async def test_a_page_of_items_walks_an_index_from_where_it_begins(
    explain: Explain,
    wanted: ItemFilter,
    after: tuple[str, str] | None,
    index: str,
    session_id: str | None,
) -> None:
    if session_id is not None and wanted.user_id is not None:
        pytest.skip("the items of a session have no owners")
    statement = item_reads.paged(("default", session_id), wanted, after, 20)
    plan = await explain(statement.params(b_now=1))

    table = "items" if session_id is None else "session_items"
    names = ("ix_items_user",) if index == "user" else ("PRIMARY KEY", f"pk_{table}")
    assert_walks(plan, *names)
    assert_in_order(plan)


async def test_external_ids_are_found_by_their_index(explain: Explain) -> None:
    plan = await explain(turns._EXTERNAL, bound=bound_rows("default", "s-7", "m-3"))

    assert_walks(plan, "uq_turns_external_ids")
    assert_by_whole_key(plan)


async def test_the_turns_of_documents_are_found_by_key(explain: Explain) -> None:
    of_turns = documents._ROWS["turns"]

    plan = await explain(of_turns, bound=bound_rows("default", "s-7"))

    assert_walks(plan, "SEARCH turns USING PRIMARY KEY", "pk_turns")
    assert_by_whole_key(plan)


@pytest.mark.parametrize(
    "update",
    [
        row_writes.UPDATE_HOT,
        row_writes.UPDATE_ALL,
        row_writes.UPDATE_BACK,
    ],
)
async def test_heads_are_updated_by_key(explain: Explain, update: Prepared) -> None:
    row = sessions.new_row(("default", "s-7"), 1)
    plan = await explain(update, **row)

    assert_walks(plan, "PRIMARY KEY", "pk_sessions")


async def test_heads_that_come_back_together_are_updated_by_key(
    explain: Explain, database_url: str
) -> None:
    if database_url.startswith("sqlite"):
        pytest.skip("each is updated by itself there")
    row = sessions.new_row(("default", "s-7"), 1)
    given = {"given": text_of([row]), "most": 1}
    plan = await explain(row_writes.UPDATE_BACK._together, given)

    assert_walks(plan, "PRIMARY KEY", "pk_sessions")


async def test_stubs_are_updated_by_key(explain: Explain) -> None:
    place = {"state": "archived", "segment_id": "g-1", "archived_at": 1}
    plan = await explain(
        row_writes.UPDATE_GONE, bound=bound_rows("default", "s-7"), **place
    )

    assert_walks(plan, "PRIMARY KEY", "pk_sessions")


async def test_a_session_is_found_by_key(explain: Explain) -> None:
    plan = await explain(sessions._ONE, **KEY)

    assert_walks(plan, "PRIMARY KEY", "pk_sessions")


async def test_a_window_walks_its_session_from_the_end(explain: Explain) -> None:
    plan = await explain(branches._NEWEST, **KEY, limit=20)

    assert_walks(plan, "PRIMARY KEY", "pk_turns")
    assert_in_order(plan)


async def test_a_window_of_a_branch_goes_up_by_key(explain: Explain) -> None:
    plan = await explain(branches._PATH, **KEY, limit=20, head=9)

    assert_walks(plan, "PRIMARY KEY", "pk_turns")


@pytest.mark.parametrize("page", [turns._UP, turns._DOWN])
async def test_a_page_of_turns_walks_the_key(explain: Explain, page: Any) -> None:
    statement = page.params(**KEY, after=4, limit=3)
    plan = await explain(statement)

    assert_walks(plan, "PRIMARY KEY", "pk_turns")
    assert_in_order(plan)


def page(wanted: Filter, place: Place | None) -> tuple[Prepared, Row]:
    """The statement of a page, and what is bound to it."""
    given = session_lists.given_for("default", wanted, place)
    statement = session_lists._list_of(wanted, place, bounded=True)
    return statement, {**given, "furthest": 1, "limit": 5}


def edge(wanted: Filter, place: Place | None) -> tuple[Prepared, Row]:
    given = session_lists.given_for("default", wanted, place)
    statement = session_lists._edge_of(wanted, place)
    return statement, {**given, "ahead": 50, "budget": 20_000}


BEFORE = pytest.mark.parametrize(
    "place",
    [None, Place(2**30, 2**60, "s-9"), Place(2**30)],
    ids=["first", "behind a session", "before a bucket"],
)


@BEFORE
async def test_a_page_of_sessions_walks_the_index_of_the_list(
    explain: Explain, place: Place | None
) -> None:
    plan = await explain(*page(Filter(), place))

    assert_walks(plan, "ix_sessions_recent")
    assert_sorts_buckets_only(plan)


@BEFORE
async def test_a_page_of_one_users_sessions_walks_the_index_of_users(
    explain: Explain, place: Place | None
) -> None:
    wanted = Filter(user_id="u-1")
    plan = await explain(*page(wanted, place))

    assert_walks(plan, "ix_sessions_recent_by_user")
    assert_sorts_buckets_only(plan)


@BEFORE
@pytest.mark.parametrize("states", [("active", "archived"), ("archived",)], ids=len)
async def test_a_page_of_a_language_walks_the_index_of_languages(
    explain: Explain, place: Place | None, states: tuple[SessionState, ...]
) -> None:
    wanted = Filter(language="nl", states=states)

    plan = await explain(*page(wanted, place))
    assert_walks(plan, "ix_sessions_by_language")
    assert_sorts_buckets_only(plan)
    plan = await explain(*edge(wanted, place))
    assert_walks(plan, "ix_sessions_by_language")
    assert_in_order(plan)
    assert_not_of_a_whole_tenant(plan)


@pytest.mark.parametrize(
    "wanted",
    [
        Filter(updated_since=1),
        Filter(metadata=(("=plan", '"pro"'),)),
        Filter(states=("active",)),
    ],
    ids=["time", "metadata", "state"],
)
async def test_a_page_by_a_filter_walks_the_index_of_the_list(
    explain: Explain, wanted: Filter
) -> None:
    plan = await explain(*page(wanted, None))

    assert_walks(plan, "ix_sessions_recent", "ix_sessions_idle")
    assert_sorts_buckets_only(plan)


@BEFORE
@pytest.mark.parametrize("user_id", [None, "u-1"])
async def test_how_far_a_page_looks_is_told_by_the_index(
    explain: Explain, place: Place | None, user_id: str | None
) -> None:
    wanted = Filter(user_id=user_id)
    plan = await explain(*edge(wanted, place))

    assert_walks(plan, "ix_sessions_recent")
    assert_in_order(plan)
    assert_not_of_a_whole_tenant(plan)


@BEFORE
@pytest.mark.parametrize("state", ["deleted", "erased"])
async def test_a_page_of_what_is_gone_walks_its_own_index(
    explain: Explain, place: Place | None, state: SessionState
) -> None:
    wanted = Filter(states=(state,))

    plan = await explain(*page(wanted, place))
    assert_walks(plan, "ix_sessions_gone")
    assert_sorts_buckets_only(plan)

    plan = await explain(*edge(wanted, place))
    assert_walks(plan, "ix_sessions_gone")
    assert_in_order(plan)
    assert_not_of_a_whole_tenant(plan)


@BEFORE
async def test_a_page_that_goes_back_walks_the_index_of_the_list_from_its_place(
    explain: Explain, place: Place | None
) -> None:
    back = replace(place or Place(1), back=True)

    plan = await explain(*page(Filter(), back))
    assert_walks(plan, "ix_sessions_recent")
    assert_sorts_buckets_only(plan)
    plan = await explain(*edge(Filter(), back))
    assert_walks(plan, "ix_sessions_recent")
    assert_in_order(plan)
    assert_not_of_a_whole_tenant(plan)


@pytest.mark.parametrize("back", [False, True])
@pytest.mark.parametrize(
    ("wanted", "index"),
    [
        (Filter(judged=True), "ix_sessions_judged"),
        (Filter(judged=True, disagreed=Sides(True)), "ix_sessions_judged"),
        (Filter(held=True), "ix_sessions_held"),
    ],
    ids=["judged", "disagreed", "held"],
)
async def test_judged_and_held_sessions_are_walked_by_indexes_of_their_own(
    explain: Explain, wanted: Filter, index: str, back: bool
) -> None:
    place = Place(1, back=True) if back else None

    plan = await explain(*page(wanted, place))
    assert_walks(plan, index)
    assert_sorts_buckets_only(plan)
    if wanted.disagreed is not None:
        assert_walks(plan, "pk_session_labels", "ix_session_labels_label")
    plan = await explain(*edge(wanted, place))
    assert_walks(plan, index)
    assert_in_order(plan)
    assert_not_of_a_whole_tenant(plan)


async def test_sessions_that_are_asked_for_are_found_by_key(explain: Explain) -> None:
    wanted = Filter()
    statement = Prepared(lambda dialect: sessions.asked_statement(dialect, wanted))
    given = session_lists.given_for("default", wanted, None)
    plan = await explain(statement, given | naming(["s-7", "s-9"]))

    assert_by_whole_key(plan)


CLUES = [
    ("_BY_WORD", {"word": "a", "word_end": "b"}, "session_title_words_word"),
    ("_BY_LABEL", {"label": "up"}, "session_labels_label"),
    ("_BY_VALUE", {"key": "#t", "value": ""}, "session_metadata_value"),
]


@pytest.mark.parametrize(("statement", "given", "index"), CLUES)
async def test_clues_are_found_by_their_index_and_then_sessions_by_key(
    explain: Explain, statement: str, given: Row, index: str
) -> None:
    clue = getattr(session_clues, statement)
    plan = await explain(clue, tenant="default", most=9, **given)

    assert f"ix_{index}" in plan
    assert_in_order(plan)
    wanted = Filter(
        title_words=("ha", "4"),
        user_id="u-7",
        language="nl",
        updated_since=1,
        judged=True,
    )
    bound = session_lists.given_for("default", wanted, None) | naming(["s-7", "s-9"])
    for of in (session_clues._spots_of, session_clues._sessions_of):
        plan = await explain(of(session_clues._by_key(wanted)), bound)
        # PostgreSQL may come to a session by another index, but by the session.
        by_session = [line for line in plan.splitlines() if "session_id" in line]
        assert_walks(plan, "SEARCH sessions USING PRIMARY KEY", "on sessions ")
        assert by_session, plan
        assert "ix_sessions_recent" not in plan


async def test_entries_of_the_index_of_words_are_read_by_their_numbers(
    explain: Explain,
) -> None:
    """In a PostgreSQL that has not counted their table, too."""
    wanted = search_reading.Wanted(language="nl", user_id="u-7")
    plan = await explain(
        search_reading._entries_of(search_reading._shape_of(wanted)),
        search_reading._values_of("default", wanted)
        | {"bound": dumps([("7",)]).decode()},
    )

    keys = "SEARCH search_entries USING PRIMARY KEY", "pk_search_entries"
    assert any(key in plan for key in keys), plan


async def test_common_words_are_looked_for_among_the_newest_entries_first(
    explain: Explain, database_url: str
) -> None:
    if not database_url.startswith("postgresql"):
        return  # whose index has hits in the order of their numbers
    bounds = search_reading.Bounds(lowest=True, highest=True)
    given = {"query": "'a'", "lowest": 1, "highest": 9, "limit": 3}
    plan = await explain(search_reading._matching_of(bounds), given)

    assert "Backward using pk_search_entries" in plan
    assert "One-Time Filter" in plan


async def test_the_labels_of_a_tenant_are_found_one_by_one(explain: Explain) -> None:
    plan = await explain(labels.known_statement("default", 9))

    assert_walks(plan, "ix_session_labels_label")
    assert "SCAN session_labels" not in plan
    assert "Seq Scan on session_labels" not in plan


async def test_archives_that_are_due_are_read_from_the_oldest_on(
    explain: Explain,
) -> None:
    plan = await explain(staleness.archived_statement(2**60, (-1, "", "")).limit(5))

    assert_walks(plan, "ix_sessions_archived")
    assert_in_order(plan)


@pytest.mark.parametrize("find", [turns._ONE, turns._ONE_EXTERNAL])
async def test_a_turn_is_found_by_an_index(explain: Explain, find: Any) -> None:
    plan = await explain(find.params(**KEY, seq=3, external="m-3"))

    assert_walks(plan, "PRIMARY KEY", "pk_turns", "uq_turns_external_ids")
    assert_by_whole_key(plan)


async def test_a_page_of_interactions_walks_the_key(explain: Explain) -> None:
    plan = await explain(interactions._PAGE.params(**KEY, after=0, limit=3))

    assert_walks(plan, "PRIMARY KEY", "pk_interactions")
    assert_in_order(plan)


@pytest.mark.parametrize(
    ("statement", "indexes", "values"),
    [
        ("_OF_TARGET", ["ix_interactions_target"], {**KEY, "target": b"x" * 32}),
        ("_BY_SEQ", ["PRIMARY KEY", "pk_interactions"], {"bound": (1,)}),
        ("_EXTERNAL", ["uq_interactions_external_id"], {"bound": ("f-1",)}),
    ],
)
async def test_feedback_counts_are_kept_by_indexes(
    explain: Explain, statement: str, indexes: list[str], values: dict[str, Any]
) -> None:
    if "bound" in values:
        values = {"bound": dumps([("default", "s-7", *values["bound"])]).decode()}
    plan = await explain(getattr(known_acts, statement), **values)

    assert_walks(plan, *indexes)
    if statement == "_OF_TARGET":
        assert_walks(plan, "ix_interactions_supersedes")


async def test_many_targets_are_found_by_their_index(
    explain: Explain, database_url: str
) -> None:
    if not database_url.startswith("postgresql"):
        return  # asked for one by one
    target = bound_rows("default", "s-7", "ab" * 32)
    plan = await explain(known_acts._OF_TARGETS, bound=target)

    assert_walks(plan, "ix_interactions_target")


async def test_judgements_read_their_session_alone(explain: Explain) -> None:
    statement = interactions._ALL.where(interactions._OF_TURN)
    plan = await explain(statement.params(**KEY, turn=1))

    assert_walks(plan, "PRIMARY KEY", "pk_interactions", "ix_interactions_target")


@pytest.mark.parametrize("end", [None, interactions.Place(1, "s-1", 1)])
async def test_a_search_walks_acts_by_time(
    explain: Explain, end: interactions.Place | None
) -> None:
    wanted = interactions.ActFilter(action="feedback", label="up")
    before = interactions.Place(2**60, "s-9", 1)
    plan = await explain(
        interactions.search_statement("default", wanted, before, end).limit(3)
    )
    assert_walks(plan, "ix_interactions_time")
    assert_in_order(plan)

    places = interactions.places("default", 1, before).offset(9).limit(1)
    plan = await explain(places)
    assert_walks(plan, "ix_interactions_time")
    assert_in_order(plan)


async def test_sessions_with_a_label_are_found_by_its_index(explain: Explain) -> None:
    wanted = Filter(label="up")
    plan = await explain(*page(wanted, None))

    assert_walks(plan, "ix_session_labels_label")


@pytest.mark.parametrize("version", ["_HISTORY", "_VERSION", "_LATEST_VERSION"])
async def test_versions_of_a_graph_walk_the_key(explain: Explain, version: str) -> None:
    given = {"namespace": "default", "before": 9, "version": 1, "limit": 1}
    plan = await explain(getattr(graph_states, version).params(**KEY, **given))

    assert_walks(plan, "PRIMARY KEY", "pk_graph_states")
    assert_in_order(plan)


async def test_external_ids_of_graphs_are_found_by_their_index(
    explain: Explain,
) -> None:
    plan = await explain(graph_states._EXTERNAL.params(**KEY, external="g-1"))

    assert_walks(plan, "uq_graph_states_external_id")


@pytest.mark.parametrize("cutoff", [None, 2**60], ids=["cap", "age"])
async def test_sessions_that_may_be_stale_are_read_from_the_oldest_on(
    explain: Explain, cutoff: int | None
) -> None:
    after = (-1, "", "")
    plan = await explain(staleness.candidates_statement(cutoff, after).limit(5))

    assert_walks(plan, "ix_sessions_idle")
    assert_in_order(plan)


@pytest.mark.parametrize("cutoff", [None, 2**60], ids=["cap", "age"])
async def test_those_of_one_tenant_are_neither_read_whole_nor_sorted(
    explain: Explain, cutoff: int | None
) -> None:
    after = (1, "default", "s-3")
    found = staleness.candidates_statement(cutoff, after, "default")
    plan = await explain(found.limit(5))

    assert_walks(plan, "ix_sessions_recent", "ix_sessions_idle")
    assert_in_order(plan)


async def test_segments_of_no_use_are_told_by_their_own_entries(
    explain: Explain,
) -> None:
    """A page of them, and not by what the whole ledger and all sessions say."""
    plan = await explain(unfinished._without_use(2**60, "g-1"))

    assert_walks(plan, "ix_archive_entries_segment_state")
    assert_in_order(plan)
    assert_ledger_is_not_walked(plan)


@pytest.mark.parametrize(
    "statement",
    [
        unfinished._with_pending(),
        joining._half_done(),
        joining._candidates("g-1", 1e6, 1e4, None),
        joining._candidates("g-1", 1e6, 1e4, "default"),
    ],
    ids=["pending", "half done", "joined", "joined of a tenant"],
)
async def test_what_is_to_be_done_with_segments_is_told_by_the_states_of_entries(
    explain: Explain, statement: Any
) -> None:
    plan = await explain(statement)

    assert_walks(plan, "ix_archive_entries_segment_state")
    assert_asks_by_state(plan)


async def test_copies_that_must_not_be_kept_are_found_by_the_sessions_that_are_gone(
    explain: Explain,
) -> None:
    plan = await explain(unfinished._all_unwanted())

    assert "ix_sessions_gone" in plan, plan
    assert "PRIMARY KEY" in plan or "pk_archive_entries" in plan, plan
    assert_ledger_is_not_walked(plan)


@pytest.mark.parametrize(
    ("statement", "given"),
    [
        (checkpoint_reads._LATEST, {**KEY, "namespace": ""}),
        (checkpoint_reads._ONE, {**KEY, "namespace": "", "checkpoint": "c-1"}),
        (checkpoint_reads._VALUES, {"bound": bound_rows("default", "s-7", "hash")}),
        (
            checkpoint_reads._ELEMENTS,
            {"bound": bound_rows("default", "s-7", "1", "0", "9")},
        ),
        (checkpoint_reads._WRITES, {"bound": bound_rows("default", "s-7", "", "c-1")}),
    ],
)
async def test_what_checkpoints_hold_is_looked_up_by_their_session(
    explain: Explain, statement: Prepared, given: Row
) -> None:
    """And not by their tenant alone, whose other sessions would be walked with it."""
    plan = await explain(statement, given)

    entered = [
        line
        for line in plan.splitlines()
        if "tenant_id" in line and ("SEARCH" in line or INDEX_COND in line)
    ]
    assert entered, plan
    assert all("session_id" in line for line in entered), plan
