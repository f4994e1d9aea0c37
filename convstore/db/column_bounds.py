"""Whether what comes from outside fits the columns that it is for."""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import cache
from math import inf
from typing import Any

from sqlalchemy import Column, String, Table

from convstore.db import models
from convstore.db.codec.documents import hold_rows, session_row
from convstore.db.unit import Row
from convstore.vocabulary.codec import INT64_MAX, INT64_MIN
from convstore.vocabulary.documents import encode_document
from convstore.vocabulary.errors import InvalidInputError
from convstore.vocabulary.records import SessionDocument

# An escape, and not the text of one: the backslash before it is not escaped itself.
_NUL = re.compile(rb"(?<!\\)(?:\\\\)*\\u0000")
_NUL_ESCAPE = rb"\u0000"


def check_rows(document: SessionDocument) -> None:
    """Check that a session's own rows, and its holds, can be stored as they are.

    Raises:
        InvalidInputError: A value does not fit its column, or its text no database.
    """
    rows = [session_row(document.session)]
    check_columns(models.sessions, rows)
    check_columns(models.legal_holds, hold_rows(document))
    line = encode_document(document)
    # The escape is nearly never there, and looked for a hundred times as fast.
    if _NUL_ESCAPE in line and _NUL.search(line):
        raise InvalidInputError("document", "contains NUL")


def check_columns(table: Table, rows: Iterable[Row]) -> None:
    """SQLite would take what PostgreSQL refuses: both refuse it here."""
    columns = _bounds(table)
    for row in rows:
        for name, nullable, room in columns:
            value = row.get(name)
            if value is None:
                if not nullable and name in row:
                    raise InvalidInputError(f"{table.name}.{name}", "is missing")
            elif isinstance(value, str) and len(value) > room:
                raise InvalidInputError(
                    f"{table.name}.{name}", f"has over {room} characters"
                )
            elif type(value) is int and not INT64_MIN <= value <= INT64_MAX:
                raise InvalidInputError(f"{table.name}.{name}", "is beyond 64 bits")


@cache
def _bounds(table: Table) -> list[tuple[str, bool, float]]:
    """Of each column its name, whether it may be null, and the characters that fit."""
    return [(column.name, bool(column.nullable), _room(column)) for column in table.c]


def _room(column: Column[Any]) -> float:
    length = column.type.length if isinstance(column.type, String) else None
    return inf if length is None else length
