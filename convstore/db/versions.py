"""The cheapest question about a session: is it still the same?"""

from __future__ import annotations

from collections.abc import Iterable

from sqlalchemy import Connection, bindparam, select

from convstore.db import branches, models, sessions
from convstore.db.statements import Prepared
from convstore.db.unit import Key
from convstore.vocabulary.clock import to_micros
from convstore.vocabulary.records import Session, Turn

S = models.sessions.c
_STATEMENT = select(S.version, S.updated_at).where(
    S.tenant_id == bindparam("tenant"), S.session_id == bindparam("id")
)
_ONE = Prepared(lambda _: _STATEMENT)


def is_same(connection: Connection, key: Key, session: Session | None) -> bool:
    """Whether the database's session is this one.

    Compares the time of change too: a database that was restored from a backup gives
    versions out again.
    """
    rows = _ONE.all(connection, {"tenant": key[0], "id": key[1]})
    if session is None:
        return not rows
    known = session.version, to_micros(session.updated_at)
    return bool(rows) and tuple(rows[0]) == known


def versions(connection: Connection, keys: Iterable[Key]) -> dict[Key, int]:
    """The version of each session that exists."""
    found = {}
    for key in keys:
        rows = _ONE.all(connection, {"tenant": key[0], "id": key[1]})
        if rows:
            found[key] = int(rows[0][0])
    return found


def load(
    connection: Connection, key: Key, limit: int
) -> tuple[Session | None, list[Turn]]:
    """A session in any state and, if it is live, its newest turns, oldest first.

    To be read in one snapshot.
    """
    session = sessions.find(connection, key)
    if session is None or session.state != "active" or limit == 0:
        return session, []
    return session, branches.newest(connection, key, limit, None)
