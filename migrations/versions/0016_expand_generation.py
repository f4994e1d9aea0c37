"""Expand: which life of its id a session is.

A column that may be null, which either database adds without touching a row; code of
before works beside it. Going back forgets how often an id began anew, and nothing else:
versions have gone on upwards.
"""

import sqlalchemy as sa
from alembic import op

revision = "convstore_0016"
down_revision = "convstore_0015"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column(
        "sessions",
        sa.Column(
            "generation",
            sa.BigInteger(),
            nullable=True,
            comment="which life of its id, where that was deleted and begun anew",
        ),
    )


def downgrade() -> None:
    op.drop_column("sessions", "generation")
