"""Expand: checkpoints of graph runs, with their values, lists and pending writes.

Five empty tables and two indexes on one of them, which either database makes at once;
code of before works beside them and leaves them alone, and neither archives nor purges
at this revision. Going back drops all checkpoints.
"""

import sqlalchemy as sa
from alembic import op

revision = "convstore_0017"
down_revision = "convstore_0016"
branch_labels = None
depends_on = None

# Kept verbatim, key order and all: not JSONB.
JSON = sa.Text().with_variant(sa.JSON(), "postgresql")
NAMESPACE = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
RUNS = sa.text("run_id IS NOT NULL")


def upgrade() -> None:
    _table(
        "checkpoints",
        ("namespace", "checkpoint_id"),
        "The state of a graph's run at a step, as a framework stores it.",
        _column("namespace", NAMESPACE, "which graph; empty: the root"),
        _column("checkpoint_id", _key(), "later ones are greater"),
        _column("parent_id", _key(), "the step before", nullable=True),
        _column("run_id", _key(), "the run that made it", nullable=True),
        _column("metadata", JSON, "object, the framework's own"),
        _column("channels", JSON, "where their values are"),
        _column("type", _key(), "of body, as its framework says"),
        _column("body", sa.LargeBinary(), "all but the values, opaque"),
        _column("created_at", sa.BigInteger(), "when it was put"),
    )
    op.create_index(
        "ix_checkpoints_recent",
        "checkpoints",
        ["tenant_id", "checkpoint_id", "session_id", "namespace"],
    )
    op.create_index(
        "ix_checkpoints_run",
        "checkpoints",
        ["tenant_id", "run_id"],
        sqlite_where=RUNS,
        postgresql_where=RUNS,
    )
    _table(
        "checkpoint_values",
        ("hash",),
        "Values of checkpoints, each distinct one once.",
        _column("hash", sa.String(64), "of type and data"),
        _column("type", _key(), "as its framework says"),
        _column("data", sa.LargeBinary(), "opaque"),
    )
    _table(
        "checkpoint_logs",
        ("log", "idx"),
        "Elements of lists in checkpoints; what versions share is there once.",
        _column("log", sa.BigInteger(), "from 1", autoincrement=False),
        _column("idx", sa.BigInteger(), "from 0", autoincrement=False),
        _column("type", _key(), "as its framework says"),
        _column("data", sa.LargeBinary(), "opaque"),
        _column("chain", sa.String(64), "hash of it and all before"),
    )
    _table(
        "checkpoint_writes",
        ("namespace", "checkpoint_id", "task_id", "idx"),
        "What tasks have written and no step has taken up yet.",
        _column("namespace", NAMESPACE, "which graph; empty: the root"),
        _column("checkpoint_id", _key(), "the step that it is of"),
        _column("task_id", _key(), "who wrote it"),
        _column(
            "idx",
            sa.BigInteger(),
            "place among the task's; below 0 what it says of itself",
            autoincrement=False,
        ),
        _column("channel", _key(), "where it is to go"),
        _column("type", _key(), "as its framework says"),
        _column("data", sa.LargeBinary(), "opaque"),
        _column("task_path", sa.Text(), "where the task stands"),
    )
    _table(
        "checkpoint_ends",
        (),
        "Where the checkpoints of a session were ended: no late write brings them "
        "back.",
        _column("through", _key(), "ids up to this one are over"),
    )


def downgrade() -> None:
    for name in ("ends", "writes", "logs", "values"):
        op.drop_table(f"checkpoint_{name}")
    op.drop_index("ix_checkpoints_run", "checkpoints")
    op.drop_index("ix_checkpoints_recent", "checkpoints")
    op.drop_table("checkpoints")


def _key() -> sa.String:
    return sa.String(255).with_variant(sa.String(255, collation="C"), "postgresql")


def _column(name, type_, comment, *, nullable=False, **more):
    return sa.Column(name, type_, nullable=nullable, comment=comment, **more)


def _table(name, key, comment, *columns):
    op.create_table(
        name,
        _column("tenant_id", _key(), "the wall"),
        _column("session_id", _key(), "within the tenant"),
        *columns,
        _column("digest", sa.LargeBinary(), "SHA-256 of the content columns"),
        sa.ForeignKeyConstraint(
            ["tenant_id", "session_id"],
            ["sessions.tenant_id", "sessions.session_id"],
            name=op.f(f"fk_{name}_sessions"),
        ),
        sa.PrimaryKeyConstraint(
            "tenant_id", "session_id", *key, name=op.f(f"pk_{name}")
        ),
        comment=comment,
        # Wide rows would have a page each without.
        sqlite_with_rowid=name != "checkpoint_ends",
    )
