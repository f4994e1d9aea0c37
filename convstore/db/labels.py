"""Which labels a session's effective feedback has: rows beside `feedback_counts`.

They say what the session's row says, so that sessions can be found by a label, and
change in the same transaction. A label that nobody holds any more has no row.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from sqlalchemy import Connection, bindparam, delete, insert

from convstore.db import models
from convstore.db.statements import BOUND, Prepared
from convstore.vocabulary.ids import MAX_ID_CHARS

Key = tuple[str, str]
_L = models.session_labels
_IDENTITY = ("tenant_id", "session_id", "label")
_REMOVE = Prepared(
    lambda _: delete(_L).where(
        *(_L.c[name] == bindparam(BOUND + name) for name in _IDENTITY)
    )
)
_REMOVE_ALL = Prepared(
    lambda _: delete(_L).where(
        *(_L.c[name] == bindparam(BOUND + name) for name in _IDENTITY[:2])
    )
)
_ADD = Prepared(lambda _: insert(_L))


def write(connection: Connection, counts: Mapping[tuple[str, str, str], int]) -> None:
    """Set the counts of labels of sessions, by tenant, session and label."""
    if not counts:
        return
    named = [dict(zip(_IDENTITY, place, strict=True)) for place in counts]
    _REMOVE.many(connection, named)
    _add(connection, counts)


def replace(connection: Connection, key: Key, counts: Mapping[str, int]) -> None:
    """Make the labels of one session these, and no others."""
    remove(connection, [key])
    _add(connection, {(*key, label): count for label, count in counts.items()})


def remove(connection: Connection, keys: Sequence[Key]) -> None:
    """Forget the labels of sessions."""
    if keys:
        named = [dict(zip(_IDENTITY, key, strict=False)) for key in keys]
        _REMOVE_ALL.many(connection, named)


def _add(connection: Connection, counts: Mapping[tuple[str, str, str], int]) -> None:
    rows = [
        {**dict(zip(_IDENTITY, place, strict=True)), "count": count}
        for place, count in counts.items()
        if count > 0 and len(place[2]) <= MAX_ID_CHARS
    ]
    if rows:
        _ADD.many(connection, rows)
