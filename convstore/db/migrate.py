"""Runs the migrations, from a checkout and from an installed wheel alike."""

from __future__ import annotations

import ast
import asyncio
import re
import threading
from collections.abc import Awaitable, Callable
from importlib.resources import files
from pathlib import Path
from typing import TypeVar

from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from alembic.util import CommandError
from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError

from convstore.db import citus, models, schema
from convstore.db.dialects import dialect_of, dialect_of_url
from convstore.db.dialects.base import Backend, BackendOptions, Work
from convstore.vocabulary.errors import ConfigError, SchemaMismatchError
from convstore.vocabulary.limits import Limits

T = TypeVar("T")

# What a revision calls to make a table: alembic's own function, or one of its own with
# the columns that all its tables have.
_MAKE_TABLES = {"create_table", "_table"}

_MAKES = re.compile(
    r"\s*CREATE\s+(?:OR\s+REPLACE\s+|UNIQUE\s+|VIRTUAL\s+)*"
    r"(?P<kind>TABLE|INDEX|TRIGGER|FUNCTION)\s+(?:\"?[\w-]+\"?\.)?\"?(?P<name>\w+)"
)

# alembic keeps its context in module globals: one migration at a time in a process.
_one_at_a_time = threading.Lock()


def migrations_path() -> Path:
    """The folder of migrations: inside the wheel, or beside the package."""
    inside = Path(str(files("convstore"))) / "migrations"
    return inside if inside.is_dir() else inside.parent.parent / "migrations"


def configure(connection: Connection | None = None) -> Config:
    """An alembic configuration for our migrations, on an open connection."""
    config = Config()
    config.set_main_option("script_location", str(migrations_path()))
    config.set_main_option("path_separator", "os")
    config.attributes["connection"] = connection
    return config


def upgrade_on(connection: Connection, revision: str = "head") -> None:
    """Upgrade inside the connection's open transaction: all steps or none.

    Raises:
        SchemaMismatchError: A newer release made the database, or what another program
            made has the name of something new of ours; the message says which.
    """
    with _one_at_a_time:
        begin(connection, upgrades=True)
        found = schema.revision_of(connection)
        try:
            command.upgrade(configure(connection), revision)
        except DBAPIError as error:
            made = _MAKES.match(error.statement or "")
            if made is None or not dialect_of(connection).is_taken(error.orig):
                raise
            # An index, or a table whose name is that of another kind of thing there.
            what = f"{made['kind'].lower()} {made['name']}"
            raise schema.in_the_way(connection, found, [what]) from error


def begin(connection: Connection, *, upgrades: bool) -> None:
    """What every migration begins with, whoever started it.

    Raises:
        SchemaMismatchError: A newer release made the database, or tables of another
            program have the names of new ones of ours.
    """
    schema.begin(connection)
    schema.enter(connection, make=upgrades)
    schema.adopt(connection)
    _check_known(connection)
    if upgrades:
        schema.refuse_in_the_way(connection, _made_after(_at(connection)))


def end(connection: Connection) -> None:
    """What every migration ends with.

    Raises:
        ConfigError: It cannot be left like that.
    """
    schema.hand_back(connection)


def upgrade(
    url: str,
    revision: str = "head",
    *,
    pooler: str = "none",
    place: str | None = None,
    on_citus: bool = False,
) -> str:
    """Bring a database to `revision`, making a SQLite file if there is none.

    One transaction: after a crash the database is at the old or the new revision.
    `on_citus` makes its schema a shard of Citus before, in one of its own.

    Returns:
        The revision in force.

    Raises:
        ConfigError: No such revision, or no Citus that can shard by schema.
        SchemaMismatchError: A newer release made the database.
    """

    def work(connection: Connection) -> str:
        if on_citus:
            citus.allow_triggers(connection)
        upgrade_on(connection, _checked(revision))
        return _at(connection)

    if on_citus:
        citus.check_name(dialect_of_url(url).name)
        _write(url, citus.distribute, pooler, place)
    return _write(url, work, pooler, place)


def downgrade(
    url: str, revision: str, *, pooler: str = "none", place: str | None = None
) -> str:
    """Take a database back to `revision` (`base` removes every table)."""

    def work(connection: Connection) -> str:
        target = _checked(revision)
        with _one_at_a_time:
            begin(connection, upgrades=False)
            command.downgrade(configure(connection), target)
            end(connection)
        return _at(connection)

    return _write(url, work, pooler, place)


def current(url: str, *, pooler: str = "none", place: str | None = None) -> str | None:
    """The database's revision, or None."""
    return _read(url, schema.revision_of, pooler, place)


def differences(
    url: str, *, pooler: str = "none", place: str | None = None
) -> list[str]:
    """How the database's tables differ from those that the code declares."""

    def work(connection: Connection) -> list[str]:
        schema.enter(connection)
        schema.check(connection)
        context = MigrationContext.configure(
            connection, opts={"compare_type": True, "include_name": _is_ours}
        )
        models.tell_postgres()
        found = compare_metadata(context, models.metadata)
        return [str(difference) for difference in found]

    return _read(url, work, pooler, place)


def head() -> str:
    """The newest revision of the migrations folder."""
    return ScriptDirectory.from_config(configure()).get_current_head() or ""


def run_on(
    url: str, work: Work[None], *, pooler: str = "none", place: str | None = None
) -> None:
    """Run `work` in one transaction on the database; for alembic's own command line."""
    _write(url, work, pooler, place)


def _is_ours(name: str | None, kind: str, _parents: object) -> bool:
    # A database may hold other applications' tables; they are none of our business.
    return kind != "table" or name in models.metadata.tables


def _at(connection: Connection) -> str:
    return schema.revision_of(connection) or ""


def _made_after(revision: str) -> set[str]:
    """The tables that revisions after this one make, by what they say.

    They are read and not run: nothing may be made where something is in the way.
    """
    made: set[str] = set()
    script = ScriptDirectory.from_config(configure())
    for step in script.walk_revisions():
        if step.revision > revision:
            tree = ast.parse(Path(step.path).read_text(encoding="utf-8"))
            made |= {
                str(call.args[0].value)
                for call in ast.walk(tree)
                if isinstance(call, ast.Call)
                and _MAKE_TABLES & {*_names_of(call.func)}
                and isinstance(call.args[0], ast.Constant)
            }
    return made


def _names_of(function: ast.expr) -> tuple[str, str]:
    return getattr(function, "attr", ""), getattr(function, "id", "")


def _checked(revision: str) -> str:
    """The revision's name; its number will do."""
    known = _known()
    if (named := f"{schema.PREFIX}{revision}") in known:
        return named
    relative = revision[:1] in ("+", "-") and revision[1:].isdigit()
    if revision not in known | {"head", "base"} and not relative:
        raise ConfigError(f"REVISION: there is no revision {revision!r}")
    return revision


def _check_known(connection: Connection) -> None:
    found = schema.revision_of(connection)
    if found is not None and found not in _known():
        remedy = "upgrade convstore: only a release that knows it can move it"
        raise SchemaMismatchError(found, schema.REVISION, remedy)


def _known() -> set[str]:
    script = ScriptDirectory.from_config(configure())
    return {revision.revision for revision in script.walk_revisions()}


def _write(url: str, work: Work[T], pooler: str, place: str | None) -> T:
    async def run(backend: Backend) -> T:
        return await backend.write(work)

    try:
        return asyncio.run(_with_backend(url, run, pooler, place))
    except CommandError:
        # Such as -9 from the second revision.
        raise ConfigError("REVISION: the migrations do not reach that far") from None


def _read(url: str, work: Work[T], pooler: str, place: str | None) -> T:
    async def run(backend: Backend) -> T:
        return await backend.read(work, snapshot=True)

    return asyncio.run(_with_backend(url, run, pooler, place))


async def _with_backend(
    url: str,
    run: Callable[[Backend], Awaitable[T]],
    pooler: str,
    place: str | None,
) -> T:
    options = BackendOptions(url, 1, pooler, Limits(), True, place)
    backend = dialect_of_url(url).open(options)
    try:
        await backend.locate()
        return await run(backend)
    finally:
        await backend.close()
