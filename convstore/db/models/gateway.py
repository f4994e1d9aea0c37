"""What a chat gateway remembers: routing, cost, warm prefixes."""

from __future__ import annotations

from sqlalchemy import BigInteger, Boolean, Column, Index, String

from convstore.db.models.columns import (
    json_text,
    key_text,
    of_session,
    session_id,
    table,
    tenant_id,
    time_column,
)

session_ledger = table(
    "session_ledger",
    tenant_id(),
    session_id(),
    Column("user_id", key_text(), comment="owner, for totals"),
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
        json_text(),
        nullable=False,
        comment="sliding window of request hashes",
    ),
    Column(
        "cost_micros", BigInteger, nullable=False, comment="millionths of a US dollar"
    ),
    Column(
        "cache_provider", String(255), comment="provider whose prefix cache is warm"
    ),
    time_column("cache_sticky_until", "when that cache goes cold", nullable=True),
    time_column("created_at", "first use"),
    time_column("last_used_at", "the sliding timeout counts from here"),
    of_session(),
    Index("ix_session_ledger_user", "tenant_id", "user_id"),
    key=("tenant_id", "session_id"),
    comment="Routing, escalation and cost of one session.",
)

cost_totals = table(
    "cost_totals",
    tenant_id(),
    Column(
        "user_id",
        key_text(),
        nullable=False,
        comment="owner; empty for nobody's sessions",
    ),
    Column("cost_micros", BigInteger, nullable=False, comment="of all sessions ever"),
    key=("tenant_id", "user_id"),
    comment="What each user has cost; outlives the sessions, for budgets.",
)

cost_days = table(
    "cost_days",
    tenant_id(),
    Column("day", String(10), nullable=False, comment="in UTC, as 2026-11-29"),
    Column(
        "user_id",
        key_text(),
        nullable=False,
        comment="owner when it was charged; empty for nobody and for who was erased",
    ),
    Column(
        "model",
        String(255),
        nullable=False,
        comment="of the turn, or pinned; empty where neither says",
    ),
    Column("cost_micros", BigInteger, nullable=False, comment="charged on that day"),
    Index("ix_cost_days_user", "tenant_id", "user_id", "day"),
    key=("tenant_id", "day", "user_id", "model"),
    comment="What was charged on each day, by user and model; outlives the sessions.",
)

prefix_entries = table(
    "prefix_entries",
    tenant_id(),
    Column(
        "prefix_key", String(64), nullable=False, comment="hash of scope and inputs"
    ),
    Column(
        "upstream_session_id",
        key_text(),
        nullable=False,
        comment="who knows the prefix",
    ),
    Column("instance", key_text(), comment="pool member that serves it"),
    time_column("expires_at", "not used from here on"),
    time_column("used_at", "last use, to the second; the least recent goes first"),
    Index("ix_prefix_entries_upstream", "tenant_id", "upstream_session_id"),
    Index("ix_prefix_entries_instance", "tenant_id", "instance"),
    Index("ix_prefix_entries_used", "tenant_id", "used_at", "prefix_key"),
    Index("ix_prefix_entries_expiring", "tenant_id", "expires_at"),
    key=("tenant_id", "prefix_key"),
    comment="Which upstream session knows a conversation; may be emptied at any time.",
)
