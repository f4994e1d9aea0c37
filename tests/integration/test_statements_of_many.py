"""Much work goes down in few statements: each is a journey where a server is far."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from sqlalchemy import Connection, insert

from convstore import Store
from convstore.db import models
from convstore.db.batch import run_batch
from convstore.db.dialects.sqlite_file import driver_of
from convstore.db.statements import Prepared
from convstore.errors import TurnNotFoundError
from convstore.imports.model import ImportedSession
from convstore.repositories.imported import _session
from convstore.types import TurnInput
from tests.integration.archives import OpenAnother, archived, ids
from tests.integration.sent_statements import counting
from tests.integration.test_import import talk, written

MANY = 60


@pytest.fixture
def sent(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The statements that were sent, by how they were run."""
    return counting(monkeypatch)


async def test_a_rebuild_takes_up_many_sessions_with_few_statements(
    store: Store,
    open_another: OpenAnother,
    new_database: Callable[[str], str],
    sent: list[str],
) -> None:
    kind = "postgres" if store._parts.backend.dialect.has_far_server else "sqlite"
    await archived(store, *ids("s", MANY))
    fresh = await open_another(url=new_database(kind))
    sent.clear()

    report = await fresh.archive.rebuild()

    assert report.sessions == MANY
    assert len(sent) < MANY / 2


async def test_an_import_makes_its_sessions_together_where_the_server_is_far(
    open_another: OpenAnother,
    new_database: Callable[[str], str],
    tmp_path: Path,
    sent: list[str],
) -> None:
    store = await open_another(url=new_database("postgres"))
    source = written(tmp_path, *(talk(f"s-{n}", "Hi", "Ho") for n in range(MANY)))
    sent.clear()

    report = await store.import_("messages", source)

    assert report.sessions == MANY
    assert len(sent) < MANY / 2


async def test_sqlite_takes_rows_one_by_one_as_they_are_made(
    open_another: OpenAnother, new_database: Callable[[str], str]
) -> None:
    store = await open_another(url=new_database("sqlite"))
    await store.sessions.get_or_create("s-1")
    add = Prepared(lambda _: insert(models.session_title_words))
    written_before = []

    def work(connection: Connection) -> None:
        driver = driver_of(connection)
        before = driver.total_changes

        def rows() -> Iterator[dict[str, str]]:
            for word in ("een", "twee", "drie"):
                written_before.append(driver.total_changes - before)
                yield {"tenant_id": store.tenant, "session_id": "s-1", "word": word}

        add.many(connection, rows())

    await store._parts.backend.write(work)

    assert written_before == [0, 1, 2]


async def test_what_is_refused_of_sessions_that_come_together_is_not_made(
    store: Store,
) -> None:
    scope = store._scope
    good, other = (
        ImportedSession(name, (TurnInput("user", "Hi"),)) for name in ("s-1", "s-3")
    )
    bad = ImportedSession("s-2", (TurnInput("user", "Hi"),), head_seq=7)
    operations = [await _session(scope, each) for each in (good, bad, other)]

    done = await store._parts.backend.write(lambda c: run_batch(c, operations))

    assert [outcome.error is None for outcome in done] == [True, False, True]
    assert isinstance(done[1].error, TurnNotFoundError)
    listed = await store.sessions.list()
    assert sorted(session.id for session in listed.items) == ["s-1", "s-3"]
