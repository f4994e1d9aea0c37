"""The tables as SQLAlchemy knows them: to join, to reference and to query.

Read-only by convention: rows that are changed past the store are refused by their
checksums, or missed by the cache, the archive and erasures. A foreign key may lead to
`sessions`, whose rows are never deleted; one to another table would fail every purge.
JSON columns are text, times microseconds since 1970. Where the tables are in a schema
of their own, `schema_translate_map={None: "…"}` names it.
"""

from convstore.db.models import (
    archive_entries,
    archive_folder,
    archive_segments,
    archived_actors,
    attachments,
    checkpoint_ends,
    checkpoint_logs,
    checkpoint_values,
    checkpoint_writes,
    checkpoints,
    cost_days,
    cost_totals,
    erasures,
    graph_states,
    interactions,
    items,
    leases,
    legal_holds,
    metadata,
    prefix_entries,
    retention_runs,
    schema_info,
    session_attachments,
    session_items,
    session_labels,
    session_ledger,
    session_metadata,
    session_state,
    session_title_words,
    sessions,
    shard_erasures,
    shard_marks,
    tell_postgres,
    tool_sets,
    turns,
)

tell_postgres()

__all__ = [
    "archive_entries",
    "archive_folder",
    "archive_segments",
    "archived_actors",
    "attachments",
    "checkpoint_ends",
    "checkpoint_logs",
    "checkpoint_values",
    "checkpoint_writes",
    "checkpoints",
    "cost_days",
    "cost_totals",
    "erasures",
    "graph_states",
    "interactions",
    "items",
    "leases",
    "legal_holds",
    "metadata",
    "prefix_entries",
    "retention_runs",
    "schema_info",
    "session_attachments",
    "session_items",
    "session_labels",
    "session_ledger",
    "session_metadata",
    "session_state",
    "session_title_words",
    "sessions",
    "shard_erasures",
    "shard_marks",
    "tool_sets",
    "turns",
]


def __dir__() -> list[str]:
    return sorted(__all__)
