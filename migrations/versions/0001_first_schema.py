"""The first schema.

Takes well under a second; a new database has no rows. Its downgrade removes every
table and what is in them: archive first.
"""

import sqlalchemy as sa
from alembic import op

revision = "convstore_0001"
down_revision = None
branch_labels = None
depends_on = None

# The C collation makes PostgreSQL order ids by code point, as SQLite does.
KEY = sa.String(255).with_variant(sa.String(255, collation="C"), "postgresql")
# Kept verbatim, key order and all: not JSONB.
JSON = sa.Text().with_variant(sa.JSON(), "postgresql")


def upgrade() -> None:
    op.create_table(
        "archive_segments",
        sa.Column("segment_id", sa.String(length=64), nullable=False, comment="random"),
        sa.Column(
            "state",
            sa.String(length=16),
            nullable=False,
            comment="writing, sealed, quarantined, deleting or deleted",
        ),
        sa.Column(
            "key",
            sa.String(length=255),
            nullable=False,
            comment="file, relative to the archive",
        ),
        sa.Column("size_bytes", sa.BigInteger(), nullable=False, comment="compressed"),
        sa.Column("raw_bytes", sa.BigInteger(), nullable=False, comment="uncompressed"),
        sa.Column(
            "sha256", sa.String(length=64), nullable=False, comment="of the file"
        ),
        sa.Column(
            "entry_count", sa.BigInteger(), nullable=False, comment="sessions in it"
        ),
        sa.Column(
            "holder", sa.String(length=64), nullable=True, comment="who writes it"
        ),
        sa.Column(
            "problem",
            sa.String(length=255),
            nullable=True,
            comment="what verification found",
        ),
        sa.Column(
            "created_at", sa.BigInteger(), nullable=False, comment="when it was begun"
        ),
        sa.Column(
            "sealed_at", sa.BigInteger(), nullable=True, comment="when it became final"
        ),
        sa.Column(
            "verified_at",
            sa.BigInteger(),
            nullable=True,
            comment="when every frame was last read back",
        ),
        sa.PrimaryKeyConstraint("segment_id", name=op.f("pk_archive_segments")),
        comment="One immutable archive file of many sessions.",
        sqlite_with_rowid=False,
    )
    op.create_index(
        "ix_archive_segments_state",
        "archive_segments",
        ["state", "verified_at"],
        unique=False,
    )
    op.create_table(
        "cost_totals",
        sa.Column("tenant_id", KEY, nullable=False, comment="the wall"),
        sa.Column(
            "user_id", KEY, nullable=False, comment="owner; empty for nobody's sessions"
        ),
        sa.Column(
            "cost_micros",
            sa.BigInteger(),
            nullable=False,
            comment="of all sessions ever",
        ),
        sa.PrimaryKeyConstraint("tenant_id", "user_id", name=op.f("pk_cost_totals")),
        comment="What each user has cost; outlives the sessions, for budgets.",
        sqlite_with_rowid=False,
    )
    op.create_table(
        "erasures",
        sa.Column("tenant_id", KEY, nullable=False, comment="the wall"),
        sa.Column(
            "erasure_id", sa.String(length=64), nullable=False, comment="of the receipt"
        ),
        sa.Column(
            "subject", sa.String(length=16), nullable=False, comment="user or session"
        ),
        sa.Column(
            "subject_hash",
            sa.String(length=64),
            nullable=False,
            comment="SHA-256 of the id with this receipt's salt",
        ),
        sa.Column("salt", sa.String(length=64), nullable=False, comment="random"),
        sa.Column("session_ids", JSON, nullable=False, comment="ids refused for ever"),
        sa.Column(
            "state", sa.String(length=16), nullable=False, comment="begun or done"
        ),
        sa.Column(
            "receipt", JSON, nullable=False, comment="what was destroyed; no content"
        ),
        sa.Column("requested_at", sa.BigInteger(), nullable=False, comment="when"),
        sa.Column(
            "done_at", sa.BigInteger(), nullable=True, comment="when nothing was left"
        ),
        sa.PrimaryKeyConstraint("tenant_id", "erasure_id", name=op.f("pk_erasures")),
        comment="Who was erased, without saying who: the proof and the means to repeat it.",
        sqlite_with_rowid=False,
    )
    op.create_table(
        "leases",
        sa.Column("name", sa.String(length=64), nullable=False, comment="of the job"),
        sa.Column("holder", sa.String(length=64), nullable=False, comment="worker"),
        sa.Column(
            "epoch", sa.BigInteger(), nullable=False, comment="grows with every holder"
        ),
        sa.Column(
            "expires_at", sa.BigInteger(), nullable=False, comment="the right ends here"
        ),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_leases")),
        comment="A worker's time-limited right to run a job.",
        sqlite_with_rowid=False,
    )
    op.create_table(
        "prefix_entries",
        sa.Column("tenant_id", KEY, nullable=False, comment="the wall"),
        sa.Column(
            "prefix_key",
            sa.String(length=64),
            nullable=False,
            comment="hash of scope and inputs",
        ),
        sa.Column(
            "upstream_session_id", KEY, nullable=False, comment="who knows the prefix"
        ),
        sa.Column("instance", KEY, nullable=True, comment="pool member that serves it"),
        sa.Column(
            "expires_at",
            sa.BigInteger(),
            nullable=False,
            comment="not used from here on",
        ),
        sa.Column(
            "used_at",
            sa.BigInteger(),
            nullable=False,
            comment="last use, to the second; the least recent goes first",
        ),
        sa.PrimaryKeyConstraint(
            "tenant_id", "prefix_key", name=op.f("pk_prefix_entries")
        ),
        comment="Which upstream session knows a conversation; may be emptied at any time.",
        sqlite_with_rowid=False,
    )
    op.create_index(
        "ix_prefix_entries_expiring",
        "prefix_entries",
        ["tenant_id", "expires_at"],
        unique=False,
    )
    op.create_index(
        "ix_prefix_entries_instance",
        "prefix_entries",
        ["tenant_id", "instance"],
        unique=False,
    )
    op.create_index(
        "ix_prefix_entries_upstream",
        "prefix_entries",
        ["tenant_id", "upstream_session_id"],
        unique=False,
    )
    op.create_index(
        "ix_prefix_entries_used",
        "prefix_entries",
        ["tenant_id", "used_at", "prefix_key"],
        unique=False,
    )
    op.create_table(
        "retention_runs",
        sa.Column(
            "run_id", sa.String(length=64), nullable=False, comment="time-ordered"
        ),
        sa.Column("started_at", sa.BigInteger(), nullable=False, comment="when"),
        sa.Column(
            "finished_at",
            sa.BigInteger(),
            nullable=True,
            comment="null while it runs, or when it died",
        ),
        sa.Column(
            "archived",
            sa.BigInteger(),
            nullable=False,
            comment="sessions written to segments",
        ),
        sa.Column(
            "purged",
            sa.BigInteger(),
            nullable=False,
            comment="sessions whose rows went",
        ),
        sa.Column(
            "failed", sa.BigInteger(), nullable=False, comment="sessions set aside"
        ),
        sa.Column(
            "problem",
            sa.String(length=255),
            nullable=True,
            comment="error code that stopped it",
        ),
        sa.PrimaryKeyConstraint("run_id", name=op.f("pk_retention_runs")),
        comment="What retention did, for stats.",
        sqlite_with_rowid=False,
    )
    op.create_table(
        "schema_info",
        sa.Column(
            "id", sa.Integer(), autoincrement=False, nullable=False, comment="always 1"
        ),
        sa.Column(
            "oldest_code",
            sa.String(length=32),
            nullable=False,
            comment="oldest revision whose code may open this",
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_schema_info")),
        comment="Beside alembic's own table: which older code still works here.",
        sqlite_with_rowid=False,
    )
    op.create_table(
        "sessions",
        sa.Column("tenant_id", KEY, nullable=False, comment="the wall"),
        sa.Column("session_id", KEY, nullable=False, comment="within the tenant"),
        sa.Column(
            "state",
            sa.String(length=16),
            nullable=False,
            comment="active, archived, deleted or erased",
        ),
        sa.Column(
            "version", sa.BigInteger(), nullable=False, comment="raised by every change"
        ),
        sa.Column(
            "user_id",
            KEY,
            nullable=True,
            comment="owner; a session of another user is not found",
        ),
        sa.Column(
            "title",
            sa.Text(),
            nullable=True,
            comment="set by the caller or from the first user turn",
        ),
        sa.Column(
            "language",
            sa.String(length=255),
            nullable=True,
            comment="of the latest turn that said so",
        ),
        sa.Column("tags", JSON, nullable=False, comment="list of text"),
        sa.Column(
            "metadata", JSON, nullable=False, comment="object, the application's own"
        ),
        sa.Column(
            "created_at",
            sa.BigInteger(),
            nullable=False,
            comment="when the session began",
        ),
        sa.Column(
            "updated_at",
            sa.BigInteger(),
            nullable=False,
            comment="when the row last changed",
        ),
        sa.Column(
            "last_activity_at",
            sa.BigInteger(),
            nullable=False,
            comment="only grows; decides order of lists and staleness",
        ),
        sa.Column(
            "expires_at",
            sa.BigInteger(),
            nullable=True,
            comment="the session's own expiry",
        ),
        sa.Column(
            "head_seq",
            sa.BigInteger(),
            nullable=True,
            comment="tip of the active branch; null when empty",
        ),
        sa.Column(
            "branched",
            sa.Boolean(),
            nullable=False,
            comment="false: every turn follows the one before",
        ),
        sa.Column(
            "turn_count",
            sa.BigInteger(),
            nullable=False,
            comment="also the highest seq",
        ),
        sa.Column(
            "interaction_count",
            sa.BigInteger(),
            nullable=False,
            comment="also the highest seq",
        ),
        sa.Column(
            "graph_state_count",
            sa.BigInteger(),
            nullable=False,
            comment="all namespaces and versions",
        ),
        sa.Column(
            "feedback_counts",
            JSON,
            nullable=False,
            comment="label to count, effective feedback",
        ),
        sa.Column(
            "current_slots",
            JSON,
            nullable=False,
            comment="merged along the active branch",
        ),
        sa.Column(
            "current_template_id",
            sa.String(length=255),
            nullable=True,
            comment="of the latest user turn that has one",
        ),
        sa.Column(
            "hold_count",
            sa.BigInteger(),
            nullable=False,
            comment="legal holds in force",
        ),
        sa.Column(
            "archived_at",
            sa.BigInteger(),
            nullable=True,
            comment="when the rows were purged",
        ),
        sa.Column(
            "segment_id",
            sa.String(length=64),
            nullable=True,
            comment="the segment that holds the archived session",
        ),
        sa.Column(
            "problem",
            sa.String(length=64),
            nullable=True,
            comment="why archiving failed last time; an error code",
        ),
        sa.PrimaryKeyConstraint("tenant_id", "session_id", name=op.f("pk_sessions")),
        comment="One conversation; after a purge a stub that remembers its state.",
        sqlite_with_rowid=False,
    )
    op.create_index(
        "ix_sessions_active",
        "sessions",
        ["last_activity_at", "tenant_id", "session_id"],
        unique=False,
        sqlite_where=sa.text("state = 'active'"),
        postgresql_where=sa.text("state = 'active'"),
    )
    op.create_index(
        "ix_sessions_by_user",
        "sessions",
        ["tenant_id", "user_id", "last_activity_at", "session_id"],
        unique=False,
        sqlite_where=sa.text("user_id IS NOT NULL"),
        postgresql_where=sa.text("user_id IS NOT NULL"),
    )
    op.create_index(
        "ix_sessions_expiring",
        "sessions",
        ["expires_at"],
        unique=False,
        sqlite_where=sa.text("state = 'active' AND expires_at IS NOT NULL"),
        postgresql_where=sa.text("state = 'active' AND expires_at IS NOT NULL"),
    )
    op.create_index(
        "ix_sessions_listed",
        "sessions",
        ["tenant_id", "last_activity_at", "session_id"],
        unique=False,
        sqlite_where=sa.text("state IN ('active', 'archived')"),
        postgresql_where=sa.text("state IN ('active', 'archived')"),
    )
    op.create_table(
        "archive_entries",
        sa.Column("tenant_id", KEY, nullable=False, comment="the wall"),
        sa.Column("session_id", KEY, nullable=False, comment="within the tenant"),
        sa.Column("segment_id", sa.String(length=64), nullable=False, comment="where"),
        sa.Column(
            "ordinal",
            sa.BigInteger(),
            nullable=False,
            comment="place in the segment, from 0",
        ),
        sa.Column(
            "offset", sa.BigInteger(), nullable=False, comment="first byte of the frame"
        ),
        sa.Column(
            "length", sa.BigInteger(), nullable=False, comment="bytes of the frame"
        ),
        sa.Column(
            "raw_length",
            sa.BigInteger(),
            nullable=False,
            comment="bytes of the document",
        ),
        sa.Column(
            "sha256", sa.String(length=64), nullable=False, comment="of the document"
        ),
        sa.Column(
            "session_version",
            sa.BigInteger(),
            nullable=False,
            comment="that was archived",
        ),
        sa.Column(
            "turn_count",
            sa.BigInteger(),
            nullable=False,
            comment="turns in the document",
        ),
        sa.Column(
            "state",
            sa.String(length=16),
            nullable=False,
            comment="sealed, committed, restored, stale or erased",
        ),
        sa.Column(
            "created_at", sa.BigInteger(), nullable=False, comment="when it was sealed"
        ),
        sa.ForeignKeyConstraint(
            ["tenant_id", "session_id"],
            ["sessions.tenant_id", "sessions.session_id"],
            name=op.f("fk_archive_entries_sessions"),
        ),
        sa.PrimaryKeyConstraint(
            "tenant_id", "session_id", "segment_id", name=op.f("pk_archive_entries")
        ),
        comment="One session at one version inside one segment.",
        sqlite_with_rowid=False,
    )
    op.create_index(
        "ix_archive_entries_segment", "archive_entries", ["segment_id"], unique=False
    )
    op.create_table(
        "graph_states",
        sa.Column("tenant_id", KEY, nullable=False, comment="the wall"),
        sa.Column("session_id", KEY, nullable=False, comment="within the tenant"),
        sa.Column(
            "namespace", KEY, nullable=False, comment="which graph of the session"
        ),
        sa.Column(
            "version",
            sa.BigInteger(),
            autoincrement=False,
            nullable=False,
            comment="from 1, no gaps",
        ),
        sa.Column("state", JSON, nullable=False, comment="the snapshot"),
        sa.Column(
            "turn_seq", sa.BigInteger(), nullable=True, comment="the turn that made it"
        ),
        sa.Column(
            "metadata", JSON, nullable=False, comment="object, the application's own"
        ),
        sa.Column(
            "external_id",
            KEY,
            nullable=True,
            comment="the caller's own id: same id, same effect",
        ),
        sa.Column(
            "created_at", sa.BigInteger(), nullable=False, comment="when it was put"
        ),
        sa.Column(
            "digest",
            sa.LargeBinary(),
            nullable=False,
            comment="SHA-256 of the content columns",
        ),
        sa.ForeignKeyConstraint(
            ["tenant_id", "session_id"],
            ["sessions.tenant_id", "sessions.session_id"],
            name=op.f("fk_graph_states_sessions"),
        ),
        sa.PrimaryKeyConstraint(
            "tenant_id",
            "session_id",
            "namespace",
            "version",
            name=op.f("pk_graph_states"),
        ),
        comment="Snapshots of the reasoning graph, every version.",
        sqlite_with_rowid=False,
    )
    op.create_index(
        "uq_graph_states_external_id",
        "graph_states",
        ["tenant_id", "session_id", "external_id"],
        unique=True,
        sqlite_where=sa.text("external_id IS NOT NULL"),
        postgresql_where=sa.text("external_id IS NOT NULL"),
    )
    op.create_table(
        "interactions",
        sa.Column("tenant_id", KEY, nullable=False, comment="the wall"),
        sa.Column("session_id", KEY, nullable=False, comment="within the tenant"),
        sa.Column(
            "seq",
            sa.BigInteger(),
            autoincrement=False,
            nullable=False,
            comment="from 1, no gaps",
        ),
        sa.Column(
            "action",
            sa.String(length=255),
            nullable=False,
            comment="feedback, prune, choose, retract, …",
        ),
        sa.Column("turn_seq", sa.BigInteger(), nullable=True, comment="target turn"),
        sa.Column(
            "node_id", KEY, nullable=True, comment="target node of the reasoning graph"
        ),
        sa.Column(
            "choice",
            JSON,
            nullable=True,
            comment="target choice: chosen and rejected turns",
        ),
        sa.Column(
            "actor_id",
            KEY,
            nullable=True,
            comment="who; null is the session's unnamed actor",
        ),
        sa.Column(
            "actor_kind",
            sa.String(length=16),
            nullable=False,
            comment="human, model or code",
        ),
        sa.Column(
            "feedback", sa.String(length=255), nullable=True, comment="label, any word"
        ),
        sa.Column(
            "score", sa.Float(precision=53), nullable=True, comment="any finite number"
        ),
        sa.Column("reason", sa.Text(), nullable=True, comment="why"),
        sa.Column(
            "content",
            sa.Text(),
            nullable=True,
            comment="comment, correction or injected text",
        ),
        sa.Column(
            "shown", JSON, nullable=True, comment="what else was on screen, and where"
        ),
        sa.Column(
            "surface",
            sa.String(length=255),
            nullable=True,
            comment="which part of the product",
        ),
        sa.Column(
            "supersedes",
            sa.BigInteger(),
            nullable=True,
            comment="an earlier interaction that no longer counts",
        ),
        sa.Column(
            "metadata", JSON, nullable=False, comment="object, the application's own"
        ),
        sa.Column(
            "external_id",
            KEY,
            nullable=True,
            comment="the caller's own id: same id, same effect",
        ),
        sa.Column(
            "created_at", sa.BigInteger(), nullable=False, comment="when it was done"
        ),
        sa.Column(
            "target_hash",
            sa.LargeBinary(),
            nullable=False,
            comment="of actor, action and target",
        ),
        sa.Column(
            "digest",
            sa.LargeBinary(),
            nullable=False,
            comment="SHA-256 of the content columns",
        ),
        sa.ForeignKeyConstraint(
            ["tenant_id", "session_id"],
            ["sessions.tenant_id", "sessions.session_id"],
            name=op.f("fk_interactions_sessions"),
        ),
        sa.PrimaryKeyConstraint(
            "tenant_id", "session_id", "seq", name=op.f("pk_interactions")
        ),
        comment="One act upon a session, turn, node or choice. Append-only.",
        sqlite_with_rowid=False,
    )
    op.create_index(
        "ix_interactions_supersedes",
        "interactions",
        ["tenant_id", "session_id", "supersedes"],
        unique=False,
        sqlite_where=sa.text("supersedes IS NOT NULL"),
        postgresql_where=sa.text("supersedes IS NOT NULL"),
    )
    op.create_index(
        "ix_interactions_target",
        "interactions",
        ["tenant_id", "session_id", "target_hash", "seq"],
        unique=False,
    )
    op.create_index(
        "uq_interactions_external_id",
        "interactions",
        ["tenant_id", "session_id", "external_id"],
        unique=True,
        sqlite_where=sa.text("external_id IS NOT NULL"),
        postgresql_where=sa.text("external_id IS NOT NULL"),
    )
    op.create_table(
        "legal_holds",
        sa.Column("tenant_id", KEY, nullable=False, comment="the wall"),
        sa.Column("session_id", KEY, nullable=False, comment="within the tenant"),
        sa.Column(
            "number",
            sa.BigInteger(),
            autoincrement=False,
            nullable=False,
            comment="from 1",
        ),
        sa.Column("reason", sa.Text(), nullable=False, comment="case or order"),
        sa.Column("placed_by", KEY, nullable=True, comment="actor"),
        sa.Column(
            "placed_at", sa.BigInteger(), nullable=False, comment="in force from"
        ),
        sa.Column("released_by", KEY, nullable=True, comment="actor"),
        sa.Column(
            "released_at",
            sa.BigInteger(),
            nullable=True,
            comment="in force until; null while it holds",
        ),
        sa.ForeignKeyConstraint(
            ["tenant_id", "session_id"],
            ["sessions.tenant_id", "sessions.session_id"],
            name=op.f("fk_legal_holds_sessions"),
        ),
        sa.PrimaryKeyConstraint(
            "tenant_id", "session_id", "number", name=op.f("pk_legal_holds")
        ),
        comment="Why a session must not be destroyed; kept after release.",
        sqlite_with_rowid=False,
    )
    op.create_table(
        "session_ledger",
        sa.Column("tenant_id", KEY, nullable=False, comment="the wall"),
        sa.Column("session_id", KEY, nullable=False, comment="within the tenant"),
        sa.Column("user_id", KEY, nullable=True, comment="owner, for totals"),
        sa.Column(
            "model", sa.String(length=255), nullable=True, comment="pinned model"
        ),
        sa.Column("tier", sa.String(length=255), nullable=True, comment="pinned tier"),
        sa.Column(
            "user_explicit",
            sa.Boolean(),
            nullable=False,
            comment="the user chose: leave it alone",
        ),
        sa.Column(
            "request_count", sa.BigInteger(), nullable=False, comment="requests seen"
        ),
        sa.Column(
            "strikes",
            sa.BigInteger(),
            nullable=False,
            comment="identical requests in a row",
        ),
        sa.Column(
            "recent_hashes",
            JSON,
            nullable=False,
            comment="sliding window of request hashes",
        ),
        sa.Column(
            "cost_micros",
            sa.BigInteger(),
            nullable=False,
            comment="millionths of a US dollar",
        ),
        sa.Column(
            "cache_provider",
            sa.String(length=255),
            nullable=True,
            comment="provider whose prefix cache is warm",
        ),
        sa.Column(
            "cache_sticky_until",
            sa.BigInteger(),
            nullable=True,
            comment="when that cache goes cold",
        ),
        sa.Column("created_at", sa.BigInteger(), nullable=False, comment="first use"),
        sa.Column(
            "last_used_at",
            sa.BigInteger(),
            nullable=False,
            comment="the sliding timeout counts from here",
        ),
        sa.ForeignKeyConstraint(
            ["tenant_id", "session_id"],
            ["sessions.tenant_id", "sessions.session_id"],
            name=op.f("fk_session_ledger_sessions"),
        ),
        sa.PrimaryKeyConstraint(
            "tenant_id", "session_id", name=op.f("pk_session_ledger")
        ),
        comment="Routing, escalation and cost of one session.",
        sqlite_with_rowid=False,
    )
    op.create_index(
        "ix_session_ledger_user",
        "session_ledger",
        ["tenant_id", "user_id"],
        unique=False,
    )
    op.create_table(
        "session_metadata",
        sa.Column("tenant_id", KEY, nullable=False, comment="the wall"),
        sa.Column("session_id", KEY, nullable=False, comment="within the tenant"),
        sa.Column(
            "key", KEY, nullable=False, comment="a top-level key of sessions.metadata"
        ),
        sa.Column(
            "value", KEY, nullable=False, comment="its scalar value as JSON text"
        ),
        sa.ForeignKeyConstraint(
            ["tenant_id", "session_id"],
            ["sessions.tenant_id", "sessions.session_id"],
            name=op.f("fk_session_metadata_sessions"),
        ),
        sa.PrimaryKeyConstraint(
            "tenant_id", "session_id", "key", name=op.f("pk_session_metadata")
        ),
        comment="Scalar metadata by key, so that a filter needs no path built from input.",
        sqlite_with_rowid=False,
    )
    op.create_index(
        "ix_session_metadata_value",
        "session_metadata",
        ["tenant_id", "key", "value", "session_id"],
        unique=False,
    )
    op.create_table(
        "tool_sets",
        sa.Column("tenant_id", KEY, nullable=False, comment="the wall"),
        sa.Column("session_id", KEY, nullable=False, comment="within the tenant"),
        sa.Column(
            "tools_hash",
            sa.String(length=64),
            nullable=False,
            comment="SHA-256 of the JSON text",
        ),
        sa.Column(
            "tools", JSON, nullable=False, comment="tool definitions, in stored order"
        ),
        sa.ForeignKeyConstraint(
            ["tenant_id", "session_id"],
            ["sessions.tenant_id", "sessions.session_id"],
            name=op.f("fk_tool_sets_sessions"),
        ),
        sa.PrimaryKeyConstraint(
            "tenant_id", "session_id", "tools_hash", name=op.f("pk_tool_sets")
        ),
        comment="Tool definitions offered to the model, each distinct set once.",
        sqlite_with_rowid=False,
    )
    op.create_table(
        "turns",
        sa.Column("tenant_id", KEY, nullable=False, comment="the wall"),
        sa.Column("session_id", KEY, nullable=False, comment="within the tenant"),
        sa.Column(
            "seq",
            sa.BigInteger(),
            autoincrement=False,
            nullable=False,
            comment="from 1, no gaps",
        ),
        sa.Column(
            "parent_seq",
            sa.BigInteger(),
            nullable=True,
            comment="the turn it follows; null for a first turn",
        ),
        sa.Column(
            "role",
            sa.String(length=255),
            nullable=False,
            comment="user, assistant, system, tool, …",
        ),
        sa.Column(
            "content",
            sa.Text(),
            nullable=True,
            comment="as written; null when there are only parts",
        ),
        sa.Column(
            "parts",
            JSON,
            nullable=True,
            comment="payload list, verbatim: tool calls, images, framework items",
        ),
        sa.Column(
            "name", sa.String(length=255), nullable=True, comment="author or tool"
        ),
        sa.Column(
            "tool_call_id",
            sa.String(length=255),
            nullable=True,
            comment="the call that a tool turn answers",
        ),
        sa.Column(
            "model", sa.String(length=255), nullable=True, comment="that generated it"
        ),
        sa.Column(
            "finish_reason",
            sa.String(length=255),
            nullable=True,
            comment="stop, length, …",
        ),
        sa.Column("tokens_in", sa.BigInteger(), nullable=True, comment="usage"),
        sa.Column("tokens_out", sa.BigInteger(), nullable=True, comment="usage"),
        sa.Column(
            "cost_micros",
            sa.BigInteger(),
            nullable=True,
            comment="millionths of a US dollar",
        ),
        sa.Column(
            "language",
            sa.String(length=255),
            nullable=True,
            comment="as given with the turn",
        ),
        sa.Column(
            "resolved_question",
            sa.Text(),
            nullable=True,
            comment="content rewritten to stand alone",
        ),
        sa.Column(
            "template_id",
            sa.String(length=255),
            nullable=True,
            comment="as given with the turn",
        ),
        sa.Column("slots", JSON, nullable=True, comment="values this turn filled in"),
        sa.Column(
            "results",
            JSON,
            nullable=True,
            comment="list of objects that the answer rests on",
        ),
        sa.Column(
            "tools_hash",
            sa.String(length=64),
            nullable=True,
            comment="names a row of tool_sets",
        ),
        sa.Column(
            "metadata", JSON, nullable=False, comment="object, the application's own"
        ),
        sa.Column(
            "external_id",
            KEY,
            nullable=True,
            comment="the caller's own id: same id, same effect",
        ),
        sa.Column(
            "created_at", sa.BigInteger(), nullable=False, comment="when it was said"
        ),
        sa.Column(
            "digest",
            sa.LargeBinary(),
            nullable=False,
            comment="SHA-256 of the content columns",
        ),
        sa.ForeignKeyConstraint(
            ["tenant_id", "session_id"],
            ["sessions.tenant_id", "sessions.session_id"],
            name=op.f("fk_turns_sessions"),
        ),
        sa.PrimaryKeyConstraint(
            "tenant_id", "session_id", "seq", name=op.f("pk_turns")
        ),
        comment="One message by one author; never changed once committed.",
        sqlite_with_rowid=False,
    )
    op.create_index(
        "uq_turns_external_id",
        "turns",
        ["tenant_id", "session_id", "external_id"],
        unique=True,
        sqlite_where=sa.text("external_id IS NOT NULL"),
        postgresql_where=sa.text("external_id IS NOT NULL"),
    )
    op.execute("INSERT INTO schema_info (id, oldest_code) VALUES (1, '0001')")


def downgrade() -> None:
    op.drop_table("turns")
    op.drop_table("tool_sets")
    op.drop_table("session_metadata")
    op.drop_table("session_ledger")
    op.drop_table("legal_holds")
    op.drop_table("interactions")
    op.drop_table("graph_states")
    op.drop_table("archive_entries")
    op.drop_table("sessions")
    op.drop_table("schema_info")
    op.drop_table("retention_runs")
    op.drop_table("prefix_entries")
    op.drop_table("leases")
    op.drop_table("erasures")
    op.drop_table("cost_totals")
    op.drop_table("archive_segments")
