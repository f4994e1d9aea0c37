"""Contract: call the writer of a segment `written_by`, so that older workers stop.

A worker of an older release that still runs would purge whole rows and archive only
the columns that it knows. It names `archive_segments.holder` before it seals, purges,
restores or takes up what a crash left, so from here on it fails before it destroys
anything. Stop all processes of older releases before this revision; from it on workers
look at the revision themselves, and releases can roll.

Renames one column: well under a second on any number of rows, once the statements on
that table have ended. The downgrade renames it back.
"""

from alembic import op

revision = "convstore_0003"
down_revision = "convstore_0002"
branch_labels = None
depends_on = None


BESIDE = "Beside {}: which older code still works here."


def upgrade() -> None:
    op.execute("ALTER TABLE archive_segments RENAME COLUMN holder TO written_by")
    op.execute("UPDATE schema_info SET oldest_code = 'convstore_0003'")
    _comment("convstore_version")


def downgrade() -> None:
    op.execute("ALTER TABLE archive_segments RENAME COLUMN written_by TO holder")
    op.execute("UPDATE schema_info SET oldest_code = '0001'")
    _comment("alembic's own table")


def _comment(beside: str) -> None:
    if op.get_bind().dialect.name == "postgresql":
        op.create_table_comment("schema_info", BESIDE.format(beside))
