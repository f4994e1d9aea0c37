"""The schema of a database by its URL: what `convstore db` does. Loads alembic late.

`pooler` is as in the settings: `transaction` behind one that pools by transaction.
`schema` is that of the tables, on PostgreSQL; left out, that of the URL's `?schema=`,
or else the first of the role's `search_path`.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import Any, cast


def upgrade(
    url: str, revision: str = "head", *, pooler: str = "none", schema: str | None = None
) -> str:
    """Bring a database to `revision`; a SQLite file is made. The revision in force.

    All steps in one transaction: after a crash it is at the old revision or the new.

    Raises:
        ConfigError: No such revision, or an URL that cannot be used.
        SchemaMismatchError: A newer release made the database.
        DatabaseUnavailableError: It cannot be reached.
    """
    return cast(str, _migrate("upgrade")(url, revision, pooler=pooler, place=schema))


def downgrade(
    url: str, revision: str, *, pooler: str = "none", schema: str | None = None
) -> str | None:
    """Take a database back to `revision`; `base` removes every table and all data.

    The revision in force, None for `base`; errors as `upgrade`.
    """
    found = _migrate("downgrade")(url, revision, pooler=pooler, place=schema)
    return cast(str, found) or None


def current(url: str, *, pooler: str = "none", schema: str | None = None) -> str | None:
    """The revision that a database is at; None when it was never migrated."""
    return cast("str | None", _migrate("current")(url, pooler=pooler, place=schema))


def head() -> str:
    """The newest revision that this version of convstore knows."""
    return cast(str, _migrate("head")())


def differences(
    url: str, *, pooler: str = "none", schema: str | None = None
) -> list[str]:
    """How the tables differ from those that the code declares; empty when they agree.

    Raises:
        SchemaMismatchError: The database is at another revision.
    """
    return cast("list[str]", _migrate("differences")(url, pooler=pooler, place=schema))


def _migrate(verb: str) -> Callable[..., Any]:
    return cast(
        "Callable[..., Any]", getattr(import_module("convstore.db.migrate"), verb)
    )
