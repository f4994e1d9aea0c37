"""The states of graphs' runs, as frameworks store them."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, Index, LargeBinary, String, Text, text

from convstore.db.models.columns import (
    json_text,
    key_text,
    name_text,
    of_session,
    session_id,
    table,
    tenant_id,
    time_column,
)
from convstore.db.models.indexes import partial_index

checkpoints = table(
    "checkpoints",
    tenant_id(),
    session_id(),
    Column(
        "namespace", name_text(), nullable=False, comment="which graph; empty: the root"
    ),
    Column(
        "checkpoint_id", key_text(), nullable=False, comment="later ones are greater"
    ),
    Column("parent_id", key_text(), comment="the step before"),
    Column("run_id", key_text(), comment="the run that made it"),
    Column(
        "metadata", json_text(), nullable=False, comment="object, the framework's own"
    ),
    Column("channels", json_text(), nullable=False, comment="where their values are"),
    Column(
        "type", key_text(), nullable=False, comment="of body, as its framework says"
    ),
    Column("body", LargeBinary, nullable=False, comment="all but the values, opaque"),
    time_column("created_at", "when it was put"),
    Column(
        "digest", LargeBinary, nullable=False, comment="SHA-256 of the content columns"
    ),
    of_session(),
    Index(
        "ix_checkpoints_recent",
        "tenant_id",
        "checkpoint_id",
        "session_id",
        "namespace",
    ),
    partial_index(
        "ix_checkpoints_run",
        "tenant_id",
        "run_id",
        where=text("run_id IS NOT NULL"),
    ),
    key=("tenant_id", "session_id", "namespace", "checkpoint_id"),
    comment="The state of a graph's run at a step, as a framework stores it.",
    wide=True,
)

checkpoint_values = table(
    "checkpoint_values",
    tenant_id(),
    session_id(),
    Column("hash", String(64), nullable=False, comment="of type and data"),
    Column("type", key_text(), nullable=False, comment="as its framework says"),
    Column("data", LargeBinary, nullable=False, comment="opaque"),
    Column(
        "digest", LargeBinary, nullable=False, comment="SHA-256 of the content columns"
    ),
    of_session(),
    key=("tenant_id", "session_id", "hash"),
    comment="Values of checkpoints, each distinct one once.",
    wide=True,
)

checkpoint_logs = table(
    "checkpoint_logs",
    tenant_id(),
    session_id(),
    Column("log", BigInteger, nullable=False, autoincrement=False, comment="from 1"),
    Column("idx", BigInteger, nullable=False, autoincrement=False, comment="from 0"),
    Column("type", key_text(), nullable=False, comment="as its framework says"),
    Column("data", LargeBinary, nullable=False, comment="opaque"),
    Column("chain", String(64), nullable=False, comment="hash of it and all before"),
    Column(
        "digest", LargeBinary, nullable=False, comment="SHA-256 of the content columns"
    ),
    of_session(),
    key=("tenant_id", "session_id", "log", "idx"),
    comment="Elements of lists in checkpoints; what versions share is there once.",
    wide=True,
)

checkpoint_writes = table(
    "checkpoint_writes",
    tenant_id(),
    session_id(),
    Column(
        "namespace", name_text(), nullable=False, comment="which graph; empty: the root"
    ),
    Column(
        "checkpoint_id", key_text(), nullable=False, comment="the step that it is of"
    ),
    Column("task_id", key_text(), nullable=False, comment="who wrote it"),
    Column(
        "idx",
        BigInteger,
        nullable=False,
        autoincrement=False,
        comment="place among the task's; below 0 what it says of itself",
    ),
    Column("channel", key_text(), nullable=False, comment="where it is to go"),
    Column("type", key_text(), nullable=False, comment="as its framework says"),
    Column("data", LargeBinary, nullable=False, comment="opaque"),
    Column("task_path", Text, nullable=False, comment="where the task stands"),
    Column(
        "digest", LargeBinary, nullable=False, comment="SHA-256 of the content columns"
    ),
    of_session(),
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

checkpoint_ends = table(
    "checkpoint_ends",
    tenant_id(),
    session_id(),
    Column(
        "through", key_text(), nullable=False, comment="ids up to this one are over"
    ),
    Column(
        "digest", LargeBinary, nullable=False, comment="SHA-256 of the content columns"
    ),
    of_session(),
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
