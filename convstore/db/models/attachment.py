"""Pictures and files that parts of turns name by their hash."""

from __future__ import annotations

from sqlalchemy import Column, Index, LargeBinary, String, text

from convstore.db.models.columns import (
    of_session,
    session_id,
    table,
    tenant_id,
    time_column,
)
from convstore.db.models.indexes import partial_index

attachments = table(
    "attachments",
    tenant_id(),
    Column("hash", String(64), nullable=False, comment="SHA-256 of data"),
    Column("media_type", String(255), nullable=False, comment="as it was first put"),
    time_column(
        "waits_since", "when it was put; null once a session names it", nullable=True
    ),
    # The last column, as of turns.
    Column("data", LargeBinary, nullable=False, comment="byte for byte"),
    partial_index(
        "ix_attachments_waiting",
        "waits_since",
        where=text("waits_since IS NOT NULL"),
    ),
    key=("tenant_id", "hash"),
    comment="Pictures and files that parts name by hash, once in a tenant.",
    wide=True,
)

session_attachments = table(
    "session_attachments",
    tenant_id(),
    session_id(),
    Column("hash", String(64), nullable=False, comment="names a row of attachments"),
    of_session(),
    Index("ix_session_attachments_hash", "tenant_id", "hash", "session_id"),
    key=("tenant_id", "session_id", "hash"),
    comment="Which attachments the turns of a session name, live or archived.",
)
