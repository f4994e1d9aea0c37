"""Which database a URL or a connection belongs to. The rest of `db` asks here."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

from sqlalchemy import Connection

from convstore.db.dialects.base import Dialect
from convstore.vocabulary.errors import ConfigError


# Loaded when asked for: that of PostgreSQL brings SQLAlchemy's asynchronous half and
# its ORM, a third of what a command on a SQLite file would load.
@cache
def _sqlite() -> Dialect:
    from convstore.db.dialects.sqlite import SqliteDialect

    return SqliteDialect()


@cache
def _postgresql() -> Dialect:
    from convstore.db.dialects.postgres import PostgresDialect

    return PostgresDialect()


DIALECTS: dict[str, Callable[[], Dialect]] = {
    "sqlite": _sqlite,
    "postgresql": _postgresql,
}
"""The databases by the scheme of their URLs; each is made once."""

_SCHEMES = {"postgres": "postgresql"}


def dialect_of_url(url: str) -> Dialect:
    """The dialect for a URL; drivers named in it are ignored, ours are filled in.

    Raises:
        ConfigError: No such database. The URL is not repeated: it may hold a password.
    """
    scheme = url.partition(":")[0].partition("+")[0]
    dialect = DIALECTS.get(_SCHEMES.get(scheme, scheme))
    if dialect is None or "://" not in url:
        raise ConfigError("URL: must begin with sqlite:///, sqlite:// or postgresql://")
    return dialect()


def dialect_of(connection: Connection) -> Dialect:
    """The dialect of an open connection."""
    return DIALECTS[connection.dialect.name]()
