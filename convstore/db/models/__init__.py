"""The tables, as SQLAlchemy Core declarations. `migrations/` makes them; this says
what they mean.

Every table of conversation data has `(tenant_id, session_id)` at the head of its keys:
tenancy is a property of the keys, and one conversation lies on neighbouring pages.
Times are integer microseconds since 1970 (UTC); JSON is kept as text, key order and
all. SQLite tables are WITHOUT ROWID, but for wide ones: the key is the place.
"""

from convstore.db.models.archive import (
    archive_entries,
    archive_folder,
    archive_segments,
    archived_actors,
)
from convstore.db.models.attachment import attachments, session_attachments
from convstore.db.models.checkpoint import (
    OF_CHECKPOINTS,
    checkpoint_ends,
    checkpoint_logs,
    checkpoint_values,
    checkpoint_writes,
    checkpoints,
)
from convstore.db.models.columns import JsonText, metadata
from convstore.db.models.compliance import erasures, legal_holds
from convstore.db.models.gateway import (
    cost_days,
    cost_totals,
    prefix_entries,
    session_ledger,
)
from convstore.db.models.indexes import tell_postgres
from convstore.db.models.item import items, session_items, session_state
from convstore.db.models.operations import leases, retention_runs, schema_info
from convstore.db.models.search import (
    WORDS,
    search_entries,
    search_marks,
    search_sessions,
    search_state,
)
from convstore.db.models.session import (
    BUCKET_MICROS,
    GONE,
    HELD,
    JUDGED,
    LISTED,
    session_counts,
    session_labels,
    session_metadata,
    session_title_words,
    sessions,
)
from convstore.db.models.shard import shard_erasures, shard_marks
from convstore.db.models.turn import graph_states, interactions, tool_sets, turns

__all__ = [
    "BUCKET_MICROS",
    "GONE",
    "HELD",
    "JUDGED",
    "LISTED",
    "OF_CHECKPOINTS",
    "WORDS",
    "JsonText",
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
    "search_entries",
    "search_marks",
    "search_sessions",
    "search_state",
    "session_attachments",
    "session_counts",
    "session_items",
    "session_labels",
    "session_ledger",
    "session_metadata",
    "session_state",
    "session_title_words",
    "sessions",
    "shard_erasures",
    "shard_marks",
    "tell_postgres",
    "tool_sets",
    "turns",
]
