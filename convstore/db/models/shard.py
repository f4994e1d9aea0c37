"""Which database of several this is, and what is under way over all of them."""

from __future__ import annotations

from sqlalchemy import Column, Integer, String

from convstore.db.models.columns import (
    json_text,
    key_text,
    table,
    tenant_id,
    time_column,
)

shard_marks = table(
    "shard_marks",
    Column("id", Integer, nullable=False, autoincrement=False, comment="always 1"),
    Column("store_id", String(64), nullable=False, comment="of the store of them all"),
    Column("shard", Integer, nullable=False, comment="from 0; -1 is the home database"),
    Column("shards", Integer, nullable=False, comment="how many, for ever"),
    Column("is_complete", Integer, nullable=False, comment="1 when all have marks"),
    key=("id",),
    comment="Which database of a store over several this is; no row: of none.",
)

shard_erasures = table(
    "shard_erasures",
    tenant_id(),
    Column("erasure_id", String(64), nullable=False, comment="of the receipt"),
    Column("shard", Integer, nullable=False, comment="where it is to be carried out"),
    Column(
        "user_id", key_text(), nullable=True, comment="whose data; null when it is done"
    ),
    Column(
        "receipt", json_text(), nullable=True, comment="what was destroyed; no content"
    ),
    time_column("done_at", "when nothing was left there", nullable=True),
    key=("tenant_id", "erasure_id", "shard"),
    comment="In the home database: how far an erasure of a user is on each shard.",
)
