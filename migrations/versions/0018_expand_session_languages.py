"""Expand: an index of the sessions of a tenant by language, for lists of one.

Sessions without a language are not in it. An append writes to it only where a quarter
hour has passed or the language is another; code of before works beside it. Sessions are
read once while writes wait.
"""

import sqlalchemy as sa
from alembic import op

revision = "convstore_0018"
down_revision = "convstore_0017"
branch_labels = None
depends_on = None

SPOKEN = sa.text("state IN ('active', 'archived') AND language IS NOT NULL")


def upgrade() -> None:
    op.create_index(
        "ix_sessions_by_language",
        "sessions",
        ["tenant_id", "language", "activity_bucket", "session_id"],
        sqlite_where=SPOKEN,
        postgresql_where=SPOKEN,
    )


def downgrade() -> None:
    op.drop_index("ix_sessions_by_language", "sessions")
