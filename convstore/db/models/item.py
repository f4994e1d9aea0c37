"""Small documents that change in place, in sessions and beside them."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, LargeBinary, text

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

session_state = table(
    "session_state",
    tenant_id(),
    session_id(),
    Column(
        "name", key_text(), nullable=False, comment="whose state, as its adapter says"
    ),
    Column("state", json_text(), nullable=False, comment="object, changed by patches"),
    Column("digest", LargeBinary, nullable=False, comment="SHA-256 of name and state"),
    of_session(),
    key=("tenant_id", "session_id", "name"),
    comment="What adapters keep of a session, beside its row: an append is small.",
)

session_items = table(
    "session_items",
    tenant_id(),
    session_id(),
    Column("namespace", key_text(), nullable=False, comment="which kind of document"),
    Column("key", key_text(), nullable=False, comment="within the namespace"),
    Column("value", json_text(), nullable=False, comment="any JSON value"),
    Column("version", BigInteger, nullable=False, comment="raised by every change"),
    time_column("created_at", "when it was made"),
    time_column("updated_at", "when its value last changed"),
    time_column("expires_at", "nobody finds it from here on", nullable=True),
    Column("ttl_s", DOUBLE, comment="seconds that each use lets it live"),
    Column(
        "digest", LargeBinary, nullable=False, comment="SHA-256 of the content columns"
    ),
    of_session(),
    partial_index(
        "ix_session_items_expiring",
        "expires_at",
        where=text("expires_at IS NOT NULL"),
    ),
    key=("tenant_id", "session_id", "namespace", "key"),
    comment="Small documents that belong to a session and change in place.",
)

items = table(
    "items",
    tenant_id(),
    Column(
        "namespace", key_text(), nullable=False, comment="whose state, in the tenant"
    ),
    Column("key", key_text(), nullable=False, comment="within the namespace"),
    Column("value", json_text(), nullable=False, comment="any JSON value"),
    Column("version", BigInteger, nullable=False, comment="raised by every change"),
    Column("user_id", key_text(), comment="owner: erasing the user destroys it"),
    time_column("created_at", "when it was made"),
    time_column("updated_at", "when its value last changed"),
    time_column("expires_at", "nobody finds it from here on", nullable=True),
    Column("ttl_s", DOUBLE, comment="seconds that each use lets it live"),
    partial_index(
        "ix_items_user",
        "tenant_id",
        "user_id",
        "namespace",
        "key",
        where=text("user_id IS NOT NULL"),
    ),
    partial_index(
        "ix_items_expiring",
        "expires_at",
        where=text("expires_at IS NOT NULL"),
    ),
    key=("tenant_id", "namespace", "key"),
    comment="Small documents outside sessions: state of an application or a user.",
)
