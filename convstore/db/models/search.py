"""The index of words, and how far it is."""

from __future__ import annotations

from typing import Any

from sqlalchemy import BigInteger, Column, Index, String, Text
from sqlalchemy.types import UserDefinedType

from convstore.db.models.columns import key_text, session_id, table, tenant_id
from convstore.db.models.indexes import inverted_index

WORDS = "search_words"
"""SQLite's index of words: a virtual table that only migrations make, and the
beginning of the names of those behind it."""


class Words(UserDefinedType[str]):
    """PostgreSQL's words with their places, named here: its dialect is slow to load."""

    cache_ok = True

    def get_col_spec(self, **_: Any) -> str:
        return "TSVECTOR"


search_entries = table(
    "search_entries",
    Column(
        "id",
        BigInteger,
        nullable=False,
        autoincrement=False,
        comment="microseconds of when it was said, times 1,024, and a number for ties",
    ),
    tenant_id(),
    session_id(),
    Column("kind", String(8), nullable=False, comment="title, turn or comment"),
    Column("seq", BigInteger, nullable=False, comment="of the turn or interaction"),
    Column(
        "words",
        Text().with_variant(Words(), "postgresql"),
        comment="with their places and whom they are for; SQLite has search_words",
    ),
    Index("ix_search_entries_session", "tenant_id", "session_id"),
    # Its list of what is yet to be sorted in is short: each search reads it through.
    inverted_index("ix_search_entries_words", "words"),
    key=("id", "tenant_id"),
    comment="What can be found, in the order in which it was said.",
)

search_sessions = table(
    "search_sessions",
    tenant_id(),
    session_id(),
    Column("user_id", key_text(), comment="owner for whom the words are"),
    Column(
        "turn_count", BigInteger, nullable=False, comment="turns that were looked at"
    ),
    Column(
        "interaction_count",
        BigInteger,
        nullable=False,
        comment="interactions that were looked at",
    ),
    Column("title_words", Text, comment="the words of a title that is in the index"),
    key=("tenant_id", "session_id"),
    comment="How much of a session is in the index of words.",
)

search_marks = table(
    "search_marks",
    tenant_id(),
    session_id(),
    Column(
        "number",
        BigInteger,
        nullable=False,
        autoincrement=False,
        comment="the version that the commit came to; SQLite has one mark, of number 0",
    ),
    key=("tenant_id", "session_id", "number"),
    comment="Sessions with something that is not in the index of words yet.",
)

search_state = table(
    "search_state",
    Column(
        "tenant_id", key_text(), nullable=False, comment="empty: the state of the whole"
    ),
    Column("rules", BigInteger, nullable=False, comment="of words; 0: make it anew"),
    Column(
        "epoch",
        BigInteger,
        nullable=False,
        comment="grows when something may be written without a mark; of a tenant, the "
        "one for which its sessions were looked through",
    ),
    Column("after", key_text(), comment="the session up to which they were"),
    key=("tenant_id",),
    comment="Whether the index of words can be relied on.",
)
