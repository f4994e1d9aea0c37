"""Citus: the schema of a database as one shard, which is placed and moved as a whole.

Schema-based sharding keeps all tables of a schema on one node, so every statement of
ours is of one node too. Spreading the rows of a table over nodes is not supported: see
docs/howto/citus.md.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection, text

from convstore.db.dialects.base import schema_of
from convstore.vocabulary.errors import ConfigError

LEAST_VERSION = 12
"""Of Citus; the first with schema-based sharding."""

VERSION = "SELECT extversion FROM pg_catalog.pg_extension WHERE extname = 'citus'"
IS_DISTRIBUTED = (
    "SELECT EXISTS (SELECT FROM pg_catalog.pg_dist_schema"
    " WHERE schemaid = to_regnamespace(:place))"
)
EXISTS = "SELECT to_regnamespace(:place) IS NOT NULL"
DISTRIBUTE = "SELECT pg_catalog.citus_schema_distribute(to_regnamespace(:place))"
SETTINGS = (
    "SET LOCAL citus.enable_schema_based_sharding TO on",
    # Ours count sessions, in a table of the same schema and so on the same node.
    "SET LOCAL citus.enable_unsafe_triggers TO on",
)

_INSTALL = (
    f"install Citus {LEAST_VERSION} or later on the coordinator and on every worker, "
    "name it in shared_preload_libraries, restart, and CREATE EXTENSION citus in this "
    "database"
)


def check_name(dialect: str) -> None:
    """Refuse a database of another kind, before it is made.

    Raises:
        ConfigError: It is no PostgreSQL.
    """
    if dialect != "postgresql":
        raise ConfigError("CITUS: is an extension of PostgreSQL: name such a database")


def check(connection: Connection) -> None:
    """Refuse a server that cannot shard by schema.

    Raises:
        ConfigError: Says what to install, or which schema to name.
    """
    found = connection.execute(text(VERSION)).scalar_one_or_none()
    if found is None:
        raise ConfigError(f"CITUS: this database does not have it: {_INSTALL}")
    if int(str(found).partition(".")[0]) < LEAST_VERSION:
        raise ConfigError(f"CITUS: {found} cannot shard by schema: {_INSTALL}")
    if schema_of(connection) in (None, "public"):
        raise ConfigError(
            "CITUS: give each database a schema of its own, as `?schema=s0` in its "
            "URL: `public` cannot be distributed"
        )


def distribute(connection: Connection) -> None:
    """Make the schema a shard of Citus: a new one before its tables, or one that has
    tables already, which takes as long as copying them. Idempotent.

    Raises:
        ConfigError: As `check`.
    """
    check(connection)
    place = connection.dialect.identifier_preparer.quote_identifier(
        schema_of(connection) or ""
    )
    exists = _is(connection, EXISTS, place)
    distributed = _is(connection, IS_DISTRIBUTED, place)
    for statement in statements(place, exists=exists, distributed=distributed):
        given = {"place": place} if ":place" in statement else {}
        connection.execute(text(statement), given)


def statements(place: str, *, exists: bool, distributed: bool) -> list[str]:
    """What is asked of the coordinator, for the schema of this quoted name."""
    if distributed:
        return []
    return [*SETTINGS, DISTRIBUTE if exists else f"CREATE SCHEMA {place}"]


def allow_triggers(connection: Connection) -> None:
    """Let migrations of this transaction make ours."""
    connection.execute(text(SETTINGS[1]))


def _is(connection: Connection, statement: str, place: str) -> Any:
    found = connection.execute(text(statement), {"place": place})
    return found.scalar_one()
