"""Puts our data layer in the place of Chainlit's own, for Chainlit's own tests.

    PYTHONPATH=... pytest -p in_place_of_sqlalchemy tests/data/test_sql_alchemy.py

Each test has a tenant of one store. `CONVSTORE_FRAMEWORK_URL` says which database; else
it is a file. Some tests look into a table: the two questions that they ask in SQL are
answered from what the data layer itself gives.
"""

from __future__ import annotations

import itertools
import json
import os
import tempfile
from typing import Any

import chainlit.data.sql_alchemy
import pytest

import convstore.blocking
from convstore.adapters.chainlit import ConvstoreDataLayer

_numbers = itertools.count(1)
_store: Any = None


class SQLAlchemyDataLayer(ConvstoreDataLayer):
    """Made, and asked, as the one that it stands for."""

    def __init__(
        self, conninfo: str, *, storage_provider: Any = None, **_: Any
    ) -> None:
        tenant = _store.for_tenant(f"test-{next(_numbers)}")
        super().__init__(tenant, storage_provider)

    async def execute_sql(self, query: str, parameters: dict[str, Any]) -> Any:
        columns = {
            'SELECT "metadata" FROM threads WHERE "id" = :id': "metadata",
            'SELECT "name" FROM threads WHERE "id" = :id': "name",
        }
        column = columns[query]
        thread = await self.get_thread(parameters["id"])
        if thread is None:
            return []
        value = thread[column]
        return [{column: json.dumps(value) if column == "metadata" else value}]

    async def get_current_timestamp(self) -> str:
        user = await self.create_user(chainlit.User(identifier="somebody"))
        return user.createdAt


def pytest_configure(config: pytest.Config) -> None:
    global _store
    home = tempfile.mkdtemp(prefix="convstore-chainlit-")
    url = os.environ.pop("CONVSTORE_FRAMEWORK_URL", "") or f"sqlite:///{home}/store.db"
    opened = convstore.blocking.open_store(url)
    _store = opened.__enter__().awaitable
    config.add_cleanup(lambda: opened.__exit__(None, None, None))
    chainlit.data.sql_alchemy.SQLAlchemyDataLayer = SQLAlchemyDataLayer
