"""The invariants of the index of words, checked from outside: I25."""

from __future__ import annotations

import asyncio
import sqlite3
from collections import defaultdict
from hashlib import blake2b
from typing import Any, Protocol

Key = tuple[str, str]
Row = dict[str, Any]


class Seen(Protocol):
    rows: dict[str, list[Row]]

    def expect(self, true: object, rule: str, *about: object) -> None: ...


def check_index(
    seen: Seen, url: str, contents: dict[Key, dict[str, Any]], *, settled: bool
) -> None:
    """Nothing is in the index twice, nothing of what is gone is in it, and what is not
    in it has a mark."""
    sessions = {(r["tenant_id"], r["session_id"]): r for r in seen.rows["sessions"]}
    held = {(r["tenant_id"], r["session_id"]): r for r in seen.rows["search_sessions"]}
    entries: dict[Key, list[tuple[str, int]]] = defaultdict(list)
    for row in seen.rows["search_entries"]:
        key = row["tenant_id"], row["session_id"]
        entries[key].append((row["kind"], row["seq"]))
    for key, items in entries.items():
        seen.expect(len(set(items)) == len(items), "I25 twice", *key)
        state = sessions[key]["state"] if key in sessions else None
        seen.expect(state in ("active", "archived"), "I25 of", state, *key)
        seen.expect(key in held, "I25 nobody holds", *key)
    for key, row in held.items():
        if key in contents:
            _check_held(seen, key, row, entries.get(key, []), contents[key])
    state = {row["tenant_id"]: row for row in seen.rows["search_state"]}
    whole = state.get("")
    if whole is None or whole["rules"] == 0:
        return
    counts = _words(url, [*entries, *(k for k in sessions if k not in entries)])
    for key, count in counts.items():
        seen.expect(count == len(entries[key]), "I25 words of", count, *key)
    if settled:
        _check_marks(seen, sessions, held, state)


def _check_held(
    seen: Seen,
    key: Key,
    row: Row,
    items: list[tuple[str, int]],
    content: dict[str, Any],
) -> None:
    turns = {
        turn["seq"]
        for turn in content["turns"]
        if turn["seq"] <= row["turn_count"]
        and turn["role"] in ("user", "assistant")
        and turn["content"]
    }
    found = {seq for kind, seq in items if kind == "turn"}
    seen.expect(turns <= found, "I25 not in the index", sorted(turns - found)[:3], *key)
    there = {turn["seq"] for turn in content["turns"]}
    seen.expect(found <= there, "I25 nobody said", sorted(found - there)[:3], *key)
    acts = {
        act["seq"]
        for act in content["interactions"]
        if act["seq"] <= row["interaction_count"] and (act["content"] or act["reason"])
    }
    found = {seq for kind, seq in items if kind == "comment"}
    seen.expect(acts == found, "I25 comments", sorted(acts ^ found)[:3], *key)


def _check_marks(
    seen: Seen,
    sessions: dict[Key, Row],
    held: dict[Key, Row],
    state: dict[str, Row],
) -> None:
    marked = {(r["tenant_id"], r["session_id"]) for r in seen.rows["search_marks"]}
    for key, row in sessions.items():
        mine = state.get(key[0])
        if mine is None or mine["epoch"] != state[""]["epoch"]:
            continue  # its sessions are to be looked through
        if row["state"] not in ("active", "archived") or key in marked:
            continue
        inside = held[key]["turn_count"] if key in held else 0
        seen.expect(inside >= row["turn_count"], "I25 no mark", *key)


def _words(url: str, keys: list[Key]) -> dict[Key, int]:
    """How many entries of each session the words are there of."""
    named = {key: _session_word(key) for key in keys}
    if not url.startswith("sqlite"):
        return asyncio.run(_words_of_postgres(url, named))
    connection = sqlite3.connect(url.removeprefix("sqlite:///"), timeout=30)
    try:
        return {
            key: connection.execute(
                "SELECT count(*) FROM search_words WHERE search_words MATCH ?",
                (f'scope : "{word}"',),
            ).fetchone()[0]
            for key, word in named.items()
        }
    finally:
        connection.close()


async def _words_of_postgres(url: str, named: dict[Key, str]) -> dict[Key, int]:
    import asyncpg

    connection = await asyncpg.connect(url)
    try:
        return {
            key: await connection.fetchval(
                "SELECT count(*) FROM search_entries"
                " WHERE words @@ CAST(CAST($1 AS text) AS tsquery)",
                f"'~{word}'",
            )
            for key, word in named.items()
        }
    finally:
        await connection.close()


def _session_word(key: Key) -> str:
    said = "".join(f"{len(name)}:{name}" for name in key)
    return "s" + blake2b(said.encode(), digest_size=8).hexdigest()
