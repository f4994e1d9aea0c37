"""Expand: which database of a store over several this is, and erasures over all.

Two empty tables, which either database makes at once; code of before works beside them
and leaves them alone. Going back forgets which shard a database was: open it as a store
of its own from then on.
"""

import sqlalchemy as sa
from alembic import op

revision = "convstore_0022"
down_revision = "convstore_0021"
branch_labels = None
depends_on = None

# Kept verbatim, key order and all: not JSONB.
JSON = sa.Text().with_variant(sa.JSON(), "postgresql")


def _key() -> sa.String:
    return sa.String(255).with_variant(sa.String(255, collation="C"), "postgresql")


def upgrade() -> None:
    op.create_table(
        "shard_marks",
        sa.Column(
            "id",
            sa.Integer(),
            nullable=False,
            autoincrement=False,
            comment="always 1",
        ),
        sa.Column(
            "store_id",
            sa.String(64),
            nullable=False,
            comment="of the store of them all",
        ),
        sa.Column(
            "shard",
            sa.Integer(),
            nullable=False,
            comment="from 0; -1 is the home database",
        ),
        sa.Column("shards", sa.Integer(), nullable=False, comment="how many, for ever"),
        sa.Column(
            "is_complete",
            sa.Integer(),
            nullable=False,
            comment="1 when all have marks",
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_shard_marks")),
        comment="Which database of a store over several this is; no row: of none.",
        sqlite_with_rowid=False,
    )
    op.create_table(
        "shard_erasures",
        sa.Column("tenant_id", _key(), nullable=False, comment="the wall"),
        sa.Column(
            "erasure_id", sa.String(64), nullable=False, comment="of the receipt"
        ),
        sa.Column(
            "shard",
            sa.Integer(),
            nullable=False,
            comment="where it is to be carried out",
        ),
        sa.Column(
            "user_id",
            _key(),
            nullable=True,
            comment="whose data; null when it is done",
        ),
        sa.Column(
            "receipt", JSON, nullable=True, comment="what was destroyed; no content"
        ),
        sa.Column(
            "done_at",
            sa.BigInteger(),
            nullable=True,
            comment="when nothing was left there",
        ),
        sa.PrimaryKeyConstraint(
            "tenant_id", "erasure_id", "shard", name=op.f("pk_shard_erasures")
        ),
        comment="In the home database: how far an erasure of a user is on each shard.",
        sqlite_with_rowid=False,
    )


def downgrade() -> None:
    op.drop_table("shard_erasures")
    op.drop_table("shard_marks")
