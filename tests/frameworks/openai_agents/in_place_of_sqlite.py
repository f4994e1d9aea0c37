"""Puts our session in the place of the SDK's own, for the SDK's own tests.

    PYTHONPATH=... pytest -p in_place_of_sqlite tests/memory/test_session.py

One store serves the run; a database in memory, and each file that a test names, is a
tenant of it. `CONVSTORE_FRAMEWORK_URL` says which database; else it is a file. Most
cases of the runner keep a session in a list: that is a session of the store, too.
"""

from __future__ import annotations

import asyncio
import itertools
import os
import sys
import tempfile
from collections.abc import Coroutine
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import agents
import agents.memory
import pytest
from known_openai_agents import KNOWN

import convstore.blocking
from convstore.adapters.openai_agents import ConvstoreSession

_numbers = itertools.count(1)
_files: dict[str, str] = {}
_store: Any = None
_thread = ThreadPoolExecutor(1)


class SQLiteSession(ConvstoreSession):
    """Made, and called, as the one that it stands for."""

    def __init__(
        self,
        session_id: str,
        db_path: str | Path = ":memory:",
        sessions_table: str = "agent_sessions",
        messages_table: str = "agent_messages",
        session_settings: Any = None,
    ) -> None:
        settings = agents.memory.session_settings
        if session_settings is not None:
            session_settings = settings.coerce_session_settings(session_settings)
        tenant = _tenant(str(db_path), sessions_table)
        super().__init__(
            session_id, _store.for_tenant(tenant), session_settings=session_settings
        )


def keep_lists(of: Any) -> None:
    """Let the class of the tests that keeps items in a list keep them in a store."""

    def begin(
        self: Any, session_id: str = "test", history: list[Any] | None = None
    ) -> None:
        self.session_id, self._ignore_ids_for_matching = session_id, False
        self._kept = SQLiteSession(session_id)
        if history:
            _now(self._kept.add_items(history))

    async def get_items(self: Any, limit: int | None = None) -> list[Any]:
        items: list[Any] = await self._kept.get_items(limit and max(limit, 0))
        return items

    async def add_items(self: Any, items: list[Any]) -> None:
        await self._kept.add_items(items)

    async def pop_item(self: Any) -> Any:
        return await self._kept.pop_item()

    async def clear_session(self: Any) -> None:
        await self._kept.clear_session()

    of.__init__ = begin
    for verb in (get_items, add_items, pop_item, clear_session):
        setattr(of, verb.__name__, verb)
    of.saved_items = of._items = property(lambda self: _now(self._kept.get_items(-1)))


def _now(call: Coroutine[Any, Any, Any]) -> Any:
    """What a call gives, for a caller that cannot await it."""
    return _thread.submit(asyncio.run, call).result()


def _tenant(path: str, table: str) -> str:
    if path == ":memory:":
        return f"memory-{next(_numbers)}"
    return _files.setdefault(f"{path}/{table}", f"file-{next(_numbers)}")


def pytest_configure(config: pytest.Config) -> None:
    global _store
    home = tempfile.mkdtemp(prefix="convstore-openai-agents-")
    url = os.environ.pop("CONVSTORE_FRAMEWORK_URL", "") or f"sqlite:///{home}/store.db"
    opened = convstore.blocking.open_store(url)
    _store = opened.__enter__().awaitable
    config.add_cleanup(lambda: opened.__exit__(None, None, None))
    agents.SQLiteSession = agents.memory.SQLiteSession = SQLiteSession


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """A case that is known not to pass must not pass either: the list stays true."""
    simple = sys.modules.get("tests.utils.simple_session")
    if simple is not None:
        keep_lists(simple.SimpleListSession)
    here = {f"{item.path.name}::{item.name}" for item in items}
    files = {item.path.name for item in items}
    if gone := [n for n in KNOWN if n.partition("::")[0] in files and n not in here]:
        raise pytest.UsageError(f"known cases that are in no suite: {gone}")
    for item in items:
        name = f"{item.path.name}::{item.name}"
        if name in KNOWN:
            item.add_marker(pytest.mark.xfail(reason=KNOWN[name], strict=True))
