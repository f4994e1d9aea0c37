"""Which schema this code needs, and whether a database has it.

The revision is in a table of our own, `convstore_version`, with ids that nobody else
has. Releases before it wrote theirs into `alembic_version`, which is whosever uses
alembic in that database: a row of it is read only where our own tables say that it is
ours.
"""

from __future__ import annotations

from collections.abc import Iterable

from sqlalchemy import (
    Column,
    Connection,
    MetaData,
    PrimaryKeyConstraint,
    String,
    Table,
    delete,
    func,
    insert,
    inspect,
    literal,
    select,
)
from sqlalchemy.schema import CreateSchema

from convstore.db import models
from convstore.db.dialects import dialect_of
from convstore.db.dialects.base import schema_of
from convstore.vocabulary.errors import (
    ConfigError,
    SchemaMismatchError,
)

# The newest revision in migrations/, kept here so that opening a store needs no
# alembic; a test compares the two.
PREFIX = "convstore_"
REVISION = "convstore_0028"

VERSION_TABLE = "convstore_version"

# What releases before `convstore_version` called their revisions, and the tables that
# the first of them had made, which nobody else has all of.
_PREVIOUS = {"0001": "convstore_0001", "0002": "convstore_0002"}
_FIRST_TABLES = frozenset(
    {
        "archive_entries",
        "archive_segments",
        "cost_totals",
        "erasures",
        "graph_states",
        "interactions",
        "leases",
        "legal_holds",
        "prefix_entries",
        "retention_runs",
        "schema_info",
        "session_ledger",
        "session_metadata",
        "sessions",
        "tool_sets",
        "turns",
    }
)
_SINCE_0002 = "archive_folder"

# Not among our tables: alembic makes it, and would find it too many.
_version = Table(
    VERSION_TABLE,
    MetaData(),
    Column("version_num", String(32)),
    PrimaryKeyConstraint("version_num", name=f"{VERSION_TABLE}_pkc"),
)
_alembics = Table("alembic_version", MetaData(), Column("version_num", String(32)))

_UPGRADE = "run `convstore db upgrade`"
_NEWER = "upgrade convstore: a newer release has changed the database since"


def revision_of(connection: Connection) -> str | None:
    """The database's revision; None when convstore never migrated it.

    Raises:
        SchemaMismatchError: The table of the revision is not as we make it.
    """
    if not _has(connection, VERSION_TABLE):
        previous = _previous(connection)
        return None if previous is None else _PREVIOUS[previous]
    return _recorded(connection)


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
        raise SchemaMismatchError(found, REVISION, _UPGRADE)
    oldest = connection.execute(select(models.schema_info.c.oldest_code)).scalar_one()
    if oldest > REVISION:
        remedy = (
            "upgrade convstore, or let the newer release take the database back with "
            f"`convstore db downgrade {REVISION}`"
        )
        raise SchemaMismatchError(found, REVISION, remedy)


def begin(connection: Connection) -> None:
    """Let one migration of a place begin at a time, until the transaction ends: of two
    that find nothing there, both would make everything."""
    dialect = dialect_of(connection)
    if dialect.has_row_locks:  # else a transaction that writes is alone
        connection.execute(select(dialect.claim(literal(VERSION_TABLE))))


def enter(connection: Connection, *, make: bool = False) -> None:
    """Let names without a schema mean ours until the transaction ends: alembic and the
    text of migrations have such. With `make`, the schema is made where there is none.
    """
    place = schema_of(connection)
    if place is None:
        return
    if make and not inspect(connection).has_schema(place):
        connection.execute(CreateSchema(place))
    path = connection.dialect.identifier_preparer.quote_identifier(place)
    connection.execute(select(func.set_config("search_path", path, True)))


def refuse_in_the_way(connection: Connection, names: Iterable[str]) -> None:
    """Refuse to make tables where there are such, before anything is made.

    Raises:
        SchemaMismatchError: There are; the message names them and says where to go.
    """
    inspector, place = inspect(connection), schema_of(connection)
    taken = {*inspector.get_table_names(place), *inspector.get_view_names(place)}
    called = dialect_of(connection).called
    ours = {*map(called, names)}
    found = sorted(name for name in taken if called(name) in ours)
    if found:
        raise in_the_way(connection, revision_of(connection), found)


def in_the_way(
    connection: Connection, revision: str | None, found: Iterable[str]
) -> SchemaMismatchError:
    """The error that names what another program has, and says where to go. Asks the
    database nothing."""
    elsewhere = "give convstore a database file of its own"
    if schema_of(connection) is not None:
        elsewhere = "give convstore a schema of its own with CONVSTORE_SCHEMA"
    remedy = f"another program's names are in the way ({', '.join(found)}): "
    return SchemaMismatchError(revision, REVISION, remedy + elsewhere)


def hold(connection: Connection) -> None:
    """Refuse to destroy rows of another revision than this code's, and keep the
    revision as it is until the transaction ends.

    A store may go on beside a newer schema that still takes its writes. What it must
    not do there is archive and purge: the rows have columns that it does not know.

    Raises:
        SchemaMismatchError: The database is at another revision by now.
    """
    # Weak enough that purges do not wait for each other: only a migration does.
    found = _recorded(connection, locking=True)
    if found != REVISION:
        newer = found is not None and found > REVISION
        raise SchemaMismatchError(found, REVISION, _NEWER if newer else _UPGRADE)


def adopt(connection: Connection) -> None:
    """Begin a migration: no other one, and no purge, is under way until it ends.

    The row by which an older release kept its revision moves to a table of our own,
    where our tables prove that it is ours. Nothing else in `alembic_version` is read.
    """
    if _has(connection, VERSION_TABLE):
        connection.execute(select(_version).with_for_update())
        return
    previous = _previous(connection)
    if previous is not None:
        _version.create(connection)
        connection.execute(insert(_version), {"version_num": _PREVIOUS[previous]})
        connection.execute(delete(_alembics).where(_alembics.c.version_num == previous))


def hand_back(connection: Connection) -> None:
    """End a downgrade: what an older release is to work on, it must find as it left it.

    Raises:
        ConfigError: Its place is another program's by now.
    """
    found = _recorded(connection)
    previous = next((old for old, new in _PREVIOUS.items() if new == found), None)
    if previous is None:
        return
    if not _has(connection, _alembics.name):
        _alembics.create(connection)
    elif connection.execute(select(_alembics.c.version_num)).first() is not None:
        raise ConfigError(
            "REVISION: the release of that revision keeps it in alembic_version, which "
            "another program uses here"
        )
    connection.execute(insert(_alembics), {"version_num": previous})
    _version.drop(connection)


def _has(connection: Connection, table: str) -> bool:
    return inspect(connection).has_table(table, schema=schema_of(connection))


def _recorded(connection: Connection, *, locking: bool = False) -> str | None:
    statement = select(_version.c.version_num)
    if locking:
        statement = statement.with_for_update(read=True, key_share=True)
    found = connection.execute(statement).scalars().all()
    if len(found) > 1:
        remedy = f"{VERSION_TABLE} has {len(found)} rows: restore a backup"
        raise SchemaMismatchError(None, REVISION, remedy)
    return found[0] if found else None


def _previous(connection: Connection) -> str | None:
    """What an older release calls the revision that it left, if it left one here.

    The row may be another program's that numbers its revisions too. It is ours if all
    tables are there that our migrations had made by then, and none of later.
    """
    inspector, place = inspect(connection), schema_of(connection)
    names = set(inspector.get_table_names(place))
    if not names.issuperset(_FIRST_TABLES) or _alembics.name not in names:
        return None
    ours = {column["name"] for column in inspector.get_columns("schema_info", place)}
    told = {column["name"] for column in inspector.get_columns(_alembics.name, place)}
    if ours != {"id", "oldest_code"} or told != {"version_num"}:
        return None
    previous = "0002" if _SINCE_0002 in names else "0001"
    if connection.execute(select(models.schema_info.c.oldest_code)).first() != (
        "0001",
    ):
        return None
    found = connection.execute(
        select(_alembics.c.version_num).where(_alembics.c.version_num == previous)
    )
    return previous if found.first() is not None else None
