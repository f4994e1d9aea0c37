"""The rows of sessions, what they are found by, and how many there are."""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Computed,
    Identity,
    Index,
    String,
    Text,
    text,
)

from convstore.db.models.columns import (
    json_text,
    key_text,
    of_session,
    session_id,
    table,
    tenant_id,
    time_column,
)
from convstore.db.models.indexes import partial_index

LISTED = text("state IN ('active', 'archived')")
GONE = text("state IN ('deleted', 'erased')")
JUDGED = text(f"{LISTED.text} AND CAST(feedback_counts AS TEXT) <> '{{}}'")
HELD = text(f"{LISTED.text} AND hold_count > 0")
_SPOKEN = text(f"{LISTED.text} AND language IS NOT NULL")
_ACTIVE = text("state = 'active'")
_IN_ARCHIVE = text("segment_id IS NOT NULL")

BUCKET_MICROS = 900_000_000
"""A quarter of an hour: at the pace of people 95 of 100 appends stay in the bucket of
the one before, of buckets of a minute 57."""

sessions = table(
    "sessions",
    tenant_id(),
    session_id(),
    Column(
        "state",
        String(16),
        nullable=False,
        comment="active, archived, deleted or erased",
    ),
    Column("version", BigInteger, nullable=False, comment="raised by every change"),
    Column(
        "user_id", key_text(), comment="owner; a session of another user is not found"
    ),
    Column("title", Text, comment="set by the caller or from the first user turn"),
    Column("language", String(255), comment="of the latest turn that said so"),
    Column("tags", json_text(), nullable=False, comment="list of text"),
    Column(
        "metadata", json_text(), nullable=False, comment="object, the application's own"
    ),
    time_column("created_at", "when the session began"),
    time_column("updated_at", "when the row last changed"),
    time_column("last_activity_at", "only grows; decides order of lists and staleness"),
    time_column("expires_at", "the session's own expiry", nullable=True),
    Column("head_seq", BigInteger, comment="tip of the active branch; null when empty"),
    Column(
        "branched",
        Boolean,
        nullable=False,
        comment="false: every turn follows the one before",
    ),
    Column("turn_count", BigInteger, nullable=False, comment="also the highest seq"),
    Column(
        "interaction_count", BigInteger, nullable=False, comment="also the highest seq"
    ),
    Column(
        "graph_state_count",
        BigInteger,
        nullable=False,
        comment="all namespaces and versions",
    ),
    Column(
        "feedback_counts",
        json_text(),
        nullable=False,
        comment="label to count, effective feedback",
    ),
    Column(
        "current_slots",
        json_text(),
        nullable=False,
        comment="merged along the active branch",
    ),
    Column(
        "current_template_id",
        String(255),
        comment="of the latest user turn that has one",
    ),
    Column("hold_count", BigInteger, nullable=False, comment="legal holds in force"),
    time_column("archived_at", "when the rows were purged", nullable=True),
    Column(
        "segment_id", String(64), comment="the segment that holds the archived session"
    ),
    time_column("imported_at", "when turns last came from a file", nullable=True),
    Column("forked_from", key_text(), comment="the session that a fork went on from"),
    Column("forked_at_seq", BigInteger, comment="after which turn of it"),
    Column("forked_turns", BigInteger, comment="its first turns, which are copies"),
    Column("root_session_id", key_text(), comment="where the line of forks begins"),
    Column(
        "generation",
        BigInteger,
        comment="which life of its id, where that was deleted and begun anew",
    ),
    Column(
        "problem", String(64), comment="why archiving failed last time; an error code"
    ),
    # What the indexes hold of the time of activity. An append changes the time and
    # mostly not the bucket, so PostgreSQL writes the new row beside the old one (HOT)
    # and no index. The database computes it: no statement can forget to.
    Column(
        "activity_bucket",
        BigInteger,
        Computed(f"last_activity_at / {BUCKET_MICROS}"),
        comment="last_activity_at in quarter hours",
    ),
    partial_index(
        "ix_sessions_recent",
        "tenant_id",
        "activity_bucket",
        "session_id",
        where=LISTED,
    ),
    partial_index(
        "ix_sessions_recent_by_user",
        "tenant_id",
        "user_id",
        "activity_bucket",
        "session_id",
        where=text("user_id IS NOT NULL"),
    ),
    partial_index(
        "ix_sessions_by_language",
        "tenant_id",
        "language",
        "activity_bucket",
        "session_id",
        where=_SPOKEN,
    ),
    partial_index(
        "ix_sessions_judged",
        "tenant_id",
        "activity_bucket",
        "session_id",
        where=JUDGED,
    ),
    partial_index(
        "ix_sessions_held",
        "tenant_id",
        "activity_bucket",
        "session_id",
        where=HELD,
    ),
    partial_index(
        "ix_sessions_gone",
        "tenant_id",
        "state",
        "activity_bucket",
        "session_id",
        where=GONE,
    ),
    partial_index(
        "ix_sessions_idle",
        "activity_bucket",
        "tenant_id",
        "session_id",
        where=_ACTIVE,
    ),
    partial_index(
        "ix_sessions_expiring",
        "expires_at",
        where=text("state = 'active' AND expires_at IS NOT NULL"),
    ),
    partial_index(
        "ix_sessions_forks",
        "tenant_id",
        "forked_from",
        "session_id",
        where=text("forked_from IS NOT NULL"),
    ),
    partial_index(
        "ix_sessions_archived",
        "archived_at",
        "tenant_id",
        "session_id",
        where=_IN_ARCHIVE,
    ),
    key=("tenant_id", "session_id"),
    comment="One conversation; after a purge a stub that remembers its state.",
)

session_metadata = table(
    "session_metadata",
    tenant_id(),
    session_id(),
    Column(
        "key",
        key_text(),
        nullable=False,
        comment="a top-level key of sessions.metadata",
    ),
    Column(
        "value", key_text(), nullable=False, comment="its scalar value as JSON text"
    ),
    of_session(),
    Index("ix_session_metadata_value", "tenant_id", "key", "value", "session_id"),
    key=("tenant_id", "session_id", "key"),
    comment="Scalar metadata by key, so that a filter needs no path built from input.",
)

session_labels = table(
    "session_labels",
    tenant_id(),
    session_id(),
    Column(
        "label", key_text(), nullable=False, comment="of effective feedback, any word"
    ),
    Column("count", BigInteger, nullable=False, comment="at least 1, else no row"),
    of_session(),
    Index("ix_session_labels_label", "tenant_id", "label", "session_id"),
    key=("tenant_id", "session_id", "label"),
    comment="As sessions.feedback_counts, to find sessions by.",
)

session_title_words = table(
    "session_title_words",
    tenant_id(),
    session_id(),
    Column("word", key_text(), nullable=False, comment="without case and accents"),
    Index("ix_session_title_words_word", "tenant_id", "word", "session_id"),
    key=("tenant_id", "session_id", "word"),
    comment="The words of sessions.title, to find sessions by.",
)

session_counts = table(
    "session_counts",
    tenant_id(),
    Column("state", String(16), nullable=False, comment="as sessions.state"),
    Column(
        "id",
        BigInteger,
        Identity(),
        nullable=False,
        comment="0 on SQLite, which adds to one row; else a number for each addition",
    ),
    Column("sessions", BigInteger, nullable=False, comment="of tenant and state"),
    Column(
        "in_archive",
        BigInteger,
        nullable=False,
        comment="of them, those that a segment holds",
    ),
    Column(
        "unreadable",
        BigInteger,
        nullable=False,
        comment="of them, those with a problem",
    ),
    Column("turns", BigInteger, nullable=False, comment="of those that are not active"),
    Column(
        "interactions",
        BigInteger,
        nullable=False,
        comment="of those that are not active",
    ),
    key=("tenant_id", "state", "id"),
    comment="Counts of sessions, to be added up; kept by triggers.",
)
