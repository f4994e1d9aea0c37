"""`convstore.blocking`: a thread joins its transaction, with sqlite3 and psycopg."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, create_engine, event, func, insert, select, text
from sqlalchemy.exc import IntegrityError, SQLAlchemyError
from sqlalchemy.orm import Session

from convstore import (
    ConfigError,
    ConflictError,
    DatabaseBusyError,
    DatabaseUnavailableError,
    Limits,
    SessionNotFoundError,
    StoreConfig,
)
from convstore.blocking import Store, open_store
from convstore.vocabulary.clock import ManualClock
from tests.integration.archives import DAY_S
from tests.joined.hosts import BLOCKING, bare_url, blocking_engine_of, engine_of, orders


@pytest.fixture(params=BLOCKING)
def driver(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def blocking_store(
    database_url: str, archive_dir: Path, clock: ManualClock
) -> Iterator[Store]:
    config = StoreConfig(
        url=database_url, archive_dir=archive_dir, limits=Limits(busy_timeout_s=2)
    )
    with open_store(config, clock=clock) as store:
        store.sessions.get_or_create("s-1")
        yield store


@pytest.fixture
def host(database_url: str, driver: str) -> Iterator[Engine]:
    engine = blocking_engine_of(database_url, driver)
    with engine.begin() as connection:
        orders.create(connection)
    yield engine
    engine.dispose()


def say(nouns: Any, *texts: str) -> None:
    for content in texts:
        nouns.turns.append("s-1", role="user", content=content)


def contents(nouns: Any) -> list[str | None]:
    return [turn.content for turn in nouns.turns.window("s-1", limit=1000)]


def count(engine: Engine) -> int:
    with engine.connect() as connection:
        found = connection.execute(select(func.count()).select_from(orders))
        return int(found.scalar_one())


def test_an_order_and_its_message_come_with_one_commit(
    blocking_store: Store, host: Engine
) -> None:
    with host.begin() as connection:
        connection.execute(insert(orders).values(id=1))
        tx = blocking_store.joined(connection)
        say(tx, "one", "two")
        tx.interactions.record("s-1", action="feedback", turn_seq=1, feedback="x")
        tx.conversation("s-2", user_id="u-1").append(role="user", content="c")
        assert contents(tx) == ["one", "two"]

    assert contents(blocking_store) == ["one", "two"]
    assert blocking_store.sessions.get("s-2").user_id == "u-1"
    assert count(host) == 1


def test_a_rollback_takes_both_away(blocking_store: Store, host: Engine) -> None:
    with pytest.raises(IntegrityError), host.begin() as connection:  # noqa: PT012
        connection.execute(insert(orders).values(id=1))
        say(blocking_store.joined(connection), "gone")
        connection.execute(insert(orders).values(id=1))

    assert contents(blocking_store) == []
    assert count(host) == 0


def test_a_session_of_sqlalchemy_is_joined_with_its_savepoints(
    blocking_store: Store, host: Engine
) -> None:
    with Session(host) as db, db.begin():
        tx = blocking_store.joined(db)
        nested = db.begin_nested()
        say(tx, "undone")
        nested.rollback()
        say(tx, "first")
        nested = db.begin_nested()
        say(tx, "second")
        nested.commit()
        db.execute(insert(orders).values(id=1))

    assert contents(blocking_store) == ["first", "second"]
    with pytest.raises(ConfigError, match="over"):
        say(tx, "late")


def test_a_failed_call_is_undone_and_the_transaction_goes_on(
    blocking_store: Store, host: Engine
) -> None:
    with host.begin() as connection:
        tx = blocking_store.joined(connection)
        with pytest.raises(SessionNotFoundError):
            tx.turns.append("nobody", role="user", content="x")
        tx.turns.append("s-1", role="user", content="one", external_id="m")
        with pytest.raises(ConflictError):
            tx.turns.append("s-1", role="user", content="two", external_id="m")
        connection.execute(insert(orders).values(id=1))

    assert contents(blocking_store) == ["one"]
    assert count(host) == 1


def test_an_archived_session_comes_back_with_the_commit(
    blocking_store: Store, host: Engine, clock: ManualClock
) -> None:
    say(blocking_store, "one")
    clock.advance(2 * DAY_S)
    assert blocking_store.run_retention().purged == 1
    with host.begin() as connection:
        say(blocking_store.joined(connection), "two")

    assert contents(blocking_store) == ["one", "two"]


def test_a_write_past_the_open_transaction_is_refused(
    blocking_store: Store, host: Engine
) -> None:
    with host.begin() as connection:
        say(blocking_store.joined(connection), "one")
        with pytest.raises(ConfigError, match="nouns of the transaction"):
            say(blocking_store, "past it")

    say(blocking_store, "two")
    assert contents(blocking_store) == ["one", "two"]


def test_many_threads_join_transactions_of_their_own(
    blocking_store: Store, host: Engine
) -> None:
    def work(first: int) -> None:
        for number in range(first, first + 4):
            with host.begin() as connection:
                connection.execute(insert(orders).values(id=number))
                say(blocking_store.joined(connection), str(number))

    with ThreadPoolExecutor(3) as threads:
        list(threads.map(work, (0, 100, 200)))

    assert count(host) == 12
    assert len(contents(blocking_store)) == 12


def test_autocommit_and_asynchronous_connections_are_refused(
    blocking_store: Store, host: Engine, database_url: str
) -> None:
    with host.connect() as connection:
        connection.execution_options(isolation_level="AUTOCOMMIT")
        with pytest.raises(ConfigError, match="AUTOCOMMIT"):
            say(blocking_store.joined(connection), "x")
    is_file = database_url.startswith("sqlite")
    driver = "sqlite+aiosqlite" if is_file else "postgresql+asyncpg"
    engine = engine_of(database_url, driver)
    with pytest.raises(ConfigError, match="Connection or a Session"):
        say(blocking_store.joined(engine.connect()), "x")


@pytest.mark.parametrize("driver", ["postgresql+psycopg"], indirect=True)
def test_after_a_lost_connection_the_commit_of_the_application_fails(
    blocking_store: Store, host: Engine
) -> None:
    with pytest.raises(SQLAlchemyError), host.begin() as connection:  # noqa: PT012
        connection.execute(insert(orders).values(id=1))
        pid = connection.execute(text("SELECT pg_backend_pid()")).scalar_one()
        with host.connect() as other:
            other.execute(text(f"SELECT pg_terminate_backend({pid})"))
        with pytest.raises(DatabaseUnavailableError):
            say(blocking_store.joined(connection), "lost")

    assert count(host) == 0
    assert contents(blocking_store) == []


@pytest.mark.parametrize("driver", ["sqlite"], indirect=True)
def test_without_listeners_transactions_are_whole_and_savepoints_refused(
    blocking_store: Store, host: Engine, database_url: str
) -> None:
    engine = create_engine(bare_url(database_url, "sqlite"))
    with engine.connect() as connection:
        say(blocking_store.joined(connection), "rolled back")
        connection.rollback()
        with (
            connection.begin(),
            connection.begin_nested(),
            pytest.raises(ConfigError, match="BEGIN IMMEDIATE"),
        ):
            say(blocking_store.joined(connection), "in a savepoint")
    engine.dispose()

    assert contents(blocking_store) == []


@pytest.mark.parametrize("driver", ["sqlite"], indirect=True)
def test_a_read_that_another_commit_followed_asks_for_another_run(
    blocking_store: Store, host: Engine, database_url: str
) -> None:
    engine = create_engine(
        bare_url(database_url, "sqlite"), connect_args={"isolation_level": None}
    )

    @event.listens_for(engine, "begin")
    def begin(connection: Any) -> None:
        connection.exec_driver_sql("BEGIN")

    with engine.connect() as connection:
        tx = blocking_store.joined(connection)
        assert contents(tx) == []
        with ThreadPoolExecutor(1) as thread:
            thread.submit(say, blocking_store, "meanwhile").result()
        with pytest.raises(DatabaseBusyError, match="run the whole transaction again"):
            say(tx, "two")
    engine.dispose()

    assert contents(blocking_store) == ["meanwhile"]
