"""What the store needs of a PostgreSQL server is set or asked for, not assumed."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from convstore import ConfigError, StoreConfig, open_store
from convstore.db.dialects.postgres_errors import translate
from convstore.errors import (
    ConvstoreError,
    CorruptionError,
    DatabaseAccessError,
    DatabaseBusyError,
    DatabaseUnavailableError,
    ReadOnlyDatabaseError,
)


@pytest.fixture
async def server(postgres_url: str) -> AsyncIterator[Any]:
    import asyncpg

    connection = await asyncpg.connect(postgres_url)
    yield connection
    await connection.close()


async def test_settings_of_the_database_do_not_reach_our_statements(
    server: Any, postgres_url: str, archive_dir: Any
) -> None:
    name = await server.fetchval("SELECT current_database()")
    for setting in (
        "default_transaction_isolation = 'serializable'",
        "default_transaction_read_only = on",
        "statement_timeout = '1ms'",
        "idle_in_transaction_session_timeout = '1ms'",
    ):
        await server.execute(f'ALTER DATABASE "{name}" SET {setting}')

    config = StoreConfig(url=postgres_url, archive_dir=archive_dir)
    async with open_store(config) as store:
        await store.sessions.get_or_create("s-1")
        async with store.transaction() as tx:
            await tx.turns.append("s-1", role="user", content="x")
        await store.run_retention(older_than_s=0)
        assert (await store.restore("s-1")).turn_count == 1
        found = {finding.check: finding.ok for finding in await store.examine()}
    assert found["isolation"]
    assert found["writable"]
    assert found["time limits"]


@pytest.mark.parametrize("path", ["''", "pg_catalog", "nowhere"])
async def test_a_search_path_that_leads_nowhere_is_no_want_of_rights(
    server: Any, postgres_url: str, path: str
) -> None:
    from convstore.migration import upgrade

    name = await server.fetchval("SELECT current_database()")
    await server.execute(f'ALTER DATABASE "{name}" SET search_path = {path}')

    with pytest.raises(DatabaseAccessError, match="CONVSTORE_SCHEMA"):
        await in_thread(upgrade, postgres_url)
    async with open_store(StoreConfig(url=postgres_url, db_schema="public")) as store:
        assert (await store.sessions.get_or_create("s-1"))[1]


async def test_triggers_that_the_server_does_not_run_are_told(
    postgres_url: str,
) -> None:
    sign = "&" if "?" in postgres_url else "?"
    without = f"{sign}options=-c%20session_replication_role%3Dreplica"

    found = []
    for url in (postgres_url, postgres_url + without):
        async with open_store(url) as store:
            found += [f.ok for f in await store.examine() if f.check == "triggers"]

    assert found == [True, False]


async def test_another_encoding_is_refused_before_anything_is_made(
    server: Any, postgres_url: str
) -> None:
    await server.execute(
        "CREATE DATABASE latin ENCODING 'LATIN1' LOCALE 'C' TEMPLATE template0"
    )
    base, _, query = postgres_url.partition("?")
    url = base.rpartition("/")[0] + "/latin" + (f"?{query}" if query else "")
    try:
        from convstore.migration import current, upgrade

        with pytest.raises(ConfigError, match="encoded as LATIN1"):
            await in_thread(upgrade, url)
        with pytest.raises(ConfigError, match="encoded as LATIN1"):
            await in_thread(current, url)
        with pytest.raises(ConfigError, match="encoded as LATIN1"):
            async with open_store(url):
                pass
    finally:
        await server.execute("DROP DATABASE latin")


async def in_thread(function: Any, *arguments: Any) -> Any:
    import asyncio

    return await asyncio.to_thread(function, *arguments)


async def test_words_of_libpq_in_the_url_open_the_store(postgres_url: str) -> None:
    sign = "&" if "?" in postgres_url else "?"
    words = (
        "sslmode=prefer&application_name=shop&connect_timeout=10"
        "&options=-c%20work_mem%3D8MB&channel_binding=prefer"
        "&target_session_attrs=read-write"
    )

    async with open_store(postgres_url + sign + words) as store:
        await store.sessions.get_or_create("s-1")
        assert (await store.sessions.get("s-1")).id == "s-1"


async def test_a_wish_that_cannot_be_heeded_is_refused(postgres_url: str) -> None:
    sign = "&" if "?" in postgres_url else "?"

    with pytest.raises(ConfigError, match="channel_binding"):
        async with open_store(f"{postgres_url}{sign}channel_binding=require"):
            pass


@pytest.mark.parametrize(
    ("wish", "word"),
    [
        ("sslmode=verify-full", "root certificate"),
        ("port=5432,5433,5434", "several hosts"),
    ],
)
async def test_a_wish_that_the_driver_finds_unmet_is_a_wrong_setting(
    postgres_url: str,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    wish: str,
    word: str,
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))  # where a root certificate may lie
    url = postgres_url
    if wish.startswith("port"):
        url = "postgresql://nobody@/nothing?host=a,b"

    with pytest.raises(ConfigError, match=word):
        async with open_store(f"{url}{'&' if '?' in url else '?'}{wish}"):
            pass


async def test_a_server_of_another_part_may_change_it(postgres_url: str) -> None:
    sign = "&" if "?" in postgres_url else "?"

    with pytest.raises(DatabaseUnavailableError, match="target_session_attrs"):
        async with open_store(f"{postgres_url}{sign}target_session_attrs=standby"):
            pass


class SaidError(Exception):
    """As a driver tells what the server said."""

    def __init__(self, sqlstate: str, text: str) -> None:
        super().__init__(text)
        self.sqlstate = sqlstate


@pytest.mark.parametrize(
    ("state", "text", "error", "transient", "word"),
    [
        ("57014", "canceling statement due to statement timeout", DatabaseBusyError,
         True, "statement_timeout"),
        ("57014", "canceling statement due to user request", DatabaseBusyError, True,
         "cancelled"),
        ("25006", "cannot execute INSERT in a read-only transaction",
         ReadOnlyDatabaseError, False, "standby"),
        ("XX000", "lost connection to parallel worker", DatabaseUnavailableError, True,
         "fault of its own"),
        ("58030", "could not read block", DatabaseUnavailableError, True,
         "fault of its own"),
        ("XX001", "invalid page in block", CorruptionError, False, "damaged"),
        ("53300", "too many clients already", DatabaseUnavailableError, True,
         "no connection free"),
        ("42501", 'new row violates row-level security policy for table "turns"',
         DatabaseAccessError, False, "row-level security"),
        ("42501", "permission denied for table turns", DatabaseAccessError, False,
         "GRANT"),
        ("08P01", "Transaction blocks not allowed in statement pooling mode",
         ConfigError, False, "pools by statement"),
        ("26000", 'prepared statement "x" does not exist', ConfigError, False,
         "CONVSTORE_POOLER"),
    ],
)  # fmt: skip
def test_what_a_server_says_has_the_right_word(
    state: str, text: str, error: type[ConvstoreError], transient: bool, word: str
) -> None:
    told = translate(SaidError(state, text))

    assert isinstance(told, error)
    assert told.transient is transient
    assert word in str(told)
    assert text not in str(told)


async def test_row_level_security_is_told_as_such(
    server: Any, postgres_url: str
) -> None:
    await server.execute(
        "DROP ROLE IF EXISTS walled; CREATE ROLE walled LOGIN PASSWORD 'walled';"
        "GRANT USAGE ON SCHEMA public TO walled;"
        "GRANT ALL ON ALL TABLES IN SCHEMA public TO walled;"
        "ALTER TABLE sessions ENABLE ROW LEVEL SECURITY"
    )
    from sqlalchemy.engine import make_url

    url = make_url(postgres_url).set(username="walled", password="walled")
    try:
        with pytest.raises(DatabaseAccessError, match="row-level security"):
            await _begin(url.render_as_string(hide_password=False))
    finally:
        await server.execute("DROP OWNED BY walled; DROP ROLE walled")


async def _begin(url: str) -> None:
    async with open_store(url) as store:
        await store.sessions.get_or_create("s-1")
