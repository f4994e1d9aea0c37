"""Expand: attachments, which parts of turns name by hash, and who names them.

Two empty tables and two indexes on them, which either database makes at once; code of
before works beside them and leaves them alone, and neither archives nor purges at this
revision. Going back drops the bytes: parts that name them name nothing then.
"""

import sqlalchemy as sa
from alembic import op

revision = "convstore_0020"
down_revision = "convstore_0019"
branch_labels = None
depends_on = None

WAITS = sa.text("waits_since IS NOT NULL")


def _key() -> sa.String:
    return sa.String(255).with_variant(sa.String(255, collation="C"), "postgresql")


def upgrade() -> None:
    op.create_table(
        "attachments",
        sa.Column("tenant_id", _key(), nullable=False, comment="the wall"),
        sa.Column("hash", sa.String(64), nullable=False, comment="SHA-256 of data"),
        sa.Column(
            "media_type",
            sa.String(255),
            nullable=False,
            comment="as it was first put",
        ),
        sa.Column(
            "waits_since",
            sa.BigInteger(),
            nullable=True,
            comment="when it was put; null once a session names it",
        ),
        sa.Column("data", sa.LargeBinary(), nullable=False, comment="byte for byte"),
        sa.PrimaryKeyConstraint("tenant_id", "hash", name=op.f("pk_attachments")),
        comment="Pictures and files that parts name by hash, once in a tenant.",
    )
    op.create_index(
        "ix_attachments_waiting",
        "attachments",
        ["waits_since"],
        sqlite_where=WAITS,
        postgresql_where=WAITS,
    )
    op.create_table(
        "session_attachments",
        sa.Column("tenant_id", _key(), nullable=False, comment="the wall"),
        sa.Column("session_id", _key(), nullable=False, comment="within the tenant"),
        sa.Column(
            "hash", sa.String(64), nullable=False, comment="names a row of attachments"
        ),
        sa.ForeignKeyConstraint(
            ["tenant_id", "session_id"],
            ["sessions.tenant_id", "sessions.session_id"],
            name=op.f("fk_session_attachments_sessions"),
        ),
        sa.PrimaryKeyConstraint(
            "tenant_id", "session_id", "hash", name=op.f("pk_session_attachments")
        ),
        comment="Which attachments the turns of a session name, live or archived.",
        sqlite_with_rowid=False,
    )
    op.create_index(
        "ix_session_attachments_hash",
        "session_attachments",
        ["tenant_id", "hash", "session_id"],
    )


def downgrade() -> None:
    op.drop_table("session_attachments")
    op.drop_table("attachments")
