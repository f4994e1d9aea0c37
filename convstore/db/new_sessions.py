"""Sessions of many callers made with one statement, where each statement is a journey
to a server.

Made alone, a session costs the server a statement, and its counting trigger another.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from sqlalchemy import Insert, select

from convstore.db import models
from convstore.db.codec.records import SESSION_COLUMNS
from convstore.db.dialects.base import Dialect
from convstore.db.given_rows import given_rows, text_of
from convstore.db.imported_sessions import ImportDocument, ImportSession
from convstore.db.sessions import EnsureSession
from convstore.db.statements import Prepared
from convstore.db.unit import Key, Operation, Row, Unit, keys_of


def make_missing(unit: Unit, operations: Iterable[Operation[Any]]) -> None:
    """Insert the sessions that operations will make, before these are carried out.

    The heads are loaded, so nobody else of this release makes one meanwhile. A session
    that an earlier operation of the batch asks for is left alone: that one must not
    find it yet. Each becomes known to the unit when its own operation makes it.
    """
    rows = _missing(unit, operations)
    if len(rows) < 2:
        return
    made = _INSERT.all(unit.connection, {"given": text_of(list(rows.values()))})
    unit.inserted_ahead |= {(tenant, name): rows[tenant, name] for tenant, name in made}


def _missing(unit: Unit, operations: Iterable[Operation[Any]]) -> dict[Key, Row]:
    seen: set[Key] = set()
    rows: dict[Key, Row] = {}
    for operation in operations:
        if (
            isinstance(operation, _MAKERS)
            and operation.key not in seen
            and unit.known(operation.key) is None
            and (row := operation.new_row()) is not None
        ):
            rows[operation.key] = row
        seen.update(keys_of(operation))
    return rows


def _insert(dialect: Dialect) -> Insert:
    given = given_rows("given", _COLUMNS)
    names = [column.name for column in _COLUMNS]
    keys = models.sessions.c.tenant_id, models.sessions.c.session_id
    found: Insert = dialect.insert_ignore(models.sessions)
    return found.from_select(names, select(*given.c)).returning(*keys)


_MAKERS = (EnsureSession, ImportSession, ImportDocument)
"""`new_row` of each is the row of the session that it makes where there is none."""

_COLUMNS = [models.sessions.c[column.name] for column in SESSION_COLUMNS]
_INSERT = Prepared(_insert)
