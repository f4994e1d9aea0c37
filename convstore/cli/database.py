"""`convstore db`: the schema of the database."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer

from convstore import migration
from convstore.cli.context import (
    AsJson,
    Quiet,
    Yes,
    config_of,
    confirm,
    database_file,
    no_database,
    with_store,
)
from convstore.cli.exits import FOUND
from convstore.cli.output import count, print_facts, print_json, progress, say
from convstore.vocabulary.errors import ConfigError

if TYPE_CHECKING:
    from convstore.store.facade import Store
    from convstore.vocabulary.settings import StoreConfig


T = TypeVar("T")


def commands() -> dict[str, object]:
    """The commands of the group, by name."""
    return {
        "upgrade": upgrade,
        "downgrade": downgrade,
        "current": current,
        "check": check,
        "maintain": maintain,
        "copy": copy,
    }


def upgrade(
    context: typer.Context,
    revision: Annotated[str, typer.Argument(help="Where to.")] = "head",
    on_citus: Annotated[
        bool, typer.Option("--citus", help="Each schema as a shard of Citus.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Bring the database to a revision, the newest if left out.

    Makes the SQLite file if there is none. All steps in one transaction: after a crash
    it is at the old revision or the new. With shards, one database after the other:
    cut short, the same command goes on.
    """
    _tell(
        _each(
            config_of(context),
            lambda one: migration.upgrade(
                one.database_url, revision, on_citus=on_citus, **_where(one)
            ),
        ),
        as_json,
    )


def downgrade(
    context: typer.Context,
    revision: Annotated[str, typer.Argument(help="Where to; `base` empties it.")],
    yes: Yes = False,
    as_json: AsJson = False,
) -> None:
    """Take the database back to a revision. What it cannot hold is lost."""
    config = _existing(context)
    confirm(f"Take the database back to {revision}, and lose what it cannot hold?", yes)
    _tell(
        _each(
            config,
            lambda one: migration.downgrade(one.database_url, revision, **_where(one)),
        ),
        as_json,
    )


def current(context: typer.Context, as_json: AsJson = False) -> None:
    """Print the revision that the database is at."""
    _tell(
        _each(
            _existing(context),
            lambda one: migration.current(one.database_url, **_where(one)),
        ),
        as_json,
    )


def check(context: typer.Context, as_json: AsJson = False) -> int:
    """Compare the tables with what the code declares. Exit code 1 if they differ."""
    config = _existing(context)
    differing = _each(
        config, lambda one: migration.differences(one.database_url, **_where(one))
    )
    found = [f"{name}: {d}" if name else d for name, some in differing for d in some]
    revision = migration.current(config.database_url, **_where(config))
    if as_json:
        print_json({"revision": revision, "differences": found})
    elif found:
        for difference in found:
            say(difference)
    else:
        say(f"the schema is at {revision}, as it should be")
    return FOUND if found else 0


def maintain(context: typer.Context, as_json: AsJson = False) -> int:
    """Do the upkeep that workers do by and by, to its end.

    On SQLite: free pages go back to the disk, the write-ahead log is emptied, the
    planner's statistics are renewed. Others read and write meanwhile, and cut short it
    goes on the next time. Exit code 1: an open read keeps the log from being emptied.
    """

    async def work(store: Store) -> dict[str, int]:
        freed = 0
        with progress("upkeep") as bar:
            while done := await store.maintain(bar.told):
                freed += done["pages_freed"]
                if not (done["pages_freed"] and done["pages_left"]):
                    return done | {"pages_freed": freed}
        return done

    done = with_store(context, work)
    kept = done.get("wal_frames_left", 0)
    if as_json:
        print_json(done)
    elif not done:
        say("nothing to do: the server's autovacuum does it")
    else:
        say(f"gave {count(done['pages_freed'], 'page')} back to the disk")
        if kept:
            say(f"an open read keeps {count(kept, 'page')} in the write-ahead log")
    return FOUND if kept else 0


def copy(
    context: typer.Context,
    to: Annotated[str, typer.Option(help="URL of the new database.")],
    quiet: Quiet = False,
    as_json: AsJson = False,
) -> None:
    """Copy everything into a new database, from SQLite to PostgreSQL or back.

    All or nothing; every row is read again and compared. The source takes no writes
    meanwhile and stays as it is: stop its processes, and let none of them write to it
    afterwards. The archive folder is not touched: the new database takes it over with
    `convstore archive adopt`.
    """
    config = _existing(context)
    if config.shards:
        raise ConfigError(
            "SHARDS: a copy is of one database: unset it, and name the one with --url"
        )
    with progress("copying", quiet=quiet) as bar:
        rows = migration.copy(
            config.database_url, to, schema=config.db_schema, on_progress=bar.told
        )
    if as_json:
        print_json({"rows": rows, "total": sum(rows.values())})
    else:
        print_facts((name, rows[name]) for name in rows if rows[name])
        say(f"copied {count(sum(rows.values()), 'row')}, all of them read again")


def _existing(context: typer.Context) -> StoreConfig:
    """The settings of a database that is there."""
    config = config_of(context)
    path = database_file(config)
    if path is not None and not path.exists():
        raise no_database(path)
    return config


def _where(config: StoreConfig) -> dict[str, Any]:
    return {"pooler": config.pooler, "schema": config.db_schema}


def _each(config: StoreConfig, work: Callable[[StoreConfig], T]) -> list[tuple[str, T]]:
    """What comes of it for each database of the settings, by its name, which is empty
    where it is the only one.

    Raises:
        ShardUnavailableError: One is away; those before it are done.
    """
    if not config.shards:
        return [("", work(config))]
    from convstore.shards.settings import config_of as settings_of
    from convstore.shards.shard import Named
    from convstore.vocabulary.sharding import HOME, name_of

    of, told = len(config.shards), []
    for number in (HOME, *range(of)):
        with Named(number, of):
            told.append((name_of(number, of), work(settings_of(config, number))))
    return told


def _tell(told: list[tuple[str, str | None]], as_json: bool) -> None:
    if as_json:
        revisions = dict(told)
        one = told[0][1] if len(set(revisions.values())) == 1 else None
        shown: dict[str, object] = {"revision": one, "head": migration.head()}
        print_json(shown | ({"databases": revisions} if len(told) > 1 else {}))
        return
    for name, revision in told:
        say(f"{name or 'the database'} is at {revision or 'no revision'}")
