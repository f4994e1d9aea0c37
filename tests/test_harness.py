"""The harness itself: what the other tests rely on."""

import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import asyncpg
import pytest
import redis

from convstore import Store
from tests import summary
from tests.processes import Process
from tests.servers import PostgresServer, RedisServer

SCRIPT = Path(__file__).resolve().parents[1] / "scripts" / "test"

COUNTS_TO_TEN = "wait_for_all()\nfor i in range(10): report([INDEX, i])"


async def _tables(url: str) -> list[str]:
    if url.startswith("sqlite"):
        with sqlite3.connect(url.removeprefix("sqlite:///")) as connection:
            rows = connection.execute("SELECT name FROM sqlite_schema").fetchall()
        connection.close()
        return [row[0] for row in rows]
    connection = await asyncpg.connect(url)
    rows = await connection.fetch("SELECT tablename FROM pg_tables")
    await connection.close()
    return [row[0] for row in rows if not row[0].startswith(("pg_", "sql_"))]


async def test_a_fresh_database_has_tables(database_url: str) -> None:
    assert "turns" in await _tables(database_url)


async def test_an_empty_database_has_none(empty_database_url: str) -> None:
    assert await _tables(empty_database_url) == []


@pytest.mark.parametrize("kind", ["sqlite", "postgres"])
async def test_databases_are_made_inside_a_running_loop(
    new_database: Callable[[str], str], kind: str
) -> None:
    first, second = new_database(kind), new_database(kind)

    assert first != second
    assert await _tables(first) == await _tables(second)


def test_redis_is_empty_and_answers(redis_url: str) -> None:
    with redis.from_url(redis_url) as client:
        assert client.dbsize() == 0


def test_a_killed_redis_comes_back_empty(own_redis: RedisServer) -> None:
    with redis.from_url(own_redis.url) as client:
        client.set("key", "value")
    own_redis.kill()
    own_redis.start()

    with redis.from_url(own_redis.url) as client:
        assert client.get("key") is None


async def test_a_killed_postgres_keeps_what_was_committed(
    own_postgres: PostgresServer,
) -> None:
    connection = await asyncpg.connect(own_postgres.url)
    await connection.execute("CREATE TABLE kept AS SELECT 1 AS one")
    own_postgres.kill()
    connection.terminate()
    own_postgres.start()

    connection = await asyncpg.connect(own_postgres.url)
    assert await connection.fetchval("SELECT one FROM kept") == 1
    await connection.close()


def test_processes_report_each_for_itself(
    run_processes: Callable[..., list[list[Any]]],
) -> None:
    reported = run_processes(3, COUNTS_TO_TEN, together=True)

    assert reported == [[[n, i] for i in range(10)] for n in range(3)]


def test_a_process_that_fails_fails_the_test_and_says_why(
    run_processes: Callable[..., list[list[Any]]],
) -> None:
    with pytest.raises(AssertionError, match="ValueError: because"):
        run_processes(2, "raise ValueError('because')")


def test_a_process_can_be_killed_while_it_reports(
    start_process: Callable[..., Process],
) -> None:
    process = start_process("import itertools\nfor i in itertools.count(): report(i)")
    reports = process.reports()
    assert [next(reports) for _ in range(3)] == [0, 1, 2]

    process.kill()

    assert process.finish() == -9


async def test_a_store_is_open_on_each_database(store: Store) -> None:
    session, created = await store.sessions.get_or_create("s-1")

    assert created
    assert session.id == "s-1"


async def test_another_store_sees_the_same_database(
    store: Store, open_another: Callable[..., Awaitable[Store]]
) -> None:
    await store.sessions.get_or_create("s-1")

    another = await open_another()
    assert await another.sessions.find("s-1") is not None


@pytest.mark.parametrize(("ci", "status"), [("", 0), ("true", 1)])
def test_a_server_that_cannot_be_had_is_said_aloud_and_fails_in_ci(
    ci: str, status: int
) -> None:
    nowhere = {"CI": ci, "CONVSTORE_TEST_REDIS_URL": "redis://127.0.0.1:1/0"}
    one_test = f"{__file__}::test_redis_is_empty_and_answers"

    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", one_test],
        env={**os.environ, **nowhere},
        capture_output=True,
        text=True,
    )

    assert "REDIS WAS NOT TESTED" in done.stdout
    assert done.returncode == status


def test_a_process_that_a_test_starts_hears_ctrl_c(
    start_process: Callable[..., Process],
) -> None:
    process = start_process("wait_for_all()")
    process.wait_until_waiting()

    process.signal(signal.SIGINT)

    assert process.finish() == -signal.SIGINT


def test_a_run_from_a_background_shell_is_as_any_other() -> None:
    in_background = ["sh", "-c", 'trap "" INT; exec "$@"', "sh"]
    one_test = f"{__file__}::test_a_process_that_a_test_starts_hears_ctrl_c"
    run = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider"]

    done = subprocess.run(
        [*in_background, *run, one_test],
        capture_output=True,
        text=True,
    )

    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize(
    ("given", "side_by_side"),
    [
        ("", True),
        ("--slow -k history", True),
        ("--all", True),
        ("-n 4", False),
        ("-n0", False),
        ("-s", False),
        ("--pdb", False),
        ("-p no:xdist", False),
    ],
)
def test_tests_run_side_by_side_and_are_heard_at_once_unless_told_otherwise(
    tmp_path: Path, given: str, side_by_side: bool
) -> None:
    scripts = tmp_path / "scripts"
    scripts.mkdir()
    shutil.copy(SCRIPT, scripts)
    (scripts / "environment").write_text('#!/bin/sh\nprintf "%s\\n" "$@"\n')
    (scripts / "environment").chmod(0o755)

    done = subprocess.run(
        [scripts / "test", *given.split()], capture_output=True, text=True, check=True
    )

    line = done.stdout.splitlines()
    assert line[:3] == ["test", "python", "-u"]
    assert "-rfEs" in line
    assert ("worksteal" in line) == side_by_side
    own = given.replace("--slow", "").replace("--all", "").split()
    assert line[len(line) - len(own) :] == own
    assert done.stderr.startswith("running the tests that are not benchmark")
    assert "--slow runs the slow ones" in done.stderr


@pytest.mark.parametrize(
    ("in_ci", "outcome"),
    [(False, pytest.skip.Exception), (True, pytest.fail.Exception)],
)
def test_a_package_that_is_absent_is_said_aloud_and_fails_in_ci(
    monkeypatch: pytest.MonkeyPatch, in_ci: bool, outcome: type[BaseException]
) -> None:
    absent: dict[str, str] = {}
    monkeypatch.setattr(summary, "IN_CI", in_ci)
    monkeypatch.setattr(summary, "ABSENT", absent)

    with pytest.raises(outcome, match="scripts/test makes an environment"):
        summary.needs("no_such_package")

    assert list(absent) == ["no_such_package"]


def test_a_server_dies_with_the_process_that_started_it(
    start_process: Callable[..., Process],
) -> None:
    process = start_process(
        "from tests.servers import RedisServer\n"
        "server = RedisServer()\n"
        "server.start()\n"
        "report([server.url, str(server.folder)])\n"
        "wait_for_all()"
    )
    url, folder = next(process.reports())

    process.kill()

    # Its guardian is no child of ours: there is nothing to wait on but its last act.
    for _ in range(12_000):
        if not Path(folder).exists():
            break
        time.sleep(0.01)
    with redis.from_url(url) as client, pytest.raises(redis.ConnectionError):
        client.ping()
