"""Expand: remember the newest generation of the archive folder, and which database
wrote it.

Adds four columns to a table of one row; takes well under a second and blocks no write.
Code of the revision before works beside it. The downgrade forgets the generation; after
another upgrade a copy of the database is told by the next one that is written.
"""

import sqlalchemy as sa
from alembic import op

revision = "convstore_0006"
down_revision = "convstore_0005"
branch_labels = None
depends_on = None

_TEXT = sa.Text().with_variant(sa.JSON(), "postgresql")


def upgrade() -> None:
    op.add_column(
        "archive_folder",
        sa.Column(
            "generation",
            sa.BigInteger(),
            server_default="0",
            nullable=False,
            comment="the newest that is known to be in the folder; 0 before the first",
        ),
    )
    op.add_column(
        "archive_folder",
        sa.Column("token", sa.String(length=64), comment="of that generation"),
    )
    op.add_column(
        "archive_folder",
        sa.Column(
            "next_token",
            sa.String(length=64),
            comment="of the one that is being published",
        ),
    )
    op.add_column(
        "archive_folder",
        sa.Column(
            "instance", _TEXT, comment="what tells this database from a copy of it"
        ),
    )


def downgrade() -> None:
    for name in ("instance", "next_token", "token", "generation"):
        op.drop_column("archive_folder", name)
