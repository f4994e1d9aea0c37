"""The archive's ledger: which segment files there are, and which session is where."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

from msgspec.structs import replace
from sqlalchemy import (
    Connection,
    Select,
    and_,
    bindparam,
    delete,
    func,
    insert,
    literal_column,
    select,
    update,
)

from convstore.db import archive_entries, models
from convstore.db.archive_entries import ENTRY_COLUMNS, StoredEntry
from convstore.db.dialects import dialect_of
from convstore.db.dialects.base import Dialect
from convstore.db.session_ids import (
    about_keys,
    among,
    naming,
    of_sessions,
    one_of,
)
from convstore.db.statements import BOUND, Prepared
from convstore.db.unit import Key
from convstore.vocabulary.record import Value, names_of

E = models.archive_entries.c
G = models.archive_segments.c
S = models.sessions.c


class StoredSegment(Value, frozen=True):
    """One segment file as the ledger knows it."""

    segment_id: str
    state: str
    key: str
    size_bytes: int
    raw_bytes: int
    sha256: str
    entry_count: int
    written_by: str | None
    problem: str | None
    created_at: int
    sealed_at: int | None
    verified_at: int | None


SEGMENT_COLUMNS = [models.archive_segments.c[n] for n in names_of(StoredSegment)]


def _places(dialect: Dialect) -> Select[Any]:
    bound = dialect.bound_rows("tenant_id", "session_id")
    same = and_(
        *(models.sessions.c[name] == bound.c[name] for name in bound.c.keys())  # noqa: SIM118
    )
    return (
        select(
            S.tenant_id, S.session_id, S.segment_id, *ENTRY_COLUMNS, *SEGMENT_COLUMNS
        )
        .select_from(
            bound.join(models.sessions, same)
            .outerjoin(
                models.archive_entries,
                and_(
                    E.tenant_id == S.tenant_id,
                    E.session_id == S.session_id,
                    E.segment_id == S.segment_id,
                ),
            )
            .outerjoin(models.archive_segments, G.segment_id == S.segment_id)
        )
        .where(S.state.in_([literal_column("'archived'"), literal_column("'deleted'")]))
    )


_PLACES = Prepared(_places)
_MOVE_STUBS = Prepared(
    lambda dialect: (
        update(models.sessions)
        .where(of_sessions(dialect, models.sessions), S.segment_id == bindparam("old"))
        .values(segment_id=bindparam(f"{BOUND}new"))
    )
)


def begin(
    connection: Connection, segment_id: str, key: str, written_by: str, now: int
) -> None:
    """Announce a segment that `written_by` is about to write."""
    connection.execute(
        insert(models.archive_segments),
        {
            "segment_id": segment_id,
            "state": "writing",
            "key": key,
            "size_bytes": 0,
            "raw_bytes": 0,
            "sha256": "",
            "entry_count": 0,
            "written_by": written_by,
            "problem": None,
            "created_at": now,
            "sealed_at": None,
            "verified_at": None,
        },
    )


def seal(
    connection: Connection, segment: StoredSegment, entries: Sequence[StoredEntry]
) -> bool:
    """Make a written segment known and final; False if it was given up meanwhile."""
    done = connection.execute(
        update(models.archive_segments)
        .where(G.segment_id == segment.segment_id, G.state == "writing")
        .values(
            state="sealed",
            size_bytes=segment.size_bytes,
            raw_bytes=segment.raw_bytes,
            sha256=segment.sha256,
            entry_count=len(entries),
            sealed_at=segment.sealed_at,
            verified_at=segment.sealed_at,
        )
    )
    if done.rowcount != 1:
        return False
    archive_entries.add(connection, entries, segment.sealed_at or 0)
    return True


def add_sealed(
    connection: Connection, segment: StoredSegment, entries: Sequence[StoredEntry]
) -> None:
    """Take up a segment whose file is there already; for rebuilding and rewriting."""
    row = {name: getattr(segment, name) for name in names_of(StoredSegment)}
    connection.execute(insert(models.archive_segments), row)
    archive_entries.add(connection, entries, segment.created_at)


def find(connection: Connection, segment_id: str) -> StoredSegment | None:
    """One segment of the ledger."""
    row = connection.execute(
        select(*SEGMENT_COLUMNS).where(G.segment_id == segment_id)
    ).one_or_none()
    return None if row is None else StoredSegment(*row)


def by_state(
    connection: Connection, *states: str, limit: int | None = None
) -> list[StoredSegment]:
    """Segments in one of the states, the longest unverified first."""
    statement = (
        select(*SEGMENT_COLUMNS)
        .where(one_of(G.state, states))
        .order_by(func.coalesce(G.verified_at, 0), G.segment_id)
    )
    if limit is not None:
        statement = statement.limit(limit)
    return [StoredSegment(*row) for row in connection.execute(statement)]


def lock(connection: Connection, segment_id: str) -> StoredSegment | None:
    """One segment, which nobody else changes until the transaction ends.

    Whoever purges into a segment, or replaces it, takes this lock first and then those
    of sessions: so a stub never comes to name a segment that is being destroyed.
    """
    statement = select(*SEGMENT_COLUMNS).where(G.segment_id == segment_id)
    row = connection.execute(
        dialect_of(connection).locked(statement, models.archive_segments)
    ).one_or_none()
    return None if row is None else StoredSegment(*row)


def change_state(
    connection: Connection,
    segment_id: str,
    state: str,
    *,
    was: tuple[str, ...],
    problem: str | None = None,
    verified_at: int | None = None,
) -> bool:
    """Note what has become of a segment, if it still is in one of the states `was`.

    False, and nothing is changed, when somebody else has decided about it meanwhile.
    """
    values: dict[str, Any] = {"state": state, "problem": problem}
    if verified_at is not None:
        values["verified_at"] = verified_at
    done = connection.execute(
        update(models.archive_segments)
        .where(G.segment_id == segment_id, one_of(G.state, was))
        .values(values)
    )
    return done.rowcount == 1


def quarantine(
    connection: Connection,
    segment_id: str,
    problem: str,
    *,
    verified_at: int | None = None,
) -> bool:
    """Note that a segment is damaged. What was not purged into it yet never will be;
    the file stays, for a person to look. False if it is sealed no more."""
    found = change_state(
        connection,
        segment_id,
        "quarantined",
        was=("sealed", "quarantined"),
        problem=problem[:255],
        verified_at=verified_at,
    )
    if found:
        pending = archive_entries.of_segment(connection, segment_id, "sealed")
        archive_entries.set_state(
            connection, segment_id, [e.key for e in pending], "stale"
        )
    return found


def states(connection: Connection, segment_ids: Collection[str]) -> dict[str, str]:
    """The states of those of the segments that the ledger ever knew."""
    named = among(dialect_of(connection), G.segment_id)
    known = select(G.segment_id, G.state).where(named)
    rows = connection.execute(known, naming(segment_ids))
    return {segment_id: state for segment_id, state in rows}  # noqa: C416


def cancel_writing(connection: Connection) -> None:
    """Let no segment be sealed that is being written now: it may hold a copy of what
    this transaction erases. Its sessions come round again."""
    connection.execute(
        update(models.archive_segments)
        .where(G.state == "writing")
        .values(state="deleting")
    )


def replace_segment(
    connection: Connection,
    old_id: str,
    new: StoredSegment | None,
    entries: Sequence[StoredEntry],
) -> bool:
    """Point everything at the rewritten segment; the old one may then be deleted.

    What the old entries are worth passes to the new ones. False, and nothing is
    changed, when somebody else has replaced the old segment, or given up the new one.
    """
    old = lock(connection, old_id)
    if old is None or old.state not in ("sealed", "quarantined"):
        return False
    if new is not None:
        begun = lock(connection, new.segment_id)
        if begun is None or begun.state != "writing":
            return False
    # Locked: a restore that is under way settles its entry first, or sees the new one.
    statement = select(*ENTRY_COLUMNS).where(E.segment_id == old_id)
    rows = connection.execute(
        dialect_of(connection).locked(statement, models.archive_entries)
    )
    there = {row.key: row for row in (StoredEntry(*found) for found in rows)}
    kept = [
        replace(
            entry,
            state=there[entry.key].state,
            actors_noted=there[entry.key].actors_noted,
        )
        for entry in entries
        if entry.key in there
    ]
    connection.execute(delete(models.archive_entries).where(E.segment_id == old_id))
    if new is not None:
        seal(connection, new, kept)
        if new.state == "quarantined":
            quarantine(connection, new.segment_id, new.problem or "")
        move_stubs(connection, list(there), old_id, new.segment_id)
    return change_state(connection, old_id, "deleting", was=("sealed", "quarantined"))


def move_stubs(
    connection: Connection, keys: Collection[Key], old_id: str, new_id: str
) -> None:
    """Let the stubs of sessions name another segment, where they name the old one.

    By their keys: no index has the segments that stubs name, and a look at every stub
    takes seconds where there are millions.
    """
    if keys:
        _MOVE_STUBS.run(connection, {**about_keys(keys), "old": old_id, "new": new_id})


def forget(connection: Connection, segment_id: str) -> None:
    """Remove the entries of a segment whose file is gone, and say so."""
    if change_state(connection, segment_id, "deleted", was=("writing", "deleting")):
        connection.execute(
            delete(models.archive_entries).where(E.segment_id == segment_id)
        )


def drop(connection: Connection, segment_id: str) -> None:
    """Remove the row of a segment, so that it can be taken up anew."""
    connection.execute(
        delete(models.archive_segments).where(G.segment_id == segment_id)
    )


@dataclass(frozen=True, slots=True)
class Place:
    """Where the copy of a session lies, as far as the ledger says.

    Without `segment_id` there is none: it was deleted without one.
    """

    key: Key
    segment_id: str | None
    entry: StoredEntry | None
    segment: StoredSegment | None


def places(connection: Connection, keys: Sequence[Key]) -> list[Place]:
    """Where sessions lie that are archived, or deleted; the others are left out."""
    width = 3 + len(ENTRY_COLUMNS)
    found = []
    for row in _PLACES.all(connection, about_keys(keys)):
        entry, segment = tuple(row[3:width]), tuple(row[width:])
        found.append(
            Place(
                (row[0], row[1]),
                row[2],
                None if entry[0] is None else StoredEntry(*entry),
                None if segment[0] is None else StoredSegment(*segment),
            )
        )
    return found


def archived_sessions(
    connection: Connection,
    tenant: str,
    *,
    after: str,
    limit: int,
    user_id: str | None = None,
    back: bool = False,
) -> list[Any]:
    """Archived sessions of a tenant by id, beyond `after`, with place and size; `back`,
    those before it, the last one first."""
    statement = (
        select(
            S.session_id,
            S.user_id,
            S.title,
            S.turn_count,
            S.archived_at,
            S.segment_id,
            E.length,
        )
        .join(
            models.archive_entries,
            and_(
                E.tenant_id == S.tenant_id,
                E.session_id == S.session_id,
                E.segment_id == S.segment_id,
            ),
        )
        .where(
            S.tenant_id == tenant,
            S.session_id < after if back else S.session_id > after,
            S.state == "archived",
        )
        .order_by(S.session_id.desc() if back else S.session_id)
        .limit(limit)
    )
    if user_id is not None:
        statement = statement.where(S.user_id == user_id)
    return list(connection.execute(statement).all())


def totals(connection: Connection) -> dict[str, tuple[int, int]]:
    """Number and bytes of segments by state."""
    rows = connection.execute(
        select(
            G.state, func.count(), func.coalesce(func.sum(G.size_bytes), 0)
        ).group_by(G.state)
    )
    return {state: (count, int(size)) for state, count, size in rows}
