"""What people said is in no log record and no error text, whatever happens."""

import asyncio
import logging
import re
import sqlite3
import traceback
from collections.abc import Awaitable, Callable
from typing import Any

import asyncpg
import pytest

from convstore import Choice, ConvstoreError, Store

MARKER = "zeer-geheim-7421"
SAID: dict[str, Any] = {
    "content": f"{MARKER} content",
    "parts": [{"type": "text", "text": MARKER, MARKER: 1}],
    "resolved_question": MARKER,
    "slots": {"place": MARKER},
    "results": [{MARKER: MARKER}],
    "tools": [{"name": MARKER}],
    "metadata": {"k": MARKER},
}
# Each cannot be stored, and each is next to the marker.
BAD = ["\0", "\ud800"]


@pytest.fixture
def records(caplog: pytest.LogCaptureFixture) -> Callable[[], str]:
    """What an application logs that sets everything it knows to DEBUG, with fields."""
    for name in (None, "convstore", "sqlalchemy", "sqlalchemy.engine", "asyncio"):
        caplog.set_level(logging.DEBUG, logger=name)
    return lambda: "\n".join(
        f"{record.getMessage()} {vars(record)!r}" for record in caplog.records
    )


def _text_of(error: BaseException) -> str:
    """All that a log would show of it, causes included."""
    return "".join(traceback.format_exception(error)) + repr(error) + repr(vars(error))


async def _errors(*calls: Awaitable[Any]) -> list[BaseException]:
    found = await asyncio.gather(*calls, return_exceptions=True)
    assert all(isinstance(error, Exception) for error in found), found
    return [error for error in found if isinstance(error, BaseException)]


async def _live(store: Store) -> None:
    await store.sessions.get_or_create(
        "s-1", user_id="u-1", title=MARKER, tags=[MARKER], metadata={MARKER: MARKER}
    )
    await store.turns.append("s-1", role="user", external_id="m-1", **SAID)
    await store.turns.append_many("s-1", [{"role": "assistant", **SAID}])
    await store.turns.add_exchange("s-1", MARKER, MARKER, resolved_question=MARKER)
    await store.turns.append("s-1", role="assistant", content=MARKER, parent_seq=1)
    await store.turns.switch("s-1", 2)
    for verb in (store.turns.window, store.turns.history, store.turns.branches):
        await verb("s-1")
    await store.interactions.record(
        "s-1",
        action="choose",
        choice=Choice(1, (2,)),
        feedback=MARKER,
        reason=MARKER,
        content=MARKER,
        shown=[MARKER],
        metadata={"k": MARKER},
        external_id="f-1",
    )
    await store.interactions.summary("s-1")
    await store.graph_states.put("s-1", {"n": MARKER}, external_id="g-1")
    await store.sessions.list(title=MARKER, tag=MARKER, metadata={MARKER: MARKER})
    await store.holds.place("s-1", reason=MARKER)
    await store.holds.release("s-1")
    assert [d async for d in store.documents()]
    await store.run_retention(older_than_s=0)
    await store.restore("s-1")
    await store.erase(session_id="s-1")


async def test_a_whole_life_logs_nothing_that_was_said(
    store: Store, records: Callable[[], str]
) -> None:
    await _live(store)

    logged = records()
    assert re.search(r"INSERT INTO (public\.)?retention_runs", logged), (
        "statements are captured, so rows would be"
    )
    assert MARKER not in logged


async def test_no_refusal_repeats_what_was_said(
    store: Store, records: Callable[[], str]
) -> None:
    await store.sessions.get_or_create("s-1")
    await store.turns.append("s-1", role="user", external_id="m-1", content="x")
    await store.interactions.record("s-1", action="x", external_id="f-1")
    await store.graph_states.put("s-1", 1, external_id="g-1")
    turns, acts = store.turns, store.interactions
    long = MARKER * 2**20

    errors = await _errors(
        turns.append("s-1", role="user", external_id="m-1", **SAID),
        turns.append("absent", role="user", **SAID),
        turns.append("s-1", role="user", parent_seq=99, **SAID),
        acts.record("s-1", action="x", external_id="f-1", content=MARKER),
        acts.record("s-1", action="x", turn_seq=99, content=MARKER),
        store.graph_states.put("s-1", MARKER, external_id="g-1"),
        store.graph_states.put("s-1", MARKER, expected_version=99),
        store.sessions.update("s-1", title=MARKER, expected_version=99),
        turns.append("s-1", role="user", content=long),
        turns.append("s-1", role="user", metadata={"k": long}),
        turns.append("s-1", role="user", parts=MARKER),  # type: ignore[arg-type]
        turns.append("s-1", role="user", metadata={MARKER: {MARKER}}),
        turns.append("s-1", role="user", slots={MARKER: 1}),  # type: ignore[dict-item]
        turns.append("s-1", role="user", created_at=MARKER),  # type: ignore[arg-type]
        acts.record("s-1", action="x", score=MARKER),  # type: ignore[arg-type]
        acts.record("s-1", action="x", choice=MARKER),  # type: ignore[arg-type]
        store.sessions.list(cursor=MARKER),
        *(
            call
            for bad in BAD
            for call in (
                turns.append("s-1", role="user", content=MARKER + bad),
                turns.append("s-1", role="user", parts=[{MARKER: MARKER + bad}]),
                turns.append("s-1", role="user", metadata={MARKER + bad: 1}),
                turns.append("s-1", role="user", slots={MARKER: MARKER + bad}),
                turns.append_many("s-1", [{"role": "user", "content": MARKER + bad}]),
                acts.record("s-1", action="x", reason=MARKER + bad),
                store.graph_states.put("s-1", {MARKER: MARKER + bad}),
                store.sessions.update("s-1", title=MARKER + bad),
                store.sessions.update("s-1", metadata={MARKER: MARKER + bad}),
                store.sessions.list(title=MARKER + bad),
            )
        ),
    )

    assert all(isinstance(error, ConvstoreError) for error in errors)
    assert [text for text in map(_text_of, errors) if MARKER in text] == []
    assert MARKER not in records()


async def _sabotage(url: str) -> None:
    """Make the database refuse, in words that quote the row."""
    if url.startswith("sqlite"):
        with sqlite3.connect(url.removeprefix("sqlite:///")) as connection:
            connection.execute(
                "CREATE TRIGGER refuse BEFORE INSERT ON turns BEGIN "
                "SELECT RAISE(ABORT, 'refused') WHERE NEW.content LIKE '%geheim%'; END"
            )
        connection.close()
        return
    server = await asyncpg.connect(url)
    await server.execute(
        "ALTER TABLE turns ADD CONSTRAINT refuse CHECK (content NOT LIKE '%geheim%')"
    )
    await server.close()


async def test_a_fault_of_the_database_is_typed_and_does_not_quote_the_row(
    store: Store, database_url: str, records: Callable[[], str]
) -> None:
    await store.sessions.get_or_create("s-1")
    await _sabotage(database_url)

    errors = await _errors(
        store.turns.append("s-1", role="user", content=MARKER),
        store.turns.append("s-1", role="user", content=MARKER),
    )

    assert all(isinstance(error, ConvstoreError) for error in errors)
    assert [text for text in map(_text_of, errors) if MARKER in text] == []
    assert MARKER not in records()
    turn = await store.turns.append("s-1", role="user", content="harmless")
    assert turn.seq == 1, "and the store goes on"
