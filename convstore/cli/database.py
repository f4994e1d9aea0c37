"""`convstore db`: the schema of the database."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from convstore import migration
from convstore.cli.context import (
    AsJson,
    Yes,
    config_of,
    confirm,
    database_file,
    no_database,
)
from convstore.cli.exits import FOUND
from convstore.cli.output import print_json, say

if TYPE_CHECKING:
    from convstore.vocabulary.settings import StoreConfig


def commands() -> dict[str, object]:
    """The commands of the group, by name."""
    return {
        "upgrade": upgrade,
        "downgrade": downgrade,
        "current": current,
        "check": check,
    }


def upgrade(
    context: typer.Context,
    revision: Annotated[str, typer.Argument(help="Where to.")] = "head",
    as_json: AsJson = False,
) -> None:
    """Bring the database to a revision, the newest if left out.

    Makes the SQLite file if there is none. All steps in one transaction: after a crash
    it is at the old revision or the new.
    """
    config = config_of(context)
    done = migration.upgrade(config.database_url, revision, **_where(config))
    _tell(done, as_json)


def downgrade(
    context: typer.Context,
    revision: Annotated[str, typer.Argument(help="Where to; `base` empties it.")],
    yes: Yes = False,
    as_json: AsJson = False,
) -> None:
    """Take the database back to a revision. What it cannot hold is lost."""
    config = _existing(context)
    confirm(f"Take the database back to {revision}, and lose what it cannot hold?", yes)
    _tell(migration.downgrade(config.database_url, revision, **_where(config)), as_json)


def current(context: typer.Context, as_json: AsJson = False) -> None:
    """Print the revision that the database is at."""
    config = _existing(context)
    _tell(migration.current(config.database_url, **_where(config)), as_json)


def check(context: typer.Context, as_json: AsJson = False) -> int:
    """Compare the tables with what the code declares. Exit code 1 if they differ."""
    config = _existing(context)
    found = migration.differences(config.database_url, **_where(config))
    revision = migration.current(config.database_url, **_where(config))
    if as_json:
        print_json({"revision": revision, "differences": found})
    elif found:
        for difference in found:
            say(difference)
    else:
        say(f"the schema is at {revision}, as it should be")
    return FOUND if found else 0


def _existing(context: typer.Context) -> StoreConfig:
    """The settings of a database that is there."""
    config = config_of(context)
    path = database_file(config)
    if path is not None and not path.exists():
        raise no_database(path)
    return config


def _where(config: StoreConfig) -> dict[str, Any]:
    return {"pooler": config.pooler, "schema": config.db_schema}


def _tell(revision: str | None, as_json: bool) -> None:
    if as_json:
        print_json({"revision": revision, "head": migration.head()})
    else:
        say(f"the database is at {revision or 'no revision'}")
