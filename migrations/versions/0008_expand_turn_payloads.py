"""Expand: a framework's own object of a turn, and whose it is.

Two columns that may be null, which either database adds without touching a row; code
of before works beside it, and leaves a turn with a payload alone: its checksum covers
what that code does not read, so that it is neither archived nor purged by it.
"""

import sqlalchemy as sa
from alembic import op

from convstore.vocabulary.errors import RefusedError

revision = "convstore_0008"
down_revision = "convstore_0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column(
        "turns",
        sa.Column(
            "payload_format",
            sa.String(length=255),
            nullable=True,
            comment="whose object the payload is",
        ),
    )
    op.add_column(
        "turns",
        sa.Column(
            "payload",
            sa.LargeBinary(),
            nullable=True,
            comment="a framework's own object, byte for byte",
        ),
    )


def downgrade() -> None:
    turns = sa.table("turns", sa.column("payload_format"))
    there = sa.select(sa.literal(1)).where(turns.c.payload_format.is_not(None)).limit(1)
    if op.get_bind().execute(there).first() is not None:
        # The checksums of these turns would be wrong without them.
        raise RefusedError("turns have payloads, which the former release cannot hold")
    op.drop_column("turns", "payload")
    op.drop_column("turns", "payload_format")
