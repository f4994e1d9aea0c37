"""The columns that many tables have, the types of columns, and how a table is made."""

from __future__ import annotations

from typing import Any

from sqlalchemy import (
    BigInteger,
    Column,
    ColumnElement,
    Float,
    ForeignKeyConstraint,
    MetaData,
    PrimaryKeyConstraint,
    String,
    Table,
    Text,
    cast,
)
from sqlalchemy.types import TypeEngine, UserDefinedType


class JsonText(UserDefinedType[str]):
    """JSON as the text it came in: PostgreSQL's JSON type keeps it verbatim."""

    cache_ok = True

    def get_col_spec(self, **_: Any) -> str:
        return "JSON"

    def column_expression(self, column: ColumnElement[str]) -> ColumnElement[str]:
        """Read as text by every statement: a connection that an application made
        decodes JSON, and what it gives for it is not what was stored."""
        return cast(column, Text)


def key_text() -> TypeEngine[str]:
    """An id, or another short text that is part of a key."""
    # The C collation makes PostgreSQL order ids as SQLite and Python do: by code point.
    return String(255).with_variant(String(255, collation="C"), "postgresql")


def name_text() -> TypeEngine[str]:
    """A name that is part of a key and may be longer than an id."""
    # Longer than an id: namespaces of nested graphs grow with each level. What makes
    # them bounds their bytes, because a key of PostgreSQL holds some 2,700.
    return Text().with_variant(Text(collation="C"), "postgresql")


_JSON_TEXT: TypeEngine[str] = Text().with_variant(JsonText(), "postgresql")


def json_text() -> TypeEngine[str]:
    """JSON, kept as the text it came in."""
    return _JSON_TEXT


def is_json_text(column: Column[Any]) -> bool:
    """Whether a column is one of `json_text`."""
    return column.type is _JSON_TEXT


# A caller's fraction must come back bit for bit: double precision on both.
DOUBLE = Float(53)

metadata = MetaData(
    naming_convention={
        "pk": "pk_%(table_name)s",
        "fk": "fk_%(table_name)s_%(referred_table_name)s",
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    }
)


def table(
    name: str, *parts: Any, key: tuple[str, ...], comment: str, wide: bool = False
) -> Table:
    """A table of ours; `wide`: rows that fill a good part of a page."""
    # In a table WITHOUT ROWID a row above a quarter of a page has a page of its own.
    return Table(
        name,
        metadata,
        *parts,
        PrimaryKeyConstraint(*key),
        comment=comment,
        sqlite_with_rowid=wide,
    )


def tenant_id() -> Column[str]:
    """The head of every key."""
    return Column("tenant_id", key_text(), nullable=False, comment="the wall")


def session_id() -> Column[str]:
    """Whose row it is, within the tenant."""
    return Column("session_id", key_text(), nullable=False, comment="within the tenant")


def of_session() -> ForeignKeyConstraint:
    """No row of a session without the session."""
    return ForeignKeyConstraint(
        ["tenant_id", "session_id"], ["sessions.tenant_id", "sessions.session_id"]
    )


def time_column(name: str, comment: str, nullable: bool = False) -> Column[int]:
    """A moment, in microseconds since 1970 (UTC)."""
    return Column(name, BigInteger, nullable=nullable, comment=comment)
