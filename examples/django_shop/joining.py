"""`transaction.atomic()`, with convstore's nouns inside it.

Django has connections of its own. SQLAlchemy is lent the driver's connection under one
of them, for one transaction, by a dialect that cannot end it: BEGIN, COMMIT, ROLLBACK
and the savepoints of nested blocks are sent by Django alone.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

from django.db import connection as of_django
from django.db import transaction
from sqlalchemy import Engine, NullPool, create_engine
from sqlalchemy.dialects import registry
from sqlalchemy.dialects.postgresql.psycopg import PGDialect_psycopg
from sqlalchemy.dialects.sqlite.pysqlite import SQLiteDialect_pysqlite

from convstore.blocking import Store, Transaction


@contextmanager
def joined(store: Store) -> Iterator[Transaction]:
    """As `transaction.atomic(durable=True)`, and gives the nouns in that transaction.

    Durable, because only the outermost block commits, and the store has to learn when
    that has happened: until then it serves nothing warm of these sessions.
    """
    connection = None
    try:
        with transaction.atomic(durable=True):
            connection = _engine(of_django.vendor).connect()
            # Before whatever the project does on commit: that may use the store itself.
            transaction.on_commit(connection.close)
            yield store.joined(connection)
    finally:
        if connection is not None:
            connection.close()


class Lent:
    """What SQLAlchemy would do to a connection of its own, and may not do to this."""

    def on_connect(self) -> None:
        """Leave handlers, functions and settings as Django has made them."""

    def do_commit(self, driver: Any) -> None:
        """Leave it to Django."""

    do_rollback = do_close = do_commit

    def do_terminate(self, driver: Any) -> None:
        """Close it: nobody knows what was done, and Django's COMMIT has to fail."""
        driver.close()


class LentPsycopg(Lent, PGDialect_psycopg):
    """A connection of Django to PostgreSQL."""

    supports_statement_cache = True


class LentSqlite(Lent, SQLiteDialect_pysqlite):
    """A connection of Django to SQLite."""

    supports_statement_cache = True


registry.register("postgresql.lent", __name__, "LentPsycopg")
registry.register("sqlite.lent", __name__, "LentSqlite")


@cache
def _engine(vendor: str) -> Engine:
    # The first use asks a server for its version. Registering hstore would change how
    # Django's connection sends every dict.
    options = {"use_native_hstore": False} if vendor == "postgresql" else {}
    return create_engine(
        f"{vendor}+lent://",
        creator=lambda: of_django.connection,  # of the thread that asks
        poolclass=NullPool,
        **options,
    )
