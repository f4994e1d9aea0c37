"""Whom the archived copies of a session name, for the erasure of one of them.

`archived_actors` says it of each session. It is written with the segment; a copy of
which nobody wrote it has no mark that it was looked through.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from sqlalchemy import (
    Column,
    Connection,
    Select,
    and_,
    bindparam,
    delete,
    exists,
    literal_column,
    null,
    or_,
    select,
    true,
    update,
)

from convstore.db import archive_entries, models
from convstore.db.actors import each_actor, touch
from convstore.db.archive_entries import ENTRY_COLUMNS, StoredEntry
from convstore.db.dialects import dialect_of
from convstore.db.dialects.base import Dialect
from convstore.db.holds import refuse_held
from convstore.db.session_ids import about_keys, of_sessions, same_session
from convstore.db.statements import Prepared
from convstore.db.unfinished import without_copies
from convstore.db.unit import Key, Unit
from convstore.vocabulary.codec import dumps

A = models.archived_actors.c
E = models.archive_entries.c
G = models.archive_segments.c
H = models.legal_holds.c
S = models.sessions.c

_KEPT = ("sealed", "quarantined")


def actors(connection: Connection, tenant: str, after: str, limit: int) -> list[str]:
    """Actors of a tenant that copies may name, in order, beyond `after`."""
    return each_actor(connection, models.archived_actors, tenant, after, limit)


def note(connection: Connection, named: Mapping[Key, Collection[str]]) -> None:
    """Note whom copies of sessions name; what is noted already stays."""
    rows = [(*key, actor) for key in sorted(named) for actor in sorted(named[key])]
    if rows:
        _NOTE.run(connection, {"bound": dumps(rows).decode()})


def unnoted(connection: Connection, tenant: str, after: str, limit: int) -> list[str]:
    """Segments with copies of which it was not noted whom they name, by id."""
    return list(
        connection.scalars(
            select(E.segment_id)
            .where(
                E.tenant_id == tenant, E.actors_noted.is_(None), E.segment_id > after
            )
            .distinct()
            .order_by(E.segment_id)
            .limit(limit)
        )
    )


def to_be_read(connection: Connection, segment_id: str) -> list[StoredEntry]:
    """Those of such a segment's copies that may name anybody, in file order.

    The only copy of a session without acts and holds does not: its stub counts them.
    """
    silent = and_(
        E.state == literal_column("'committed'"),
        S.segment_id == E.segment_id,
        S.interaction_count == 0,
        ~exists().where(same_session(H, E)),
    )
    statement = (
        select(*ENTRY_COLUMNS)
        .join(models.sessions, same_session(S, E))
        .where(E.segment_id == segment_id, E.actors_noted.is_(None), ~silent)
        .order_by(E.ordinal)
    )
    return [StoredEntry(*row) for row in connection.execute(statement)]


def note_segment(
    connection: Connection,
    segment_id: str,
    named: Mapping[Key, Collection[str]],
    unread: Collection[Key],
) -> None:
    """Note whom the copies of a segment name, but of those that could not be read, and
    those that are not there any more. The segment is locked."""
    there = {e.key for e in archive_entries.of_segment(connection, segment_id)}
    note(connection, {key: named[key] for key in named.keys() & there})
    left = {"segment": segment_id, **about_keys(unread)}
    _MARK_NOTED.run(connection, left)


def segments_naming(connection: Connection, tenant: str, actor: str) -> list[str]:
    """Segments with a copy that may name an actor."""
    return list(
        connection.scalars(
            _naming(E.segment_id)
            .join(models.archive_segments, G.segment_id == E.segment_id)
            .where(A.tenant_id == tenant, A.actor_id == actor)
            .where(or_(*(G.state == state for state in _KEPT)))
            .distinct()
        )
    )


def copies_naming(
    connection: Connection, segment_id: str, tenant: str, actor: str
) -> list[StoredEntry]:
    """The copies in a segment that may name an actor, in file order."""
    statement = (
        _naming(*ENTRY_COLUMNS)
        .where(A.tenant_id == tenant, A.actor_id == actor, E.segment_id == segment_id)
        .order_by(E.ordinal)
    )
    return [StoredEntry(*row) for row in connection.execute(statement)]


def note_renamed(
    unit: Unit,
    segment_id: str,
    named: Mapping[Key, Collection[str]],
    now: int,
) -> int:
    """Note that copies were written anew, in a segment that is sealed, and whom they
    name now: what the stubs stand for has changed. To be flushed.

    Returns:
        The sessions of which no other copy was written anew before, such as by somebody
        who died on the way.

    Raises:
        LegalHoldError: One of the sessions came under hold since they were looked at.
    """
    # Sessions before rows about them, as whoever destroys one takes its locks.
    refuse_held(unit, named.keys())
    noted = set(_NOTED.all(unit.connection, about_keys(named.keys())))
    fresh = sum(
        not noted.issuperset((*key, actor) for actor in named[key]) for key in named
    )
    note(unit.connection, named)
    here = [
        key for key in named if (h := unit.find(key)) and _lies_in(h.row, segment_id)
    ]
    touch(unit, here, now)
    return fresh


def _lies_in(row: Mapping[str, Any], segment_id: str) -> bool:
    return bool(row["segment_id"] == segment_id)


def forget_gone(connection: Connection, keys: Collection[Key]) -> None:
    """Forget whom sessions named of which no copy must be kept: an erasure beside
    their own, which read a copy before, has noted it again."""
    if keys:
        _FORGET_GONE.run(connection, about_keys(keys))


def forget(
    connection: Connection,
    tenant: str,
    actor: str,
    *,
    read: Collection[str],
    missing: Collection[str],
    still: Collection[Key],
) -> int:
    """Forget whom an actor's sessions named, where no copy does any more.

    Args:
        connection: In a transaction.
        tenant: Whose.
        actor: The former name.
        read: Segments that were looked through, or written anew.
        missing: Segments without a file. Should one come back, it is looked through
            as one that nobody knows.
        still: Sessions of which a copy names the actor for what was done later.

    Returns:
        How many were left that have a copy in another segment: sealed meanwhile.
    """
    # Locked before the ledger is asked: whoever seals a segment that names the actor
    # has noted it in the same commit, and is waited for, or waits.
    rows = select(A.session_id).where(A.tenant_id == tenant, A.actor_id == actor)
    locked = dialect_of(connection).locked(rows, models.archived_actors)
    keys = {(tenant, session_id) for session_id in connection.scalars(locked)}
    keys -= set(still)
    known = {*read, *missing}
    elsewhere = {
        (tenant, session_id)
        for session_id, segment_id in connection.execute(
            _naming(E.session_id, E.segment_id)
            .join(models.archive_segments, G.segment_id == E.segment_id)
            .where(A.tenant_id == tenant, A.actor_id == actor)
            .where(or_(*(G.state == state for state in _KEPT)))
        )
        if segment_id not in known
    }
    going = sorted(keys - elsewhere)
    if going:
        _FORGET.run(connection, {**about_keys(going), "was": actor})
        for segment_id in missing:
            _UNMARK.run(connection, {**about_keys(going), "segment": segment_id})
    return len(keys & elsewhere)


def _naming(*columns: Any) -> Select[Any]:
    return select(*columns).join(models.archived_actors, same_session(A, E))


def _worded_note(dialect: Dialect) -> Any:
    columns: list[Column[str]] = [*models.archived_actors.c]
    bound = dialect.bound_rows(*(column.name for column in columns))
    # SQLite takes ON CONFLICT for a join's ON where nothing parts the two.
    rows = select(*bound.c).where(true())
    new = dialect.new_insert(models.archived_actors)
    # Written where it is there already, too: `forget` waits for whoever notes it again.
    return new.from_select([c.name for c in columns], rows).on_conflict_do_update(
        index_elements=columns, set_={"actor_id": new.excluded.actor_id}
    )


_NOTE = Prepared(_worded_note)
_NOTED = Prepared(
    lambda dialect: select(A.tenant_id, A.session_id, A.actor_id).where(
        of_sessions(dialect, models.archived_actors)
    )
)
_MARK_NOTED = Prepared(
    lambda dialect: (
        update(models.archive_entries)
        .where(
            E.segment_id == bindparam("segment"),
            E.actors_noted.is_(None),
            ~of_sessions(dialect, models.archive_entries),
        )
        .values(actors_noted=literal_column("1"))
    )
)
_UNMARK = Prepared(
    lambda dialect: (
        update(models.archive_entries)
        .where(
            E.segment_id == bindparam("segment"),
            of_sessions(dialect, models.archive_entries),
        )
        .values(actors_noted=null())
    )
)
_FORGET_GONE = Prepared(
    lambda dialect: delete(models.archived_actors).where(
        of_sessions(dialect, models.archived_actors),
        exists().where(same_session(S, A), without_copies()),
    )
)
_FORGET = Prepared(
    lambda dialect: delete(models.archived_actors).where(
        of_sessions(dialect, models.archived_actors), A.actor_id == bindparam("was")
    )
)
