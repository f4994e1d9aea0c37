"""Expand: an index of turns by external id, across the sessions of a tenant.

It holds the turns alone that have one. Turns are read once for it, while appends wait;
code of before works beside it.
"""

import sqlalchemy as sa
from alembic import op

revision = "convstore_0014"
down_revision = "convstore_0013"
branch_labels = None
depends_on = None

NAMED = sa.text("external_id IS NOT NULL")


def upgrade() -> None:
    op.create_index(
        "ix_turns_external_id",
        "turns",
        ["tenant_id", "external_id", "session_id"],
        sqlite_where=NAMED,
        postgresql_where=NAMED,
    )


def downgrade() -> None:
    op.drop_index("ix_turns_external_id", "turns")
