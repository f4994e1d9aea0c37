"""What was said, done and thought in a session; only added to."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, Index, LargeBinary, String, Text, text

from convstore.db.models.columns import (
    DOUBLE,
    json_text,
    key_text,
    of_session,
    session_id,
    table,
    tenant_id,
    time_column,
)
from convstore.db.models.indexes import partial_index

turns = table(
    "turns",
    tenant_id(),
    session_id(),
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
        json_text(),
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
    Column("slots", json_text(), comment="values this turn filled in"),
    Column("results", json_text(), comment="list of objects that the answer rests on"),
    Column("tools_hash", String(64), comment="names a row of tool_sets"),
    Column(
        "metadata", json_text(), nullable=False, comment="object, the application's own"
    ),
    Column(
        "external_id", key_text(), comment="the caller's own id: same id, same effect"
    ),
    time_column("created_at", "when it was said"),
    Column(
        "digest", LargeBinary, nullable=False, comment="SHA-256 of the content columns"
    ),
    Column("payload_format", String(255), comment="whose object the payload is"),
    # The last column: what is read without it does not touch its pages.
    Column("payload", LargeBinary, comment="a framework's own object, byte for byte"),
    of_session(),
    # Unique within the session; in this order it finds an id in all sessions, too.
    partial_index(
        "uq_turns_external_ids",
        "tenant_id",
        "external_id",
        "session_id",
        unique=True,
        where=text("external_id IS NOT NULL"),
    ),
    key=("tenant_id", "session_id", "seq"),
    comment="One message by one author; never changed once committed.",
)

tool_sets = table(
    "tool_sets",
    tenant_id(),
    session_id(),
    Column(
        "tools_hash", String(64), nullable=False, comment="SHA-256 of the JSON text"
    ),
    Column(
        "tools",
        json_text(),
        nullable=False,
        comment="tool definitions, in stored order",
    ),
    of_session(),
    key=("tenant_id", "session_id", "tools_hash"),
    comment="Tool definitions offered to the model, each distinct set once.",
)

interactions = table(
    "interactions",
    tenant_id(),
    session_id(),
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
    Column("node_id", key_text(), comment="target node of the reasoning graph"),
    Column("choice", json_text(), comment="target choice: chosen and rejected turns"),
    Column("actor_id", key_text(), comment="who; null is the session's unnamed actor"),
    Column("actor_kind", String(16), nullable=False, comment="human, model or code"),
    Column("feedback", String(255), comment="label, any word"),
    Column("score", DOUBLE, comment="any finite number"),
    Column("reason", Text, comment="why"),
    Column("content", Text, comment="comment, correction or injected text"),
    Column("shown", json_text(), comment="what else was on screen, and where"),
    Column("surface", String(255), comment="which part of the product"),
    Column(
        "supersedes", BigInteger, comment="an earlier interaction that no longer counts"
    ),
    Column(
        "metadata", json_text(), nullable=False, comment="object, the application's own"
    ),
    Column(
        "external_id", key_text(), comment="the caller's own id: same id, same effect"
    ),
    time_column("created_at", "when it was done"),
    Column(
        "target_hash",
        LargeBinary,
        nullable=False,
        comment="of actor, action and target",
    ),
    Column(
        "digest", LargeBinary, nullable=False, comment="SHA-256 of the content columns"
    ),
    of_session(),
    Index("ix_interactions_target", "tenant_id", "session_id", "target_hash", "seq"),
    Index("ix_interactions_time", "tenant_id", "created_at", "session_id", "seq"),
    partial_index(
        "ix_interactions_actor",
        "tenant_id",
        "actor_id",
        "session_id",
        where=text("actor_id IS NOT NULL"),
    ),
    partial_index(
        "ix_interactions_supersedes",
        "tenant_id",
        "session_id",
        "supersedes",
        where=text("supersedes IS NOT NULL"),
    ),
    partial_index(
        "uq_interactions_external_id",
        "tenant_id",
        "session_id",
        "external_id",
        unique=True,
        where=text("external_id IS NOT NULL"),
    ),
    key=("tenant_id", "session_id", "seq"),
    comment="One act upon a session, turn, node or choice. Append-only.",
)

graph_states = table(
    "graph_states",
    tenant_id(),
    session_id(),
    Column(
        "namespace", key_text(), nullable=False, comment="which graph of the session"
    ),
    Column(
        "version",
        BigInteger,
        nullable=False,
        autoincrement=False,
        comment="from 1, no gaps",
    ),
    Column("state", json_text(), nullable=False, comment="the snapshot"),
    Column("turn_seq", BigInteger, comment="the turn that made it"),
    Column(
        "metadata", json_text(), nullable=False, comment="object, the application's own"
    ),
    Column(
        "external_id", key_text(), comment="the caller's own id: same id, same effect"
    ),
    time_column("created_at", "when it was put"),
    Column(
        "digest", LargeBinary, nullable=False, comment="SHA-256 of the content columns"
    ),
    of_session(),
    partial_index(
        "uq_graph_states_external_id",
        "tenant_id",
        "session_id",
        "external_id",
        unique=True,
        where=text("external_id IS NOT NULL"),
    ),
    key=("tenant_id", "session_id", "namespace", "version"),
    comment="Snapshots of the reasoning graph, every version.",
)
