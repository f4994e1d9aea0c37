"""What must be kept, and what must be gone."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, String, Text

from convstore.db.models.columns import (
    json_text,
    key_text,
    of_session,
    session_id,
    table,
    tenant_id,
    time_column,
)

legal_holds = table(
    "legal_holds",
    tenant_id(),
    session_id(),
    Column("number", BigInteger, nullable=False, autoincrement=False, comment="from 1"),
    Column("reason", Text, nullable=False, comment="case or order"),
    Column("placed_by", key_text(), comment="actor"),
    time_column("placed_at", "in force from"),
    Column("released_by", key_text(), comment="actor"),
    time_column("released_at", "in force until; null while it holds", nullable=True),
    of_session(),
    key=("tenant_id", "session_id", "number"),
    comment="Why a session must not be destroyed; kept after release.",
)

erasures = table(
    "erasures",
    tenant_id(),
    Column("erasure_id", String(64), nullable=False, comment="of the receipt"),
    Column("subject", String(16), nullable=False, comment="user or session"),
    Column(
        "subject_hash",
        String(64),
        nullable=False,
        comment="SHA-256 of the id with this receipt's salt",
    ),
    Column("salt", String(64), nullable=False, comment="random"),
    Column("session_ids", json_text(), nullable=False, comment="ids refused for ever"),
    Column("state", String(16), nullable=False, comment="begun or done"),
    Column(
        "receipt", json_text(), nullable=False, comment="what was destroyed; no content"
    ),
    time_column("requested_at", "when"),
    time_column("done_at", "when nothing was left", nullable=True),
    key=("tenant_id", "erasure_id"),
    comment="Who was erased, without saying who: the proof and the means to repeat it.",
)
