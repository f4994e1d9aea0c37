"""Expand: a search on PostgreSQL reads no long list of what its index has yet to sort in.

GIN notes new entries in a list, which every search reads through, until that is as long
as four megabytes. It is sorted in from 256 kB on now. SQLite has no such list. Takes no
time, and locks nobody out; what is in the list stays there until the next entry.
"""

from alembic import op

revision = "convstore_0025"
down_revision = "convstore_0024"
branch_labels = None
depends_on = None


def upgrade() -> None:
    if op.get_bind().dialect.name == "postgresql":
        op.execute(
            "ALTER INDEX ix_search_entries_words SET (gin_pending_list_limit = 256)"
        )


def downgrade() -> None:
    if op.get_bind().dialect.name == "postgresql":
        op.execute("ALTER INDEX ix_search_entries_words RESET (gin_pending_list_limit)")
