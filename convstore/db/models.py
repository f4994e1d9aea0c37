"""The tables, as SQLAlchemy Core declarations. `migrations/` makes them; this says
what they mean.

Every table of conversation data has `(tenant_id, session_id)` at the head of its keys:
tenancy is a property of the keys, and one conversation lies on neighbouring pages.
Times are integer microseconds since 1970 (UTC); JSON is kept as text, key order and
all. SQLite tables are WITHOUT ROWID, but for wide ones: the key is the place.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    ColumnElement,
    Computed,
    Float,
    ForeignKeyConstraint,
    Identity,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    PrimaryKeyConstraint,
    String,
    Table,
    Text,
    cast,
    text,
)
from sqlalchemy.dialects.postgresql import TSVECTOR
from sqlalchemy.types import TypeEngine, UserDefinedType


class JsonText(UserDefinedType[str]):
    """JSON as the text it came in: PostgreSQL's JSON type keeps it verbatim."""

    cache_ok = True

    def get_col_spec(self, **_: Any) -> str:
        return "JSON"

    def column_expression(self, column: ColumnElement[str]) -> ColumnElement[str]:
        """Read as text by every statement: a connection that an application made
        decodes JSON, and what it gives for it is not what was stored."""
        return cast(column, Text)


def _key() -> TypeEngine[str]:
    # The C collation makes PostgreSQL order ids as SQLite and Python do: by code point.
    return String(255).with_variant(String(255, collation="C"), "postgresql")


def _name() -> TypeEngine[str]:
    # Longer than an id: namespaces of nested graphs grow with each level. What makes
    # them bounds their bytes, because a key of PostgreSQL holds some 2,700.
    return Text().with_variant(Text(collation="C"), "postgresql")


def _json() -> TypeEngine[str]:
    return Text().with_variant(JsonText(), "postgresql")


# A caller's fraction must come back bit for bit: double precision on both.
_double = Float(53)

metadata = MetaData(
    naming_convention={
        "pk": "pk_%(table_name)s",
        "fk": "fk_%(table_name)s_%(referred_table_name)s",
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    }
)


def _table(
    name: str, *parts: Any, key: tuple[str, ...], comment: str, wide: bool = False
) -> Table:
    # In a table WITHOUT ROWID a row above a quarter of a page has a page of its own.
    return Table(
        name,
        metadata,
        *parts,
        PrimaryKeyConstraint(*key),
        comment=comment,
        sqlite_with_rowid=wide,
    )


def _tenant() -> Column[str]:
    return Column("tenant_id", _key(), nullable=False, comment="the wall")


def _session() -> Column[str]:
    return Column("session_id", _key(), nullable=False, comment="within the tenant")


def _of_session() -> ForeignKeyConstraint:
    return ForeignKeyConstraint(
        ["tenant_id", "session_id"], ["sessions.tenant_id", "sessions.session_id"]
    )


def _time(name: str, comment: str, nullable: bool = False) -> Column[int]:
    return Column(name, BigInteger, nullable=nullable, comment=comment)


WORDS = "search_words"
"""SQLite's index of words: a virtual table that only migrations make, and the
beginning of the names of those behind it."""

LISTED = text("state IN ('active', 'archived')")
GONE = text("state IN ('deleted', 'erased')")
_SPOKEN = text(f"{LISTED.text} AND language IS NOT NULL")
_ACTIVE = text("state = 'active'")
_IN_ARCHIVE = text("segment_id IS NOT NULL")

BUCKET_MICROS = 900_000_000
"""A quarter of an hour: at the pace of people 95 of 100 appends stay in the bucket of
the one before, of buckets of a minute 57."""

sessions = _table(
    "sessions",
    _tenant(),
    _session(),
    Column(
        "state",
        String(16),
        nullable=False,
        comment="active, archived, deleted or erased",
    ),
    Column("version", BigInteger, nullable=False, comment="raised by every change"),
    Column("user_id", _key(), comment="owner; a session of another user is not found"),
    Column("title", Text, comment="set by the caller or from the first user turn"),
    Column("language", String(255), comment="of the latest turn that said so"),
    Column("tags", _json(), nullable=False, comment="list of text"),
    Column(
        "metadata", _json(), nullable=False, comment="object, the application's own"
    ),
    _time("created_at", "when the session began"),
    _time("updated_at", "when the row last changed"),
    _time("last_activity_at", "only grows; decides order of lists and staleness"),
    _time("expires_at", "the session's own expiry", nullable=True),
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
        _json(),
        nullable=False,
        comment="label to count, effective feedback",
    ),
    Column(
        "current_slots",
        _json(),
        nullable=False,
        comment="merged along the active branch",
    ),
    Column(
        "current_template_id",
        String(255),
        comment="of the latest user turn that has one",
    ),
    Column("hold_count", BigInteger, nullable=False, comment="legal holds in force"),
    _time("archived_at", "when the rows were purged", nullable=True),
    Column(
        "segment_id", String(64), comment="the segment that holds the archived session"
    ),
    _time("imported_at", "when turns last came from a file", nullable=True),
    Column("forked_from", _key(), comment="the session that a fork went on from"),
    Column("forked_at_seq", BigInteger, comment="after which turn of it"),
    Column("forked_turns", BigInteger, comment="its first turns, which are copies"),
    Column("root_session_id", _key(), comment="where the line of forks begins"),
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
    Index(
        "ix_sessions_recent",
        "tenant_id",
        "activity_bucket",
        "session_id",
        sqlite_where=LISTED,
        postgresql_where=LISTED,
    ),
    Index(
        "ix_sessions_recent_by_user",
        "tenant_id",
        "user_id",
        "activity_bucket",
        "session_id",
        sqlite_where=text("user_id IS NOT NULL"),
        postgresql_where=text("user_id IS NOT NULL"),
    ),
    Index(
        "ix_sessions_by_language",
        "tenant_id",
        "language",
        "activity_bucket",
        "session_id",
        sqlite_where=_SPOKEN,
        postgresql_where=_SPOKEN,
    ),
    Index(
        "ix_sessions_gone",
        "tenant_id",
        "state",
        "activity_bucket",
        "session_id",
        sqlite_where=GONE,
        postgresql_where=GONE,
    ),
    Index(
        "ix_sessions_idle",
        "activity_bucket",
        "tenant_id",
        "session_id",
        sqlite_where=_ACTIVE,
        postgresql_where=_ACTIVE,
    ),
    Index(
        "ix_sessions_expiring",
        "expires_at",
        sqlite_where=text("state = 'active' AND expires_at IS NOT NULL"),
        postgresql_where=text("state = 'active' AND expires_at IS NOT NULL"),
    ),
    Index(
        "ix_sessions_forks",
        "tenant_id",
        "forked_from",
        "session_id",
        sqlite_where=text("forked_from IS NOT NULL"),
        postgresql_where=text("forked_from IS NOT NULL"),
    ),
    Index(
        "ix_sessions_archived",
        "archived_at",
        "tenant_id",
        "session_id",
        sqlite_where=_IN_ARCHIVE,
        postgresql_where=_IN_ARCHIVE,
    ),
    key=("tenant_id", "session_id"),
    comment="One conversation; after a purge a stub that remembers its state.",
)

session_metadata = _table(
    "session_metadata",
    _tenant(),
    _session(),
    Column(
        "key", _key(), nullable=False, comment="a top-level key of sessions.metadata"
    ),
    Column("value", _key(), nullable=False, comment="its scalar value as JSON text"),
    _of_session(),
    Index("ix_session_metadata_value", "tenant_id", "key", "value", "session_id"),
    key=("tenant_id", "session_id", "key"),
    comment="Scalar metadata by key, so that a filter needs no path built from input.",
)

turns = _table(
    "turns",
    _tenant(),
    _session(),
    Column(
        "seq",
        BigInteger,
        nullable=False,
        autoincrement=False,
        comment="from 1, no gaps",
    ),
    Column(
        "parent_seq", BigInteger, comment="the turn it follows; null for a first turn"
    ),
    Column(
        "role", String(255), nullable=False, comment="user, assistant, system, tool, …"
    ),
    Column("content", Text, comment="as written; null when there are only parts"),
    Column(
        "parts",
        _json(),
        comment="payload list, verbatim: tool calls, images, framework items",
    ),
    Column("name", String(255), comment="author or tool"),
    Column("tool_call_id", String(255), comment="the call that a tool turn answers"),
    Column("model", String(255), comment="that generated it"),
    Column("finish_reason", String(255), comment="stop, length, …"),
    Column("tokens_in", BigInteger, comment="usage"),
    Column("tokens_out", BigInteger, comment="usage"),
    Column("cost_micros", BigInteger, comment="millionths of a US dollar"),
    Column("language", String(255), comment="as given with the turn"),
    Column("resolved_question", Text, comment="content rewritten to stand alone"),
    Column("template_id", String(255), comment="as given with the turn"),
    Column("slots", _json(), comment="values this turn filled in"),
    Column("results", _json(), comment="list of objects that the answer rests on"),
    Column("tools_hash", String(64), comment="names a row of tool_sets"),
    Column(
        "metadata", _json(), nullable=False, comment="object, the application's own"
    ),
    Column("external_id", _key(), comment="the caller's own id: same id, same effect"),
    _time("created_at", "when it was said"),
    Column(
        "digest", LargeBinary, nullable=False, comment="SHA-256 of the content columns"
    ),
    Column("payload_format", String(255), comment="whose object the payload is"),
    # The last column: what is read without it does not touch its pages.
    Column("payload", LargeBinary, comment="a framework's own object, byte for byte"),
    _of_session(),
    Index(
        "uq_turns_external_id",
        "tenant_id",
        "session_id",
        "external_id",
        unique=True,
        sqlite_where=text("external_id IS NOT NULL"),
        postgresql_where=text("external_id IS NOT NULL"),
    ),
    Index(
        "ix_turns_external_id",
        "tenant_id",
        "external_id",
        "session_id",
        sqlite_where=text("external_id IS NOT NULL"),
        postgresql_where=text("external_id IS NOT NULL"),
    ),
    key=("tenant_id", "session_id", "seq"),
    comment="One message by one author; never changed once committed.",
)

tool_sets = _table(
    "tool_sets",
    _tenant(),
    _session(),
    Column(
        "tools_hash", String(64), nullable=False, comment="SHA-256 of the JSON text"
    ),
    Column(
        "tools", _json(), nullable=False, comment="tool definitions, in stored order"
    ),
    _of_session(),
    key=("tenant_id", "session_id", "tools_hash"),
    comment="Tool definitions offered to the model, each distinct set once.",
)

interactions = _table(
    "interactions",
    _tenant(),
    _session(),
    Column(
        "seq",
        BigInteger,
        nullable=False,
        autoincrement=False,
        comment="from 1, no gaps",
    ),
    Column(
        "action",
        String(255),
        nullable=False,
        comment="feedback, prune, choose, retract, …",
    ),
    Column("turn_seq", BigInteger, comment="target turn"),
    Column("node_id", _key(), comment="target node of the reasoning graph"),
    Column("choice", _json(), comment="target choice: chosen and rejected turns"),
    Column("actor_id", _key(), comment="who; null is the session's unnamed actor"),
    Column("actor_kind", String(16), nullable=False, comment="human, model or code"),
    Column("feedback", String(255), comment="label, any word"),
    Column("score", _double, comment="any finite number"),
    Column("reason", Text, comment="why"),
    Column("content", Text, comment="comment, correction or injected text"),
    Column("shown", _json(), comment="what else was on screen, and where"),
    Column("surface", String(255), comment="which part of the product"),
    Column(
        "supersedes", BigInteger, comment="an earlier interaction that no longer counts"
    ),
    Column(
        "metadata", _json(), nullable=False, comment="object, the application's own"
    ),
    Column("external_id", _key(), comment="the caller's own id: same id, same effect"),
    _time("created_at", "when it was done"),
    Column(
        "target_hash",
        LargeBinary,
        nullable=False,
        comment="of actor, action and target",
    ),
    Column(
        "digest", LargeBinary, nullable=False, comment="SHA-256 of the content columns"
    ),
    _of_session(),
    Index("ix_interactions_target", "tenant_id", "session_id", "target_hash", "seq"),
    Index("ix_interactions_time", "tenant_id", "created_at", "session_id", "seq"),
    Index(
        "ix_interactions_supersedes",
        "tenant_id",
        "session_id",
        "supersedes",
        sqlite_where=text("supersedes IS NOT NULL"),
        postgresql_where=text("supersedes IS NOT NULL"),
    ),
    Index(
        "uq_interactions_external_id",
        "tenant_id",
        "session_id",
        "external_id",
        unique=True,
        sqlite_where=text("external_id IS NOT NULL"),
        postgresql_where=text("external_id IS NOT NULL"),
    ),
    key=("tenant_id", "session_id", "seq"),
    comment="One act upon a session, turn, node or choice. Append-only.",
)

session_labels = _table(
    "session_labels",
    _tenant(),
    _session(),
    Column("label", _key(), nullable=False, comment="of effective feedback, any word"),
    Column("count", BigInteger, nullable=False, comment="at least 1, else no row"),
    _of_session(),
    Index("ix_session_labels_label", "tenant_id", "label", "session_id"),
    key=("tenant_id", "session_id", "label"),
    comment="As sessions.feedback_counts, to find sessions by.",
)

session_counts = _table(
    "session_counts",
    _tenant(),
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

graph_states = _table(
    "graph_states",
    _tenant(),
    _session(),
    Column("namespace", _key(), nullable=False, comment="which graph of the session"),
    Column(
        "version",
        BigInteger,
        nullable=False,
        autoincrement=False,
        comment="from 1, no gaps",
    ),
    Column("state", _json(), nullable=False, comment="the snapshot"),
    Column("turn_seq", BigInteger, comment="the turn that made it"),
    Column(
        "metadata", _json(), nullable=False, comment="object, the application's own"
    ),
    Column("external_id", _key(), comment="the caller's own id: same id, same effect"),
    _time("created_at", "when it was put"),
    Column(
        "digest", LargeBinary, nullable=False, comment="SHA-256 of the content columns"
    ),
    _of_session(),
    Index(
        "uq_graph_states_external_id",
        "tenant_id",
        "session_id",
        "external_id",
        unique=True,
        sqlite_where=text("external_id IS NOT NULL"),
        postgresql_where=text("external_id IS NOT NULL"),
    ),
    key=("tenant_id", "session_id", "namespace", "version"),
    comment="Snapshots of the reasoning graph, every version.",
)

checkpoints = _table(
    "checkpoints",
    _tenant(),
    _session(),
    Column(
        "namespace", _name(), nullable=False, comment="which graph; empty: the root"
    ),
    Column("checkpoint_id", _key(), nullable=False, comment="later ones are greater"),
    Column("parent_id", _key(), comment="the step before"),
    Column("run_id", _key(), comment="the run that made it"),
    Column("metadata", _json(), nullable=False, comment="object, the framework's own"),
    Column("channels", _json(), nullable=False, comment="where their values are"),
    Column("type", _key(), nullable=False, comment="of body, as its framework says"),
    Column("body", LargeBinary, nullable=False, comment="all but the values, opaque"),
    _time("created_at", "when it was put"),
    Column(
        "digest", LargeBinary, nullable=False, comment="SHA-256 of the content columns"
    ),
    _of_session(),
    Index(
        "ix_checkpoints_recent",
        "tenant_id",
        "checkpoint_id",
        "session_id",
        "namespace",
    ),
    Index(
        "ix_checkpoints_run",
        "tenant_id",
        "run_id",
        sqlite_where=text("run_id IS NOT NULL"),
        postgresql_where=text("run_id IS NOT NULL"),
    ),
    key=("tenant_id", "session_id", "namespace", "checkpoint_id"),
    comment="The state of a graph's run at a step, as a framework stores it.",
    wide=True,
)

checkpoint_values = _table(
    "checkpoint_values",
    _tenant(),
    _session(),
    Column("hash", String(64), nullable=False, comment="of type and data"),
    Column("type", _key(), nullable=False, comment="as its framework says"),
    Column("data", LargeBinary, nullable=False, comment="opaque"),
    Column(
        "digest", LargeBinary, nullable=False, comment="SHA-256 of the content columns"
    ),
    _of_session(),
    key=("tenant_id", "session_id", "hash"),
    comment="Values of checkpoints, each distinct one once.",
    wide=True,
)

checkpoint_logs = _table(
    "checkpoint_logs",
    _tenant(),
    _session(),
    Column("log", BigInteger, nullable=False, autoincrement=False, comment="from 1"),
    Column("idx", BigInteger, nullable=False, autoincrement=False, comment="from 0"),
    Column("type", _key(), nullable=False, comment="as its framework says"),
    Column("data", LargeBinary, nullable=False, comment="opaque"),
    Column("chain", String(64), nullable=False, comment="hash of it and all before"),
    Column(
        "digest", LargeBinary, nullable=False, comment="SHA-256 of the content columns"
    ),
    _of_session(),
    key=("tenant_id", "session_id", "log", "idx"),
    comment="Elements of lists in checkpoints; what versions share is there once.",
    wide=True,
)

checkpoint_writes = _table(
    "checkpoint_writes",
    _tenant(),
    _session(),
    Column(
        "namespace", _name(), nullable=False, comment="which graph; empty: the root"
    ),
    Column("checkpoint_id", _key(), nullable=False, comment="the step that it is of"),
    Column("task_id", _key(), nullable=False, comment="who wrote it"),
    Column(
        "idx",
        BigInteger,
        nullable=False,
        autoincrement=False,
        comment="place among the task's; below 0 what it says of itself",
    ),
    Column("channel", _key(), nullable=False, comment="where it is to go"),
    Column("type", _key(), nullable=False, comment="as its framework says"),
    Column("data", LargeBinary, nullable=False, comment="opaque"),
    Column("task_path", Text, nullable=False, comment="where the task stands"),
    Column(
        "digest", LargeBinary, nullable=False, comment="SHA-256 of the content columns"
    ),
    _of_session(),
    key=(
        "tenant_id",
        "session_id",
        "namespace",
        "checkpoint_id",
        "task_id",
        "idx",
    ),
    comment="What tasks have written and no step has taken up yet.",
    wide=True,
)

checkpoint_ends = _table(
    "checkpoint_ends",
    _tenant(),
    _session(),
    Column("through", _key(), nullable=False, comment="ids up to this one are over"),
    Column(
        "digest", LargeBinary, nullable=False, comment="SHA-256 of the content columns"
    ),
    _of_session(),
    key=("tenant_id", "session_id"),
    comment="Where the checkpoints of a session were ended: no late write brings "
    "them back.",
)

OF_CHECKPOINTS = (
    checkpoints,
    checkpoint_values,
    checkpoint_logs,
    checkpoint_writes,
    checkpoint_ends,
)
"""In the order of `codec.checkpoints.CHECKPOINT_ROWS`."""

session_ledger = _table(
    "session_ledger",
    _tenant(),
    _session(),
    Column("user_id", _key(), comment="owner, for totals"),
    Column("model", String(255), comment="pinned model"),
    Column("tier", String(255), comment="pinned tier"),
    Column(
        "user_explicit",
        Boolean,
        nullable=False,
        comment="the user chose: leave it alone",
    ),
    Column("request_count", BigInteger, nullable=False, comment="requests seen"),
    Column(
        "strikes", BigInteger, nullable=False, comment="identical requests in a row"
    ),
    Column(
        "recent_hashes",
        _json(),
        nullable=False,
        comment="sliding window of request hashes",
    ),
    Column(
        "cost_micros", BigInteger, nullable=False, comment="millionths of a US dollar"
    ),
    Column(
        "cache_provider", String(255), comment="provider whose prefix cache is warm"
    ),
    _time("cache_sticky_until", "when that cache goes cold", nullable=True),
    _time("created_at", "first use"),
    _time("last_used_at", "the sliding timeout counts from here"),
    _of_session(),
    Index("ix_session_ledger_user", "tenant_id", "user_id"),
    key=("tenant_id", "session_id"),
    comment="Routing, escalation and cost of one session.",
)

session_state = _table(
    "session_state",
    _tenant(),
    _session(),
    Column("name", _key(), nullable=False, comment="whose state, as its adapter says"),
    Column("state", _json(), nullable=False, comment="object, changed by patches"),
    Column("digest", LargeBinary, nullable=False, comment="SHA-256 of name and state"),
    _of_session(),
    key=("tenant_id", "session_id", "name"),
    comment="What adapters keep of a session, beside its row: an append is small.",
)

session_items = _table(
    "session_items",
    _tenant(),
    _session(),
    Column("namespace", _key(), nullable=False, comment="which kind of document"),
    Column("key", _key(), nullable=False, comment="within the namespace"),
    Column("value", _json(), nullable=False, comment="any JSON value"),
    Column("version", BigInteger, nullable=False, comment="raised by every change"),
    _time("created_at", "when it was made"),
    _time("updated_at", "when its value last changed"),
    _time("expires_at", "nobody finds it from here on", nullable=True),
    Column("ttl_s", _double, comment="seconds that each use lets it live"),
    Column(
        "digest", LargeBinary, nullable=False, comment="SHA-256 of the content columns"
    ),
    _of_session(),
    Index(
        "ix_session_items_expiring",
        "expires_at",
        sqlite_where=text("expires_at IS NOT NULL"),
        postgresql_where=text("expires_at IS NOT NULL"),
    ),
    key=("tenant_id", "session_id", "namespace", "key"),
    comment="Small documents that belong to a session and change in place.",
)

items = _table(
    "items",
    _tenant(),
    Column("namespace", _key(), nullable=False, comment="whose state, in the tenant"),
    Column("key", _key(), nullable=False, comment="within the namespace"),
    Column("value", _json(), nullable=False, comment="any JSON value"),
    Column("version", BigInteger, nullable=False, comment="raised by every change"),
    Column("user_id", _key(), comment="owner: erasing the user destroys it"),
    _time("created_at", "when it was made"),
    _time("updated_at", "when its value last changed"),
    _time("expires_at", "nobody finds it from here on", nullable=True),
    Column("ttl_s", _double, comment="seconds that each use lets it live"),
    Index(
        "ix_items_user",
        "tenant_id",
        "user_id",
        "namespace",
        "key",
        sqlite_where=text("user_id IS NOT NULL"),
        postgresql_where=text("user_id IS NOT NULL"),
    ),
    Index(
        "ix_items_expiring",
        "expires_at",
        sqlite_where=text("expires_at IS NOT NULL"),
        postgresql_where=text("expires_at IS NOT NULL"),
    ),
    key=("tenant_id", "namespace", "key"),
    comment="Small documents outside sessions: state of an application or a user.",
)

cost_totals = _table(
    "cost_totals",
    _tenant(),
    Column(
        "user_id", _key(), nullable=False, comment="owner; empty for nobody's sessions"
    ),
    Column("cost_micros", BigInteger, nullable=False, comment="of all sessions ever"),
    key=("tenant_id", "user_id"),
    comment="What each user has cost; outlives the sessions, for budgets.",
)

legal_holds = _table(
    "legal_holds",
    _tenant(),
    _session(),
    Column("number", BigInteger, nullable=False, autoincrement=False, comment="from 1"),
    Column("reason", Text, nullable=False, comment="case or order"),
    Column("placed_by", _key(), comment="actor"),
    _time("placed_at", "in force from"),
    Column("released_by", _key(), comment="actor"),
    _time("released_at", "in force until; null while it holds", nullable=True),
    _of_session(),
    key=("tenant_id", "session_id", "number"),
    comment="Why a session must not be destroyed; kept after release.",
)

archive_entries = _table(
    "archive_entries",
    _tenant(),
    _session(),
    Column("segment_id", String(64), nullable=False, comment="where"),
    Column(
        "ordinal", BigInteger, nullable=False, comment="place in the segment, from 0"
    ),
    Column("offset", BigInteger, nullable=False, comment="first byte of the frame"),
    Column("length", BigInteger, nullable=False, comment="bytes of the frame"),
    Column("raw_length", BigInteger, nullable=False, comment="bytes of the document"),
    Column("sha256", String(64), nullable=False, comment="of the document"),
    Column("session_version", BigInteger, nullable=False, comment="that was archived"),
    Column("turn_count", BigInteger, nullable=False, comment="turns in the document"),
    Column(
        "state",
        String(16),
        nullable=False,
        comment="sealed, committed, restored, stale or erased",
    ),
    _time("created_at", "when it was sealed"),
    _of_session(),
    Index("ix_archive_entries_segment", "segment_id"),
    key=("tenant_id", "session_id", "segment_id"),
    comment="One session at one version inside one segment.",
)

archive_segments = _table(
    "archive_segments",
    Column("segment_id", String(64), nullable=False, comment="random"),
    Column(
        "state",
        String(16),
        nullable=False,
        comment="writing, sealed, quarantined, deleting or deleted",
    ),
    Column("key", String(255), nullable=False, comment="file, relative to the archive"),
    Column("size_bytes", BigInteger, nullable=False, comment="compressed"),
    Column("raw_bytes", BigInteger, nullable=False, comment="uncompressed"),
    Column("sha256", String(64), nullable=False, comment="of the file"),
    Column("entry_count", BigInteger, nullable=False, comment="sessions in it"),
    Column("written_by", String(64), comment="who writes it"),
    Column("problem", String(255), comment="what verification found"),
    _time("created_at", "when it was begun"),
    _time("sealed_at", "when it became final", nullable=True),
    _time("verified_at", "when every frame was last read back", nullable=True),
    Index("ix_archive_segments_state", "state", "verified_at"),
    key=("segment_id",),
    comment="One immutable archive file of many sessions.",
)

erasures = _table(
    "erasures",
    _tenant(),
    Column("erasure_id", String(64), nullable=False, comment="of the receipt"),
    Column("subject", String(16), nullable=False, comment="user or session"),
    Column(
        "subject_hash",
        String(64),
        nullable=False,
        comment="SHA-256 of the id with this receipt's salt",
    ),
    Column("salt", String(64), nullable=False, comment="random"),
    Column("session_ids", _json(), nullable=False, comment="ids refused for ever"),
    Column("state", String(16), nullable=False, comment="begun or done"),
    Column(
        "receipt", _json(), nullable=False, comment="what was destroyed; no content"
    ),
    _time("requested_at", "when"),
    _time("done_at", "when nothing was left", nullable=True),
    key=("tenant_id", "erasure_id"),
    comment="Who was erased, without saying who: the proof and the means to repeat it.",
)

retention_runs = _table(
    "retention_runs",
    Column("run_id", String(64), nullable=False, comment="time-ordered"),
    _time("started_at", "when"),
    _time("finished_at", "null while it runs, or when it died", nullable=True),
    Column(
        "archived", BigInteger, nullable=False, comment="sessions written to segments"
    ),
    Column("purged", BigInteger, nullable=False, comment="sessions whose rows went"),
    Column("failed", BigInteger, nullable=False, comment="sessions set aside"),
    Column("problem", String(255), comment="error code that stopped it"),
    key=("run_id",),
    comment="What retention did, for stats.",
)

leases = _table(
    "leases",
    Column("name", String(64), nullable=False, comment="of the job"),
    Column("holder", String(64), nullable=False, comment="worker"),
    Column("epoch", BigInteger, nullable=False, comment="grows with every holder"),
    _time("expires_at", "the right ends here"),
    key=("name",),
    comment="A worker's time-limited right to run a job.",
)

prefix_entries = _table(
    "prefix_entries",
    _tenant(),
    Column(
        "prefix_key", String(64), nullable=False, comment="hash of scope and inputs"
    ),
    Column(
        "upstream_session_id", _key(), nullable=False, comment="who knows the prefix"
    ),
    Column("instance", _key(), comment="pool member that serves it"),
    _time("expires_at", "not used from here on"),
    _time("used_at", "last use, to the second; the least recent goes first"),
    Index("ix_prefix_entries_upstream", "tenant_id", "upstream_session_id"),
    Index("ix_prefix_entries_instance", "tenant_id", "instance"),
    Index("ix_prefix_entries_used", "tenant_id", "used_at", "prefix_key"),
    Index("ix_prefix_entries_expiring", "tenant_id", "expires_at"),
    key=("tenant_id", "prefix_key"),
    comment="Which upstream session knows a conversation; may be emptied at any time.",
)

search_entries = _table(
    "search_entries",
    Column(
        "id",
        BigInteger,
        nullable=False,
        autoincrement=False,
        comment="microseconds of when it was said, times 1,024, and a number for ties",
    ),
    _tenant(),
    _session(),
    Column("kind", String(8), nullable=False, comment="title, turn or comment"),
    Column("seq", BigInteger, nullable=False, comment="of the turn or interaction"),
    Column(
        "words",
        Text().with_variant(TSVECTOR(), "postgresql"),
        comment="with their places and whom they are for; SQLite has search_words",
    ),
    Index("ix_search_entries_session", "tenant_id", "session_id"),
    Index(
        "ix_search_entries_words",
        "words",
        postgresql_using="gin",
        sqlite_where=text("0"),
    ),
    key=("id", "tenant_id"),
    comment="What can be found, in the order in which it was said.",
)

search_sessions = _table(
    "search_sessions",
    _tenant(),
    _session(),
    Column("user_id", _key(), comment="owner for whom the words are"),
    Column(
        "turn_count", BigInteger, nullable=False, comment="turns that were looked at"
    ),
    Column(
        "interaction_count",
        BigInteger,
        nullable=False,
        comment="interactions that were looked at",
    ),
    Column("title_words", Text, comment="the words of a title that is in the index"),
    key=("tenant_id", "session_id"),
    comment="How much of a session is in the index of words.",
)

search_marks = _table(
    "search_marks",
    _tenant(),
    _session(),
    Column(
        "number",
        BigInteger,
        nullable=False,
        autoincrement=False,
        comment="of the commit: the version it came to, or its first turn, negative",
    ),
    key=("tenant_id", "session_id", "number"),
    comment="Sessions with something that is not in the index of words yet.",
)

search_state = _table(
    "search_state",
    Column(
        "tenant_id", _key(), nullable=False, comment="empty: the state of the whole"
    ),
    Column("rules", BigInteger, nullable=False, comment="of words; 0: make it anew"),
    Column(
        "epoch",
        BigInteger,
        nullable=False,
        comment="grows when something may be written without a mark; of a tenant, the "
        "one for which its sessions were looked through",
    ),
    Column("after", _key(), comment="the session up to which they were"),
    key=("tenant_id",),
    comment="Whether the index of words can be relied on.",
)

archive_folder = _table(
    "archive_folder",
    Column("id", Integer, nullable=False, autoincrement=False, comment="always 1"),
    Column("folder_id", String(64), nullable=False, comment="as in the folder's mark"),
    Column(
        "generation",
        BigInteger,
        nullable=False,
        server_default="0",
        comment="the newest that is known to be in the folder; 0 before the first",
    ),
    Column("token", String(64), comment="of that generation"),
    Column("next_token", String(64), comment="of the one that is being published"),
    Column("instance", _json(), comment="what tells this database from a copy of it"),
    key=("id",),
    comment="Which archive folder is this database's, once it has one.",
)

schema_info = _table(
    "schema_info",
    Column("id", Integer, nullable=False, autoincrement=False, comment="always 1"),
    Column(
        "oldest_code",
        String(32),
        nullable=False,
        comment="oldest revision whose code may open this",
    ),
    key=("id",),
    comment="Beside convstore_version: which older code still works here.",
)
