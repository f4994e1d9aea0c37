"""`convstore db`: the schema of the database."""

from __future__ import annotations

from typing import Annotated

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
    url, pooler = config.database_url, config.pooler
    _tell(migration.upgrade(url, revision, pooler=pooler), as_json)


def downgrade(
    context: typer.Context,
    revision: Annotated[str, typer.Argument(help="Where to; `base` empties it.")],
    yes: Yes = False,
    as_json: AsJson = False,
) -> None:
    """Take the database back to a revision. What it cannot hold is lost."""
    url, pooler = _existing(context)
    confirm(f"Take the database back to {revision}, and lose what it cannot hold?", yes)
    _tell(migration.downgrade(url, revision, pooler=pooler), as_json)


def current(context: typer.Context, as_json: AsJson = False) -> None:
    """Print the revision that the database is at."""
    url, pooler = _existing(context)
    _tell(migration.current(url, pooler=pooler), as_json)


def check(context: typer.Context, as_json: AsJson = False) -> int:
    """Compare the tables with what the code declares. Exit code 1 if they differ."""
    url, pooler = _existing(context)
    found = migration.differences(url, pooler=pooler)
    revision = migration.current(url, pooler=pooler)
    if as_json:
        print_json({"revision": revision, "differences": found})
    elif found:
        for difference in found:
            say(difference)
    else:
        say(f"the schema is at {revision}, as it should be")
    return FOUND if found else 0


def _existing(context: typer.Context) -> tuple[str, str]:
    """URL and pooler of a database that is there."""
    config = config_of(context)
    path = database_file(config)
    if path is not None and not path.exists():
        raise no_database(path)
    return config.database_url, config.pooler


def _tell(revision: str | None, as_json: bool) -> None:
    if as_json:
        print_json({"revision": revision, "head": migration.head()})
    else:
        say(f"the database is at {revision or 'no revision'}")
