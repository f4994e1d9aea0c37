"""The conversations that are archived: of varied text, the same in every run."""

from __future__ import annotations

import random
import sqlite3
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import Any

from benchmarks.contestants import Target
from convstore.vocabulary.records import Interaction, Session, SessionDocument, Turn

TURNS, CHARACTERS = 10, 400
_BEGAN = datetime(2026, 1, 1, tzinfo=UTC)
_CHUNK = 500


def conversations(count: int, first: int = 0) -> Iterator[SessionDocument]:
    """So many sessions of ten turns of 400 characters, the answer judged once."""
    chance = random.Random(20261125 + first)
    text = _text()
    for number in range(first, first + count):
        yield _conversation(f"s-{number:07}", number, chance, text)


def _text() -> str:
    """A megabyte of words as frequent as words are, so that it packs as text does."""
    chance = random.Random(7)
    letters = "etaoinshrdlucmfwypvbgk"
    words = [
        "".join(chance.choices(letters, k=chance.randint(2, 9))) for _ in range(5000)
    ]
    weights = [1 / rank for rank in range(1, len(words) + 1)]
    return " ".join(chance.choices(words, weights, k=180_000))


def _conversation(
    name: str, number: int, chance: random.Random, text: str
) -> SessionDocument:
    began = _BEGAN + timedelta(seconds=number)
    turns = tuple(_turn(name, seq, began, chance, text) for seq in range(1, TURNS + 1))
    return SessionDocument(
        session=Session(
            "default", name, "active", TURNS + 2, f"u-{number % 1000}",
            turns[0].content[:40] if turns[0].content else "", "en", (), {}, began,
            turns[-1].created_at, turns[-1].created_at, None, TURNS, False, TURNS, 1, 0,
            {"thumbs_up": 1}, {}, None, 0, None, None,
        ),
        turns=turns,
        tool_sets={},
        interactions=(
            Interaction(
                name, 1, "feedback", TURNS, None, None, "u-1", "human", "thumbs_up",
                1.0, None, None, None, None, None, {}, None, turns[-1].created_at,
            ),
        ),
        graph_states=(),
        ledger=None,
        holds=(),
    )  # fmt: skip


def _turn(
    name: str, seq: int, began: datetime, chance: random.Random, text: str
) -> Turn:
    at = chance.randrange(len(text) - CHARACTERS)
    answer = seq % 2 == 0
    return Turn(
        name, seq, seq - 1 or None, "assistant" if answer else "user",
        text[at : at + CHARACTERS], None, None, None, "m-large" if answer else None,
        "stop" if answer else None, 212 if answer else None, 97 if answer else None,
        None, None, None, None, None, None, None, {}, f"{name}-{seq}",
        began + timedelta(seconds=20 * seq, microseconds=chance.randrange(1_000_000)),
    )  # fmt: skip


async def fill(target: list[Any], sessions: int, first: int = 0) -> dict[str, Any]:
    """Put them straight into the tables: appending is not what is measured."""
    place = Target(*target)
    documents = conversations(sessions, first)
    while some := list(islice(documents, _CHUNK)):
        rows = _rows(some)
        if place.postgres is None:
            _insert(place.path, rows)
        else:
            await _copy(place.postgres, rows)
    return {}


def _rows(documents: list[SessionDocument]) -> dict[str, list[dict[str, Any]]]:
    from convstore.db.codec.documents import document_rows, session_row

    rows: dict[str, list[dict[str, Any]]] = {"sessions": []}
    for document in documents:
        rows["sessions"].append(session_row(document.session))
        for table, of_table in document_rows(document):
            rows.setdefault(table.name, []).extend(of_table)
    return {name: found for name, found in rows.items() if found}


def _insert(path: str, rows: dict[str, list[dict[str, Any]]]) -> None:
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA synchronous=OFF")
    with connection:
        for table, of_table in rows.items():
            names = ", ".join(of_table[0])
            marks = ", ".join("?" * len(of_table[0]))
            connection.executemany(
                f"INSERT INTO {table} ({names}) VALUES ({marks})",
                [tuple(row.values()) for row in of_table],
            )
    connection.close()


async def _copy(url: str, rows: dict[str, list[dict[str, Any]]]) -> None:
    import asyncpg

    server = await asyncpg.connect(url)
    for table, of_table in rows.items():
        await server.copy_records_to_table(
            table,
            records=[tuple(row.values()) for row in of_table],
            columns=list(of_table[0]),
        )
    await server.close()
