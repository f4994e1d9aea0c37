"""Many rows that a statement is given as one text of JSON, where a server is far.

As an array for each column they would cost the client more than all else of an append:
asyncpg asks of every value in an array whether it is an array itself.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import (
    JSON,
    Column,
    Subquery,
    Text,
    bindparam,
    cast,
    func,
    select,
)

from convstore.db.models.columns import is_json_text
from convstore.vocabulary.codec import dumps_rows


def given_rows(name: str, columns: Sequence[Column[Any]]) -> Subquery:
    """A table of these columns, whose rows are bound to `name` as `text_of` has them.

    PostgreSQL's alone.
    """
    # JSON is bound as its text: as JSON it would be a text within.
    bound = [Column(c.name, Text if is_json_text(c) else c.type) for c in columns]
    rows = func.json_to_recordset(bindparam(name)).table_valued(*bound)
    raw = rows.render_derived(name=f"{name}_raw", with_types=True)
    named = [
        cast(raw.c[c.name], JSON).label(c.name) if is_json_text(c) else raw.c[c.name]
        for c in columns
    ]
    return select(*named).subquery(name)


def text_of(rows: Sequence[Mapping[str, Any]]) -> str:
    """What is bound for rows; what else they hold than the columns is passed over."""
    return dumps_rows(rows).decode()
