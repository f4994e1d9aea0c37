"""Expand: remember which archive folder is this database's.

Adds a small table that is empty at first; takes well under a second and blocks no
write. Code of revision 0001 works beside it. The downgrade forgets the folder; after
another upgrade `convstore archive rebuild` makes it this database's again.
"""

import sqlalchemy as sa
from alembic import op

revision = "convstore_0002"
down_revision = "convstore_0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "archive_folder",
        sa.Column(
            "id", sa.Integer(), autoincrement=False, nullable=False, comment="always 1"
        ),
        sa.Column(
            "folder_id",
            sa.String(length=64),
            nullable=False,
            comment="as in the folder's mark",
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_archive_folder")),
        comment="Which archive folder is this database's, once it has one.",
        sqlite_with_rowid=False,
    )


def downgrade() -> None:
    op.drop_table("archive_folder")
