"""Expand: an index of words, to search conversations by.

Four new tables and, on SQLite that has FTS5, the virtual table `search_words`. No row is
touched, and nothing is indexed yet: code of before works beside it. Takes no time.

Going down destroys the index, and nothing that it was made from.
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import TSVECTOR

revision = "convstore_0015"
down_revision = "convstore_0014"
branch_labels = None
depends_on = None


def _key() -> sa.String:
    return sa.String(255).with_variant(sa.String(255, collation="C"), "postgresql")


def _tenant() -> sa.Column:
    return sa.Column("tenant_id", _key(), nullable=False, comment="the wall")


def _session() -> sa.Column:
    return sa.Column("session_id", _key(), nullable=False, comment="within the tenant")


def upgrade() -> None:
    op.create_table(
        "search_entries",
        sa.Column(
            "id",
            sa.BigInteger(),
            autoincrement=False,
            nullable=False,
            comment="microseconds of when it was said, times 1,024, and a number for "
            "ties",
        ),
        _tenant(),
        _session(),
        sa.Column(
            "kind", sa.String(8), nullable=False, comment="title, turn or comment"
        ),
        sa.Column(
            "seq",
            sa.BigInteger(),
            nullable=False,
            comment="of the turn or interaction",
        ),
        sa.Column(
            "words",
            sa.Text().with_variant(TSVECTOR(), "postgresql"),
            nullable=True,
            comment="with their places and whom they are for; SQLite has search_words",
        ),
        sa.PrimaryKeyConstraint("id", "tenant_id", name=op.f("pk_search_entries")),
        comment="What can be found, in the order in which it was said.",
        sqlite_with_rowid=False,
    )
    op.create_index(
        "ix_search_entries_session", "search_entries", ["tenant_id", "session_id"]
    )
    op.create_index(
        "ix_search_entries_words",
        "search_entries",
        ["words"],
        postgresql_using="gin",
        sqlite_where=sa.text("0"),
    )
    op.create_table(
        "search_sessions",
        _tenant(),
        _session(),
        sa.Column(
            "user_id", _key(), nullable=True, comment="owner for whom the words are"
        ),
        sa.Column(
            "turn_count",
            sa.BigInteger(),
            nullable=False,
            comment="turns that were looked at",
        ),
        sa.Column(
            "interaction_count",
            sa.BigInteger(),
            nullable=False,
            comment="interactions that were looked at",
        ),
        sa.Column(
            "title_words",
            sa.Text(),
            nullable=True,
            comment="the words of a title that is in the index",
        ),
        sa.PrimaryKeyConstraint(
            "tenant_id", "session_id", name=op.f("pk_search_sessions")
        ),
        comment="How much of a session is in the index of words.",
        sqlite_with_rowid=False,
    )
    op.create_table(
        "search_marks",
        _tenant(),
        _session(),
        sa.Column(
            "number",
            sa.BigInteger(),
            autoincrement=False,
            nullable=False,
            comment="of the commit: the version it came to, or its first turn, negative",
        ),
        sa.PrimaryKeyConstraint(
            "tenant_id", "session_id", "number", name=op.f("pk_search_marks")
        ),
        comment="Sessions with something that is not in the index of words yet.",
        sqlite_with_rowid=False,
    )
    _make_state()
    if _has_fts5():
        op.execute(
            "CREATE VIRTUAL TABLE search_words USING fts5"
            "(words, scope, content='', columnsize=0, tokenize='ascii')"
        )


def _make_state() -> None:
    op.create_table(
        "search_state",
        sa.Column(
            "tenant_id",
            _key(),
            nullable=False,
            comment="empty: the state of the whole",
        ),
        sa.Column(
            "rules",
            sa.BigInteger(),
            nullable=False,
            comment="of words; 0: make it anew",
        ),
        sa.Column(
            "epoch",
            sa.BigInteger(),
            nullable=False,
            comment="grows when something may be written without a mark; of a tenant, "
            "the one for which its sessions were looked through",
        ),
        sa.Column(
            "after", _key(), nullable=True, comment="the session up to which they were"
        ),
        sa.PrimaryKeyConstraint("tenant_id", name=op.f("pk_search_state")),
        comment="Whether the index of words can be relied on.",
        sqlite_with_rowid=False,
    )


def _has_fts5() -> bool:
    if op.get_bind().dialect.name != "sqlite":
        return False
    found = op.get_bind().execute(
        sa.text("SELECT count(*) FROM pragma_module_list WHERE name = 'fts5'")
    )
    return bool(found.scalar())


def downgrade() -> None:
    if op.get_bind().dialect.name == "sqlite":
        op.execute("DROP TABLE IF EXISTS search_words")
    op.drop_table("search_state")
    op.drop_table("search_marks")
    op.drop_table("search_sessions")
    op.drop_table("search_entries")
