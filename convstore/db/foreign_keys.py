"""Foreign keys of an application to our tables: one to `sessions` is fine, whose rows
stay; any other would fail every purge of the rows that it refers to."""

from __future__ import annotations

from sqlalchemy import Connection, text

from convstore.db import models
from convstore.db.dialects import dialect_of
from convstore.db.dialects.base import Backend, schema_of
from convstore.vocabulary.reports import Finding

_OURS = {table.name for table in models.metadata.tables.values()}
_PURGED = _OURS - {models.sessions.name}
# Where there is a server, an application's tables may be in another schema than ours.
_ON_SERVERS = text(
    "SELECT CAST(k.conrelid::regclass AS text), t.relname FROM pg_constraint k "
    "JOIN pg_class t ON t.oid = k.confrelid JOIN pg_namespace n "
    "ON n.oid = t.relnamespace JOIN pg_class f ON f.oid = k.conrelid "
    "WHERE k.contype = 'f' AND n.nspname = :schema "
    "AND NOT (f.relnamespace = t.relnamespace AND f.relname = ANY(:ours)) "
    "ORDER BY 1, 2"
)
_IN_FILES = text(
    'SELECT m.name, k."table" FROM sqlite_master m, pragma_foreign_key_list(m.name) k '
    "WHERE m.type = 'table' ORDER BY 1, 2"
)


async def examine(backend: Backend) -> Finding:
    """Whether anything of an application refers to rows that a purge removes."""
    found = await backend.read(in_the_way)
    return Finding(
        "foreign keys",
        not found,
        "none in the way" if not found else ", ".join(found),
        "refer to sessions (tenant_id, session_id) in place of it: rows of the other "
        "tables go with every purge, which these keys would fail",
    )


def in_the_way(connection: Connection) -> list[str]:
    """`table to ours`, of each such foreign key, in order."""
    if dialect_of(connection).has_far_server:
        values = {"schema": schema_of(connection), "ours": sorted(_OURS)}
        rows = connection.execute(_ON_SERVERS, values)
    else:
        rows = connection.execute(_IN_FILES)
    keys = [(str(table), str(to)) for table, to in rows]
    return sorted(
        {
            f"{table} to {to}"
            for table, to in keys
            if to in _PURGED and table not in _OURS
        }
    )
