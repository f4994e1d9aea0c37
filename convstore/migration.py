"""The schema of a database by its URL: what `convstore db` does. Loads alembic late.

`pooler` is as in the settings: `transaction` behind one that pools by transaction.
`schema` is that of the tables, on PostgreSQL; left out, that of the URL's `?schema=`,
or else the first of the role's `search_path`.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import Any, cast

from convstore.vocabulary.progress import OnProgress

__all__ = [
    "copy",
    "current",
    "differences",
    "downgrade",
    "head",
    "include_object_for",
    "upgrade",
]


def upgrade(
    url: str,
    revision: str = "head",
    *,
    pooler: str = "none",
    schema: str | None = None,
    on_citus: bool = False,
) -> str:
    """Bring a database to `revision`; a SQLite file is made. The revision in force.

    All steps in one transaction: after a crash it is at the old revision or the new.
    `on_citus` makes the schema a shard of Citus first: the URL is the coordinator's.

    Raises:
        ConfigError: No such revision, an URL that cannot be used, or no Citus there.
        SchemaMismatchError: A newer release made the database.
        DatabaseUnavailableError: It cannot be reached.
    """
    given: dict[str, Any] = {"pooler": pooler, "place": schema, "on_citus": on_citus}
    return cast(str, _migrate("upgrade")(url, revision, **given))


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


def copy(
    url: str,
    to: str,
    *,
    schema: str | None = None,
    on_progress: OnProgress | None = None,
) -> dict[str, int]:
    """Copy a whole database into a new one, of either kind: rows by table.

    The target is made and upgraded first, gets all or nothing, and is read again and
    compared. The source takes no writes meanwhile, and is left as it is.

    Raises:
        ConfigError: The target holds something already, or the two are at different
            revisions.
        CorruptionError: The copy is not what was read.
        DatabaseUnavailableError: One of them cannot be reached.
    """
    upgrade(to)
    work = import_module("convstore.db.copying").copy_database
    return cast("dict[str, int]", work((url, schema), (to, None), on_progress).rows)


def differences(
    url: str, *, pooler: str = "none", schema: str | None = None
) -> list[str]:
    """How the tables differ from those that the code declares; empty when they agree.

    Raises:
        SchemaMismatchError: The database is at another revision.
    """
    return cast("list[str]", _migrate("differences")(url, pooler=pooler, place=schema))


def include_object_for(schema: str | None = None) -> Callable[..., bool]:
    """What keeps `alembic revision --autogenerate` of an application away from our
    tables: `context.configure(include_object=include_object_for(), …)`.

    Ours are those of `convstore.tables`, and, of what was found in the database, those
    with their names in `schema`, with their indexes and the table of the revision. A
    table that the application itself declares is its own, whatever it is called.

    Args:
        schema: That of convstore's tables; None for the connection's own.
    """
    models = import_module("convstore.db.models")
    names = {*models.metadata.tables, "convstore_version"}
    names |= {models.WORDS + behind for behind in ("", "_config", "_data", "_idx")}
    places = {None, "public"} if schema in (None, "public") else {schema}

    def include_object(
        item: Any, _name: str | None, kind: str, reflected: bool, _beside: Any
    ) -> bool:
        table = item if kind == "table" else getattr(item, "table", None)
        if table is None:
            return True
        if table.metadata is models.metadata:
            return False
        found = reflected and table.name in names and table.schema in places
        return not found

    return include_object


def _migrate(verb: str) -> Callable[..., Any]:
    return cast(
        "Callable[..., Any]", getattr(import_module("convstore.db.migrate"), verb)
    )


def __dir__() -> list[str]:
    return sorted(__all__)
