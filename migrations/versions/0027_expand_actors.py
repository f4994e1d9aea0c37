"""Expand: whom the acts of a session name, in rows and in the archive.

An erased user is looked for among the actors of other people's sessions: acts by an
index, archived copies by a table, which says whom each may name. What is archived by
now, and what code of before goes on to archive beside this, has no mark that it was
looked through; the first erasure of a user looks at those, once. Interactions are read
once for the index, while whoever records one waits; archive entries likewise.
"""

import sqlalchemy as sa
from alembic import op

revision = "convstore_0027"
down_revision = "convstore_0026"
branch_labels = None
depends_on = None

ACTORS = {"columns": ["tenant_id", "actor_id", "session_id"]}
NAMED = sa.text("actor_id IS NOT NULL")
UNNOTED = sa.text("actors_noted IS NULL")


def _key() -> sa.String:
    return sa.String(255).with_variant(sa.String(255, collation="C"), "postgresql")


def upgrade() -> None:
    op.create_table(
        "archived_actors",
        sa.Column("tenant_id", _key(), nullable=False, comment="the wall"),
        sa.Column("session_id", _key(), nullable=False, comment="within the tenant"),
        sa.Column(
            "actor_id", _key(), nullable=False, comment="who judged, chose or held"
        ),
        sa.ForeignKeyConstraint(
            ["tenant_id", "session_id"],
            ["sessions.tenant_id", "sessions.session_id"],
            name=op.f("fk_archived_actors_sessions"),
        ),
        sa.PrimaryKeyConstraint(
            "tenant_id", "session_id", "actor_id", name=op.f("pk_archived_actors")
        ),
        comment="Whom copies of a session may name, so that an erasure finds them.",
        sqlite_with_rowid=False,
    )
    op.create_index("ix_archived_actors_actor", "archived_actors", **ACTORS)
    op.add_column(
        "archive_entries",
        sa.Column(
            "actors_noted",
            sa.SmallInteger(),
            nullable=True,
            comment="1: archived_actors has whom it names; null: nobody has looked",
        ),
    )
    op.create_index(
        "ix_archive_entries_unnoted",
        "archive_entries",
        ["tenant_id", "segment_id"],
        sqlite_where=UNNOTED,
        postgresql_where=UNNOTED,
    )
    op.create_index(
        "ix_interactions_actor",
        "interactions",
        **ACTORS,
        sqlite_where=NAMED,
        postgresql_where=NAMED,
    )


def downgrade() -> None:
    op.drop_index("ix_interactions_actor", "interactions")
    op.drop_index("ix_archive_entries_unnoted", "archive_entries")
    op.drop_column("archive_entries", "actors_noted")
    op.drop_table("archived_actors")
