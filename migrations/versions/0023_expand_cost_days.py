"""Expand: what was charged on each day, by user and model.

An empty table, which either database makes at once. Charges are counted in it from then
on; those of before are in the totals alone, which say no day. A process of the former
release that still runs goes on adding to the totals alone.
"""

import sqlalchemy as sa
from alembic import op

revision = "convstore_0023"
down_revision = "convstore_0022"
branch_labels = None
depends_on = None


def _key() -> sa.String:
    return sa.String(255).with_variant(sa.String(255, collation="C"), "postgresql")


def upgrade() -> None:
    op.create_table(
        "cost_days",
        sa.Column("tenant_id", _key(), nullable=False, comment="the wall"),
        sa.Column(
            "day", sa.String(10), nullable=False, comment="in UTC, as 2026-11-29"
        ),
        sa.Column(
            "user_id",
            _key(),
            nullable=False,
            comment=(
                "owner when it was charged; empty for nobody and for who was erased"
            ),
        ),
        sa.Column(
            "model",
            sa.String(255),
            nullable=False,
            comment="of the turn, or pinned; empty where neither says",
        ),
        sa.Column(
            "cost_micros",
            sa.BigInteger(),
            nullable=False,
            comment="charged on that day",
        ),
        sa.PrimaryKeyConstraint(
            "tenant_id", "day", "user_id", "model", name=op.f("pk_cost_days")
        ),
        comment="What was charged on each day, by user and model; outlives the sessions.",
        sqlite_with_rowid=False,
    )
    op.create_index("ix_cost_days_user", "cost_days", ["tenant_id", "user_id", "day"])


def downgrade() -> None:
    op.drop_table("cost_days")
