"""The rows of sessions, read and locked for a transaction; see `key_locks`."""

from __future__ import annotations

from convstore.db import models
from convstore.db.codec.records import SESSION_COLUMNS
from convstore.db.key_locks import KeyLocks
from convstore.db.key_locks import Row as Row

Key = tuple[str, str]

NAMES = [column.name for column in SESSION_COLUMNS]

_LOCKS: KeyLocks[Key] = KeyLocks(
    models.sessions, ("tenant_id", "session_id"), SESSION_COLUMNS
)
locked = _LOCKS.locked
free = _LOCKS.free
