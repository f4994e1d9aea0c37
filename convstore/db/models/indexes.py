"""Indexes of which a dialect must know more than their columns.

An option of PostgreSQL's makes SQLAlchemy load that dialect, which takes longer than
all tables here together: it is given only where PostgreSQL is meant.
"""

from __future__ import annotations

from sqlalchemy import Index, TextClause, text

_waiting: list[tuple[Index, str, object]] = []


def partial_index(
    name: str, *columns: str, where: TextClause, unique: bool = False
) -> Index:
    """An index of the rows that meet a condition, on both databases."""
    made = Index(name, *columns, unique=unique, sqlite_where=where)
    _waiting.append((made, "postgresql_where", where))
    return made


def inverted_index(name: str, column: str) -> Index:
    """PostgreSQL's index of the words in a column; SQLite has none."""
    made = Index(name, column, sqlite_where=text("0"))
    _waiting.append((made, "postgresql_using", "gin"))
    return made


def tell_postgres() -> None:
    """Give the indexes what PostgreSQL is to know of them; needed before they are made
    there, or compared. Idempotent; loads the dialect."""
    for index, option, value in _waiting:
        index.dialect_kwargs[option] = value
