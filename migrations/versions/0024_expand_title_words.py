"""Expand: the words of titles, to find sessions by.

Adds the table `session_title_words` and fills it from the titles that there are, in
steps of 10,000 sessions. Nobody waits for it on PostgreSQL. Code of before works beside
it, and leaves the words of titles that it sets as they were: such a session is found by
its title once that is set again.
"""

import json

import sqlalchemy as sa
from alembic import op

from convstore.search.words import words_of

revision = "convstore_0024"
down_revision = "convstore_0023"
branch_labels = None
depends_on = None

_STEP = 10_000


def _key() -> sa.String:
    return sa.String(255).with_variant(sa.String(255, collation="C"), "postgresql")


def upgrade() -> None:
    op.create_table(
        "session_title_words",
        sa.Column("tenant_id", _key(), nullable=False, comment="the wall"),
        sa.Column("session_id", _key(), nullable=False, comment="within the tenant"),
        sa.Column("word", _key(), nullable=False, comment="without case and accents"),
        sa.PrimaryKeyConstraint(
            "tenant_id", "session_id", "word", name=op.f("pk_session_title_words")
        ),
        comment="The words of sessions.title, to find sessions by.",
        sqlite_with_rowid=False,
    )
    _fill()
    op.create_index(
        "ix_session_title_words_word",
        "session_title_words",
        ["tenant_id", "word", "session_id"],
    )


def downgrade() -> None:
    op.drop_table("session_title_words")


def _fill():
    postgres = op.get_bind().dialect.name == "postgresql"
    each = (
        "SELECT r->>0, r->>1, r->>2 FROM json_array_elements(CAST(:rows AS json)) AS r"
        if postgres
        else "SELECT json_extract(r.value, '$[0]'), json_extract(r.value, '$[1]'), "
        "json_extract(r.value, '$[2]') FROM json_each(:rows) AS r"
    )
    add = sa.text(
        f"INSERT INTO session_title_words (tenant_id, session_id, word) {each}"
    )
    for page in _pages():
        rows = [
            (tenant, session, word)
            for tenant, session, title in page
            for word in dict.fromkeys(words_of(title))
        ]
        op.get_bind().execute(add, {"rows": json.dumps(rows)})


def _pages():
    """Sessions with a title in the order of their keys, a bounded number at a time."""
    query = sa.text(
        "SELECT tenant_id, session_id, title FROM sessions WHERE title IS NOT NULL "
        "AND (tenant_id, session_id) > (:tenant, :session) "
        f"ORDER BY tenant_id, session_id LIMIT {_STEP}"
    )
    last = ("", "")
    while True:
        given = dict(zip(("tenant", "session"), last, strict=True))
        rows = op.get_bind().execute(query, given).all()
        yield rows
        if len(rows) < _STEP:
            return
        last = rows[-1][:2]
