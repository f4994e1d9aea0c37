"""Which schema this code needs, and whether a database has it."""

from __future__ import annotations

from sqlalchemy import Connection, inspect, select, text

from convstore.db import models
from convstore.vocabulary.errors import DatabaseAccessError, SchemaMismatchError

# The newest revision in migrations/, kept here so that opening a store needs no
# alembic; a test compares the two.
REVISION = "0002"


NO_RIGHTS = (
    "the role lacks rights: GRANT USAGE ON SCHEMA to it, and SELECT, INSERT, UPDATE, "
    "DELETE ON ALL TABLES IN SCHEMA; `convstore db upgrade` also needs CREATE ON SCHEMA"
)


def revision_of(connection: Connection) -> str | None:
    """The database's revision; None when convstore never migrated it.

    Raises:
        DatabaseAccessError: The role may use no schema, and would find every one empty.
    """
    inspector = inspect(connection)
    if inspector.default_schema_name is None:
        raise DatabaseAccessError(NO_RIGHTS)
    if not inspector.has_table("alembic_version"):
        return None
    found = connection.execute(text("SELECT version_num FROM alembic_version"))
    return found.scalar_one_or_none()


def is_empty(connection: Connection) -> bool:
    """Whether the database has no tables at all."""
    return not inspect(connection).get_table_names()


def check(connection: Connection) -> None:
    """Refuse a schema that this code cannot work with.

    A newer schema is accepted while it still names this code's revision as old enough:
    that is the expanding half of a change that takes two releases.

    Raises:
        SchemaMismatchError: Behind or ahead; the message says what to run.
    """
    found = revision_of(connection)
    if found == REVISION:
        return
    if found is None or found < REVISION:
        raise SchemaMismatchError(found, REVISION, "run `convstore db upgrade`")
    oldest = connection.execute(select(models.schema_info.c.oldest_code)).scalar_one()
    if oldest > REVISION:
        remedy = (
            "upgrade convstore, or let the newer release take the database back with "
            f"`convstore db downgrade {REVISION}`"
        )
        raise SchemaMismatchError(found, REVISION, remedy)
