"""The suite of adapters on SQLite and on PostgreSQL, and a look into every table."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from convstore.testing.framework_suite import FrameworkSuite
from tests.crash.invariants import read_rows


class OnBothDatabases(FrameworkSuite):
    @pytest.fixture
    def url(self, database_url: str) -> str:
        return database_url

    def texts(self, url: str) -> Iterator[str | bytes]:
        for rows in read_rows(url).values():
            for row in rows:
                yield from (v for v in row.values() if isinstance(v, str | bytes))
