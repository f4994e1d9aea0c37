"""Expand: when turns of a session last came from a file.

A column that may be null, which either database adds without touching a row; code of
before works beside it. What was imported before has none: it counts as active since.
"""

import sqlalchemy as sa
from alembic import op

revision = "convstore_0007"
down_revision = "convstore_0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column(
        "sessions",
        sa.Column(
            "imported_at",
            sa.BigInteger(),
            nullable=True,
            comment="when turns last came from a file",
        ),
    )


def downgrade() -> None:
    op.drop_column("sessions", "imported_at")
