"""Expand: one index of turns by external id, where there were two.

What no two turns of a session may share is looked for in all of a tenant, too: an index
that is unique in tenant, external id and session answers both, and each turn with an
external id is written to one index less. Code of before works beside it. Turns are read
once for it, while appends wait.

What the number of a mark of the search is has changed, too: its comment says so.
"""

import sqlalchemy as sa
from alembic import op

revision = "convstore_0026"
down_revision = "convstore_0025"
branch_labels = None
depends_on = None

NAMED = sa.text("external_id IS NOT NULL")
BY_SESSION = ["tenant_id", "session_id", "external_id"]
BY_NAME = ["tenant_id", "external_id", "session_id"]
FORMER = "of the commit: the version it came to, or its first turn, negative"
COMMENT = "the version that the commit came to; SQLite has one mark, of number 0"


def upgrade() -> None:
    _tell(COMMENT, FORMER)
    # The old ones go last: to drop one locks out who reads, for as long as is left.
    _make("uq_turns_external_ids", BY_NAME, unique=True)
    op.drop_index("ix_turns_external_id", "turns")
    op.drop_index("uq_turns_external_id", "turns")


def downgrade() -> None:
    _make("uq_turns_external_id", BY_SESSION, unique=True)
    _make("ix_turns_external_id", BY_NAME, unique=False)
    op.drop_index("uq_turns_external_ids", "turns")
    _tell(FORMER, COMMENT)


def _tell(comment, before):
    if op.get_context().dialect.name != "sqlite":  # which keeps no comments
        op.alter_column(
            "search_marks",
            "number",
            comment=comment,
            existing_comment=before,
            existing_type=sa.BigInteger(),
            existing_nullable=False,
        )


def _make(name, columns, *, unique):
    op.create_index(
        name,
        "turns",
        columns,
        unique=unique,
        sqlite_where=NAMED,
        postgresql_where=NAMED,
    )
