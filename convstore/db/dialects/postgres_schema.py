"""Which schema of a PostgreSQL database is ours, and what must be told apart by it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from sqlalchemy import ColumnElement, Connection, Text, func, text
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler

from convstore.db import models
from convstore.db.dialects.base import BackendOptions
from convstore.db.dialects.postgres_url import parsed
from convstore.vocabulary.errors import ConfigError, DatabaseAccessError
from convstore.vocabulary.ids import SCHEMA_NAME

# Sets the numbers of our advisory locks apart from those of an application.
_ADVISORY = 0x636F6E76

NO_RIGHTS = (
    "the role lacks rights: GRANT USAGE ON SCHEMA to it, and SELECT, INSERT, UPDATE, "
    "DELETE ON ALL TABLES IN SCHEMA; `convstore db upgrade` also needs CREATE ON SCHEMA"
)

_NO_SCHEMA = (
    "the search_path of this role leads to no schema that it may use: name one with "
    "CONVSTORE_SCHEMA, or GRANT the role USAGE ON SCHEMA, and SELECT, INSERT, UPDATE, "
    "DELETE ON ALL TABLES IN SCHEMA"
)


def schema_in(options: BackendOptions) -> str | None:
    """The schema that the settings name.

    Raises:
        ConfigError: It cannot be one, or the URL names another.
    """
    named = parsed(options.url).query.get("schema")
    if isinstance(named, tuple) or (
        named and options.schema and named != options.schema
    ):
        raise ConfigError("SCHEMA: the URL and the setting name different schemas")
    schema = options.schema or named
    if schema is not None and re.fullmatch(SCHEMA_NAME, schema) is None:
        raise ConfigError(
            "SCHEMA: a letter or _, then up to 62 letters, digits, _ or -, please"
        )
    return schema


def led_to(schema: str | None) -> str:
    """The schema to which the `search_path` leads, where none is named.

    Raises:
        DatabaseAccessError: It leads to none, or to the server's own.
    """
    if schema is None or schema.startswith("pg_"):
        raise DatabaseAccessError(_NO_SCHEMA)
    return schema


class _Schema(ColumnElement[str]):
    """The name of the schema that our tables are in, as a value of a statement."""

    type = Text()
    inherit_cache = True


@compiles(_Schema)
def _schema_as_text(_: _Schema, compiler: SQLCompiler, **__: Any) -> str:
    # Or what stands for it until it is known: SQLAlchemy puts both in as a table's.
    place = compiler.preparer.schema_for_object(models.sessions)
    return "''" if place is None else f"$cs${compiler.preparer.quote(place)}$cs$"


def number_of(key: Sequence[ColumnElement[str]]) -> ColumnElement[int]:
    """A number for an advisory lock, of which a database has one set for all schemas.
    Keys that share one are claimed together, which costs a wait and no more."""
    text_of = func.concat_ws("\x1f", _Schema(), *key)
    return func.hashtextextended(text_of, _ADVISORY)


class Identified:
    """The part of a dialect that tells one database from a copy of it."""

    def instance(self, connection: Connection) -> tuple[str, ...]:
        """The cluster's identifier and the database's OID, as one word."""

        def run(statement: str) -> Any:
            return connection.execute(text(statement)).scalar_one_or_none()

        oid = run("SELECT oid FROM pg_database WHERE datname = current_database()")
        # What is served by PostgreSQL's protocol need not have it, or let us ask.
        if run(
            "SELECT has_function_privilege(to_regprocedure("
            "'pg_catalog.pg_control_system()'), 'EXECUTE')"
        ):
            cluster = run("SELECT system_identifier FROM pg_control_system()")
            return (f"database:{cluster}/{oid}",)
        return (f"database:{oid}",)
