"""Expand: what adapters keep of a session, in a table beside it.

An empty table, which either database makes at once; code of before works beside it and
leaves it alone. Going back drops what adapters have kept.
"""

import sqlalchemy as sa
from alembic import op

revision = "convstore_0012"
down_revision = "convstore_0011"
branch_labels = None
depends_on = None


# Kept verbatim, key order and all: not JSONB.
JSON = sa.Text().with_variant(sa.JSON(), "postgresql")


def _key() -> sa.String:
    return sa.String(255).with_variant(sa.String(255, collation="C"), "postgresql")


def upgrade() -> None:
    op.create_table(
        "session_state",
        sa.Column("tenant_id", _key(), nullable=False, comment="the wall"),
        sa.Column("session_id", _key(), nullable=False, comment="within the tenant"),
        sa.Column(
            "name", _key(), nullable=False, comment="whose state, as its adapter says"
        ),
        sa.Column(
            "state",
            JSON,
            nullable=False,
            comment="object, changed by patches",
        ),
        sa.Column(
            "digest",
            sa.LargeBinary(),
            nullable=False,
            comment="SHA-256 of name and state",
        ),
        sa.ForeignKeyConstraint(
            ["tenant_id", "session_id"],
            ["sessions.tenant_id", "sessions.session_id"],
            name=op.f("fk_session_state_sessions"),
        ),
        sa.PrimaryKeyConstraint(
            "tenant_id", "session_id", "name", name=op.f("pk_session_state")
        ),
        comment="What adapters keep of a session, beside its row: an append is small.",
        sqlite_with_rowid=False,
    )


def downgrade() -> None:
    op.drop_table("session_state")
