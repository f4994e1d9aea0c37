"""Expand: where a fork comes from.

Four columns that may be null, which either database adds without touching a row, and an
index that holds forks alone: sessions are read once for it, while writes wait. Code of
before works beside it.
"""

import sqlalchemy as sa
from alembic import op

revision = "convstore_0011"
down_revision = "convstore_0010"
branch_labels = None
depends_on = None

FORKS = sa.text("forked_from IS NOT NULL")


def _key() -> sa.types.TypeEngine[str]:
    return sa.String(255).with_variant(sa.String(255, collation="C"), "postgresql")


def upgrade() -> None:
    for column in (
        sa.Column(
            "forked_from", _key(), comment="the session that a fork went on from"
        ),
        sa.Column("forked_at_seq", sa.BigInteger(), comment="after which turn of it"),
        sa.Column(
            "forked_turns",
            sa.BigInteger(),
            comment="its first turns, which are copies",
        ),
        sa.Column("root_session_id", _key(), comment="where the line of forks begins"),
    ):
        op.add_column("sessions", column)
    op.create_index(
        "ix_sessions_forks",
        "sessions",
        ["tenant_id", "forked_from", "session_id"],
        sqlite_where=FORKS,
        postgresql_where=FORKS,
    )


def downgrade() -> None:
    op.drop_index("ix_sessions_forks", "sessions")
    for name in ("root_session_id", "forked_turns", "forked_at_seq", "forked_from"):
        op.drop_column("sessions", name)
