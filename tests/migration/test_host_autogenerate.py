"""An application's `alembic revision --autogenerate` leaves our tables alone."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from alembic import command
from alembic.config import Config

from convstore import migration
from tests.migration.test_shared_database import execute

ENV = """
from alembic import context
from sqlalchemy import (
    Column, ForeignKeyConstraint, Index, Integer, MetaData, String, Table, create_engine
)
from sqlalchemy.pool import NullPool
from convstore.migration import include_object_for
from convstore.tables import metadata as ours, sessions

host = MetaData()
Table(
    "orders",
    host,
    Column("id", Integer, primary_key=True),
    Column("tenant_id", String(255)),
    Column("session_id", String(255)),
    Column("item", String(255)),
    ForeignKeyConstraint(
        ["tenant_id", "session_id"], [sessions.c.tenant_id, sessions.c.session_id]
    ),
    Index("ix_orders_item", "item"),
)
engine = create_engine(context.config.get_main_option("url"), poolclass=NullPool)
with engine.connect() as connection:
    context.configure(
        connection=connection,
        target_metadata={target},
        include_object=include_object_for({schema}),
        include_schemas={schemas},
    )
    with context.begin_transaction():
        context.run_migrations()
"""


@pytest.fixture
def generate(tmp_path: Path) -> Callable[..., str]:
    """What autogenerate writes for the host's environment on a database."""

    def run(
        url: str,
        *,
        target: str = "host",
        schema: str | None = None,
        schemas: bool = False,
    ) -> str:
        folder = tmp_path / "host"
        config = Config(str(tmp_path / "alembic.ini"))
        config.set_main_option("script_location", str(folder))
        config.set_main_option("path_separator", "os")
        driver = url.replace("postgresql://", "postgresql+psycopg://")
        config.set_main_option("url", driver.replace("%", "%%"))
        command.init(config, str(folder), template="generic")
        text = ENV.format(target=target, schema=repr(schema), schemas=schemas)
        (folder / "env.py").write_text(text)
        made = command.revision(config, "orders", autogenerate=True)
        return Path(made.path).read_text()  # type: ignore[union-attr]

    return run


@pytest.mark.parametrize("target", ["host", "[host, ours]"])
def test_only_the_table_of_the_host_is_written(
    database_url: str, generate: Callable[..., str], target: str
) -> None:
    written = generate(database_url, target=target)

    assert "op.create_table('orders'" in written
    assert "'ix_orders_item'" in written
    upgrade = written.split("def downgrade")[0]
    assert "drop" not in upgrade
    assert upgrade.count("op.create_table(") == 1


def test_tables_of_neither_are_still_told(
    database_url: str, generate: Callable[..., str]
) -> None:
    execute(database_url, "CREATE TABLE forgotten (id INTEGER)")

    upgrade = generate(database_url).split("def downgrade")[0]

    assert upgrade.count("op.drop_table(") == 1


def test_a_schema_of_our_own_is_left_alone(
    postgres_url: str, generate: Callable[..., str]
) -> None:
    """And a table of the host that has one of our names is the host's."""
    migration.downgrade(postgres_url, "base")
    migration.upgrade(postgres_url, schema="chat")
    execute(postgres_url, "CREATE TABLE sessions (id INTEGER)")

    upgrade = generate(postgres_url, schema="chat", schemas=True)

    lines = upgrade.split("def downgrade")[0].splitlines()
    dropped = [line for line in lines if "op.drop_table(" in line]
    assert not [line for line in dropped if "chat" in line]
    assert [line for line in dropped if "'sessions'" in line]
