"""What two well-known tools ask their databases when a user searches: their tables and
statements, filled with the same texts.

simonw/llm 0.36 keeps an FTS5 table beside its log (its `llm logs -q`, and `--latest`);
Open WebUI looks through the JSON of every chat with LIKE, newest first.
"""

from __future__ import annotations

import json
import sqlite3
import time
from collections.abc import Callable, Iterable
from typing import Any

from benchmarks.processor import server_seconds

PAGE = 20
_LLM = """
CREATE TABLE turns (id TEXT PRIMARY KEY);
CREATE TABLE turn_search (id INTEGER PRIMARY KEY, turn_id TEXT, prompt TEXT,
  response TEXT);
CREATE UNIQUE INDEX idx_turn_search_turn_id ON turn_search (turn_id);
CREATE VIRTUAL TABLE turn_search_fts USING FTS5 (prompt, response,
  content=[turn_search]);
CREATE TRIGGER turn_search_ai AFTER INSERT ON turn_search BEGIN
  INSERT INTO turn_search_fts (rowid, prompt, response)
  VALUES (new.rowid, new.prompt, new.response);
END;
"""
_OF_LLM = """
SELECT turns.id, turn_search.prompt, bm25(turn_search_fts, 10.0, 1.0) FROM turns
JOIN turn_search ON turn_search.turn_id = turns.id
JOIN turn_search_fts ON turn_search_fts.rowid = turn_search.id
WHERE turn_search_fts MATCH ? ORDER BY {order} LIMIT 20
"""
_CHATS = """CREATE TABLE chat (id VARCHAR(255) PRIMARY KEY, user_id VARCHAR(255),
  title TEXT, chat JSON, updated_at BIGINT)"""
_CHATS_INDEX = "CREATE INDEX updated_at_user_id_idx ON chat (updated_at, user_id)"
_OF_CHATS = {
    "SQLite": """SELECT id, title FROM chat WHERE user_id = 'u-1' AND (
  title LIKE '%' || ? || '%' OR EXISTS (
    SELECT 1 FROM json_each(chat.chat, '$.messages') AS message
    WHERE LOWER(message.value->>'content') LIKE '%' || ? || '%'))
ORDER BY updated_at DESC LIMIT 20""",
    "PostgreSQL": """SELECT id, title FROM chat WHERE user_id = 'u-1' AND (
  title ILIKE '%' || $1 || '%' OR EXISTS (
    SELECT 1 FROM json_array_elements(chat.chat->'messages') AS message
    WHERE json_typeof(message->'content') = 'string'
    AND LOWER(message->>'content') LIKE '%' || $1 || '%'))
ORDER BY updated_at DESC LIMIT 20""",
}


async def peers(
    target: list[Any], texts: list[str], turns: int, queries: dict[str, str]
) -> dict[str, float]:
    """Processor milliseconds of a page: "<who> <query>" to its time.

    Args:
        texts: What is said, in turn, in `turns` turns, a hundred a conversation.
        queries: A name to a word.
    """
    path, postgres = target
    if postgres is not None:
        return await _chats_on_postgres(postgres, texts, turns, queries)
    with sqlite3.connect(path) as connection:
        connection.executescript(_LLM)
        connection.executemany("INSERT INTO turns VALUES (?)", _ids(turns))
        connection.executemany(
            "INSERT INTO turn_search (turn_id, prompt, response) VALUES (?, ?, '')",
            ((f"{n:012}", texts[n % len(texts)]) for n in range(turns)),
        )
        connection.execute(_CHATS)
        connection.execute(_CHATS_INDEX)
        connection.executemany(
            "INSERT INTO chat VALUES (?, 'u-1', ?, ?, ?)", _chats(texts, turns)
        )
    latest = _OF_LLM.format(order="turns.id DESC")
    best = _OF_LLM.format(order="bm25(turn_search_fts, 10.0, 1.0)")
    found: dict[str, float] = {}
    for name, word in queries.items():
        found[f"llm --latest, {name}"] = _cost(connection, latest, (word,))
        found[f"llm, {name}"] = _cost(connection, best, (word,))
        asked = (word.rstrip("*"),) * 2
        found[f"Open WebUI, {name}"] = _cost(connection, _OF_CHATS["SQLite"], asked)
    return found


async def _chats_on_postgres(
    url: str, texts: list[str], turns: int, queries: dict[str, str]
) -> dict[str, float]:
    import asyncpg

    connection = await asyncpg.connect(url)
    await connection.execute(_CHATS)
    await connection.execute(_CHATS_INDEX)
    for row in _chats(texts, turns):
        await connection.execute(
            "INSERT INTO chat VALUES ($1, 'u-1', $2, $3, $4)", *row
        )
    await connection.execute("VACUUM ANALYZE chat")
    found = {}
    for name, word in queries.items():
        await connection.fetch(_OF_CHATS["PostgreSQL"], word.rstrip("*"))
        began = time.process_time() + await server_seconds(url)
        await connection.fetch(_OF_CHATS["PostgreSQL"], word.rstrip("*"))
        spent = time.process_time() + await server_seconds(url) - began
        found[f"Open WebUI, {name}"] = spent * 1e3
    await connection.close()
    return found


def _cost(connection: sqlite3.Connection, statement: str, given: Any) -> float:
    ask: Callable[[], Any] = connection.execute(statement, given).fetchall
    ask()
    began = time.process_time()
    rounds = 0
    while rounds < 20 and time.process_time() - began < 2:
        connection.execute(statement, given).fetchall()
        rounds += 1
    return (time.process_time() - began) / rounds * 1e3


def _ids(turns: int) -> Iterable[tuple[str]]:
    return ((f"{n:012}",) for n in range(turns))


def _chats(texts: list[str], turns: int) -> Iterable[tuple[str, str, str, int]]:
    for first in range(0, turns, 100):
        messages = [
            {"role": "user", "content": texts[n % len(texts)]}
            for n in range(first, min(first + 100, turns))
        ]
        yield f"c-{first}", "New Chat", json.dumps({"messages": messages}), first
