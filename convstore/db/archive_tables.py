"""Which archived sessions lie in which segment, for tables made of the archive."""

from __future__ import annotations

from collections import defaultdict

from sqlalchemy import Connection, and_, select

from convstore.db import models
from convstore.db.archive_entries import ENTRY_COLUMNS, StoredEntry
from convstore.db.dialects import dialect_of
from convstore.db.session_ids import among, naming

E = models.archive_entries.c
G = models.archive_segments.c
S = models.sessions.c

PAGE = 50


def segment_keys(connection: Connection, after: str) -> list[tuple[str, str]]:
    """Ids and keys of segments that hold something, by id, beyond `after`: `PAGE`."""
    rows = connection.execute(
        select(G.segment_id, G.key)
        .where(G.segment_id > after, G.state.in_(("sealed", "quarantined")))
        .order_by(G.segment_id)
        .limit(PAGE)
    )
    return [(segment_id, key) for segment_id, key in rows]


def archived_in(
    connection: Connection, segment_ids: list[str], tenant: str | None
) -> dict[str, list[StoredEntry]]:
    """The sessions that are archived, and whose only copy is in these segments, in the
    order of the file. Each archived session is in one segment."""
    statement = (
        select(*ENTRY_COLUMNS)
        .join(
            models.sessions,
            and_(
                S.tenant_id == E.tenant_id,
                S.session_id == E.session_id,
                S.segment_id == E.segment_id,
            ),
        )
        .where(among(dialect_of(connection), E.segment_id), S.state == "archived")
        .order_by(E.segment_id, E.ordinal)
    )
    if tenant is not None:
        statement = statement.where(E.tenant_id == tenant)
    found: defaultdict[str, list[StoredEntry]] = defaultdict(list)
    for row in connection.execute(statement, naming(segment_ids)):
        entry = StoredEntry(*row)
        found[entry.segment_id].append(entry)
    return found
