"""Stores of chat messages with one fault each, which the kit must find."""

from __future__ import annotations

import asyncio
import json
import os
import sqlite3
from collections import defaultdict
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

from convstore.testing.chat_store import ChatKey


class Forgetful:
    """Keeps nothing but in memory."""

    def __init__(self) -> None:
        self.kept: dict[ChatKey, list[str]] = defaultdict(list)

    async def append(self, key: ChatKey, texts: Sequence[str]) -> None:
        self.kept[key] += texts
        await asyncio.sleep(0)

    async def history(self, key: ChatKey) -> list[str]:
        return list(self.kept[key])

    async def delete(self, key: ChatKey) -> None:
        self.kept.pop(key, None)


@asynccontextmanager
async def forgetful(where: str) -> AsyncIterator[Forgetful]:
    yield Forgetful()


class Overwriting(Forgetful):
    """Reads a file, adds to what it says, and writes it: whoever does so at the same
    time is overwritten. Sessions are everybody's, and their ids all of one case."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def _read(self) -> dict[str, list[str]]:
        if not self.path.exists():
            return {}
        read: dict[str, list[str]] = json.loads(self.path.read_text("utf-8"))
        return read

    def _write(self, kept: dict[str, list[str]]) -> None:
        draft = self.path.with_suffix(f".{os.getpid()}")
        draft.write_text(json.dumps(kept), "utf-8")
        draft.replace(self.path)

    async def append(self, key: ChatKey, texts: Sequence[str]) -> None:
        kept = self._read()
        await asyncio.sleep(0)
        kept.setdefault(key.session_id.lower(), []).extend(texts)
        self._write(kept)

    async def history(self, key: ChatKey) -> list[str]:
        return self._read().get(key.session_id.lower(), [])

    async def delete(self, key: ChatKey) -> None:
        self._write(self._read() | {key.session_id.lower(): []})


@asynccontextmanager
async def overwriting(where: str) -> AsyncIterator[Overwriting]:
    path = Path(where.removeprefix("sqlite:///"))
    yield Overwriting(path)


class Halving(Forgetful):
    """A commit for each message, and none for the call."""

    def __init__(self, rows: sqlite3.Connection) -> None:
        self.rows = rows

    async def append(self, key: ChatKey, texts: Sequence[str]) -> None:
        for text in texts:
            self.rows.execute("INSERT INTO said VALUES (?, ?)", (key.session_id, text))
            await asyncio.sleep(0.001)

    async def history(self, key: ChatKey) -> list[str]:
        found = self.rows.execute(
            "SELECT text FROM said WHERE session = ? ORDER BY rowid", (key.session_id,)
        )
        return [text for (text,) in found]


@asynccontextmanager
async def halving(where: str) -> AsyncIterator[Halving]:
    path = where.removeprefix("sqlite:///")
    rows = sqlite3.connect(path, isolation_level=None, timeout=120)
    rows.execute("CREATE TABLE IF NOT EXISTS said (session TEXT, text TEXT)")
    yield Halving(rows)
    rows.close()
