"""The rows of sessions, read and locked for a transaction; see `key_locks`."""

from __future__ import annotations

from collections.abc import Collection

from sqlalchemy import Connection

from convstore.db import models
from convstore.db.codec.records import SESSION_COLUMNS
from convstore.db.dialects import dialect_of
from convstore.db.key_locks import KeyLocks
from convstore.db.key_locks import Row as Row

Key = tuple[str, str]

NAMES = [column.name for column in SESSION_COLUMNS]

# Sessions are inserted where there is none: a look more would be a trip to the server.
_LOCKS: KeyLocks[Key] = KeyLocks(
    models.sessions, ("tenant_id", "session_id"), SESSION_COLUMNS, confirms=False
)
locked = _LOCKS.locked
free = _LOCKS.free

# Of those whose rows nobody looks at: no more than the key and one column.
_HOLDS: KeyLocks[Key] = KeyLocks(
    models.sessions, ("tenant_id", "session_id"), SESSION_COLUMNS[:3], confirms=False
)


def hold(connection: Connection, keys: Collection[Key]) -> None:
    """Lock rows, waiting for whoever holds them."""
    if dialect_of(connection).has_row_locks:
        _HOLDS.locked(connection, keys)


def hold_free(connection: Connection, keys: Collection[Key]) -> set[Key]:
    """Lock rows that nobody else holds; the others, without waiting for them."""
    if not dialect_of(connection).has_row_locks:
        return set()
    return _HOLDS.free(connection, keys)[1]
