"""Expand: an index of the deleted and erased sessions of a tenant, for their list.

It holds those alone, so no write of a live session touches it; code of before works
beside it. Sessions are read once while writes wait.
"""

import sqlalchemy as sa
from alembic import op

revision = "convstore_0009"
down_revision = "convstore_0008"
branch_labels = None
depends_on = None

GONE = sa.text("state IN ('deleted', 'erased')")


def upgrade() -> None:
    op.create_index(
        "ix_sessions_gone",
        "sessions",
        ["tenant_id", "state", "activity_bucket", "session_id"],
        sqlite_where=GONE,
        postgresql_where=GONE,
    )


def downgrade() -> None:
    op.drop_index("ix_sessions_gone", "sessions")
