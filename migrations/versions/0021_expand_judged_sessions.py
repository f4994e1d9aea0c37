"""Expand: indexes of the judged and of the held sessions of a tenant, for lists of them.

Other sessions are not in them, so an append to one writes nothing more. Code of before
works beside them. Sessions are read twice while writes wait.
"""

import sqlalchemy as sa
from alembic import op

revision = "convstore_0021"
down_revision = "convstore_0020"
branch_labels = None
depends_on = None

LISTED = "state IN ('active', 'archived')"
WHERE = {
    "ix_sessions_judged": f"{LISTED} AND CAST(feedback_counts AS TEXT) <> '{{}}'",
    "ix_sessions_held": f"{LISTED} AND hold_count > 0",
}


def upgrade() -> None:
    for name, condition in WHERE.items():
        op.create_index(
            name,
            "sessions",
            ["tenant_id", "activity_bucket", "session_id"],
            sqlite_where=sa.text(condition),
            postgresql_where=sa.text(condition),
        )


def downgrade() -> None:
    for name in reversed(WHERE):
        op.drop_index(name, "sessions")
