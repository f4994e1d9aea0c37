"""Expand: items, small documents outside sessions and in them.

Two empty tables, which either database makes at once; code of before works beside them
and leaves them alone. Going back drops what is in them.
"""

import sqlalchemy as sa
from alembic import op

revision = "convstore_0013"
down_revision = "convstore_0012"
branch_labels = None
depends_on = None

# Kept verbatim, key order and all: not JSONB.
JSON = sa.Text().with_variant(sa.JSON(), "postgresql")


def _key() -> sa.String:
    return sa.String(255).with_variant(sa.String(255, collation="C"), "postgresql")


def _columns() -> list[sa.Column]:
    return [
        sa.Column("value", JSON, nullable=False, comment="any JSON value"),
        sa.Column(
            "version", sa.BigInteger(), nullable=False, comment="raised by every change"
        ),
        sa.Column(
            "created_at", sa.BigInteger(), nullable=False, comment="when it was made"
        ),
        sa.Column(
            "updated_at",
            sa.BigInteger(),
            nullable=False,
            comment="when its value last changed",
        ),
        sa.Column(
            "expires_at",
            sa.BigInteger(),
            nullable=True,
            comment="nobody finds it from here on",
        ),
        sa.Column(
            "ttl_s",
            sa.Float(53),
            nullable=True,
            comment="seconds that each use lets it live",
        ),
    ]


def upgrade() -> None:
    op.create_table(
        "items",
        sa.Column("tenant_id", _key(), nullable=False, comment="the wall"),
        sa.Column(
            "namespace", _key(), nullable=False, comment="whose state, in the tenant"
        ),
        sa.Column("key", _key(), nullable=False, comment="within the namespace"),
        *_columns(),
        sa.Column(
            "user_id",
            _key(),
            nullable=True,
            comment="owner: erasing the user destroys it",
        ),
        sa.PrimaryKeyConstraint("tenant_id", "namespace", "key", name=op.f("pk_items")),
        comment="Small documents outside sessions: state of an application or a user.",
        sqlite_with_rowid=False,
    )
    op.create_table(
        "session_items",
        sa.Column("tenant_id", _key(), nullable=False, comment="the wall"),
        sa.Column("session_id", _key(), nullable=False, comment="within the tenant"),
        sa.Column(
            "namespace", _key(), nullable=False, comment="which kind of document"
        ),
        sa.Column("key", _key(), nullable=False, comment="within the namespace"),
        *_columns(),
        sa.Column(
            "digest",
            sa.LargeBinary(),
            nullable=False,
            comment="SHA-256 of the content columns",
        ),
        sa.ForeignKeyConstraint(
            ["tenant_id", "session_id"],
            ["sessions.tenant_id", "sessions.session_id"],
            name=op.f("fk_session_items_sessions"),
        ),
        sa.PrimaryKeyConstraint(
            "tenant_id",
            "session_id",
            "namespace",
            "key",
            name=op.f("pk_session_items"),
        ),
        comment="Small documents that belong to a session and change in place.",
        sqlite_with_rowid=False,
    )
    _index(
        "ix_items_user",
        "items",
        ["tenant_id", "user_id", "namespace", "key"],
        "user_id IS NOT NULL",
    )
    for table in ("items", "session_items"):
        _index(f"ix_{table}_expiring", table, ["expires_at"], "expires_at IS NOT NULL")


def downgrade() -> None:
    op.drop_table("session_items")
    op.drop_table("items")


def _index(name: str, table: str, columns: list[str], where: str) -> None:
    only = sa.text(where)
    op.create_index(name, table, columns, sqlite_where=only, postgresql_where=only)
