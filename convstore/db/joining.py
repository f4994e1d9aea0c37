"""What the ledger says and notes when small segments are joined to a large one."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from msgspec.structs import replace
from sqlalchemy import (
    Connection,
    Select,
    and_,
    delete,
    literal_column,
    or_,
    select,
)

from convstore.db import archive_entries, models, segments, unfinished
from convstore.db.archive_entries import ENTRY_COLUMNS, StoredEntry
from convstore.db.dialects import dialect_of
from convstore.db.segments import StoredSegment
from convstore.db.session_ids import one_of
from convstore.db.unit import Key

E = models.archive_entries.c
G = models.archive_segments.c
S = models.sessions.c

PAGE = 500

_SUPERSEDED = ("restored", "stale")


class Candidate(NamedTuple):
    """A segment that may be joined to others of its tenant."""

    segment_id: str
    key: str
    size_bytes: int
    entry_count: int
    tenant_id: str | None


@dataclass(frozen=True, slots=True)
class Contents:
    """What lies in a segment, and which of it nothing needs any more."""

    segment: StoredSegment
    entries: list[StoredEntry]
    superseded: set[Key]


def candidates(
    connection: Connection,
    after: str,
    *,
    below_bytes: float,
    below_entries: float,
    tenant: str | None = None,
) -> list[Candidate]:
    """Sealed segments smaller than so many bytes and sessions, by id, beyond `after`.

    Up to `PAGE`. Those with a purge under way are left out.
    """
    found = _candidates(after, below_bytes, below_entries, tenant)
    return [Candidate(*row) for row in connection.execute(found)]


def _candidates(
    after: str, below_bytes: float, below_entries: float, tenant: str | None
) -> Select[Any]:
    of_one = (
        select(E.tenant_id)
        .where(E.segment_id == G.segment_id)
        .limit(1)
        .scalar_subquery()
    )
    pending = unfinished.any_entry(E.state == "sealed")
    statement = (
        select(G.segment_id, G.key, G.size_bytes, G.entry_count, of_one)
        .where(
            G.segment_id > after,
            G.state == "sealed",
            G.size_bytes < below_bytes,
            G.entry_count < below_entries,
            pending.is_(None),
        )
        .order_by(G.segment_id)
        .limit(PAGE)
    )
    return statement if tenant is None else statement.where(of_one == tenant)


def contents(connection: Connection, segment_id: str, before: int) -> Contents | None:
    """A sealed segment that can be joined now; None for any other.

    Nothing needs a copy that rows or a later copy have superseded since `before`, by
    the same rule by which a whole segment is of no use (`unfinished.without_use`).
    """
    segment = segments.find(connection, segment_id)
    if segment is None or segment.state != "sealed":
        return None
    entries = archive_entries.of_segment(connection, segment_id)
    unsettled = any(entry.state == "sealed" for entry in entries)
    if unsettled or unfinished.unwanted(connection, segment_id):
        return None  # a purge, or an erasure, is to be finished first
    superseded: set[Key] = set()
    if segment.sealed_at is not None and segment.sealed_at < before:
        superseded = _superseded(connection, segment_id, before)
    return Contents(segment, entries, superseded)


def _superseded(connection: Connection, segment_id: str, before: int) -> set[Key]:
    rows = connection.execute(
        select(E.tenant_id, E.session_id)
        .join(
            models.sessions,
            and_(S.tenant_id == E.tenant_id, S.session_id == E.session_id),
        )
        .where(
            E.segment_id == segment_id,
            one_of(E.state, _SUPERSEDED),
            or_(S.segment_id.is_(None), S.segment_id != segment_id),
            or_(E.state == "stale", S.updated_at < before),
        )
    )
    return {(tenant, session_id) for tenant, session_id in rows}


def half_done(
    connection: Connection, tenant: str | None = None
) -> list[tuple[str, str]]:
    """Sealed segments with a copy that nobody needs yet, each with another that has the
    same one: a compaction ended between sealing the first and destroying the second.

    In order of the first. Both may also have come to be otherwise, such as by a rebuild
    in the middle of a compaction: one of them is superfluous all the same, and
    `take_over` says whether it is.
    """
    # Of one tenant only when all were found: with the tenant said, both databases go
    # through all copies that it has, by their key.
    return [
        (joined, one)
        for joined, one, owner in connection.execute(_half_done())
        if tenant is None or owner == tenant
    ]


def _half_done() -> Select[Any]:
    new, old = models.archive_entries.alias("new"), models.archive_entries.alias("old")
    of_new = models.archive_segments.alias("of_new")
    of_old = models.archive_segments.alias("of_old")
    return (
        select(new.c.segment_id, old.c.segment_id, new.c.tenant_id)
        .join(
            old,
            and_(
                old.c.tenant_id == new.c.tenant_id,
                old.c.session_id == new.c.session_id,
                old.c.segment_id != new.c.segment_id,
                old.c.sha256 == new.c.sha256,
            ),
        )
        .join(of_new, of_new.c.segment_id == new.c.segment_id)
        .join(of_old, of_old.c.segment_id == old.c.segment_id)
        .where(
            new.c.state == literal_column("'stale'"),
            of_new.c.state == literal_column("'sealed'"),
            of_old.c.state == literal_column("'sealed'"),
        )
        .distinct()
        .order_by(new.c.segment_id, old.c.segment_id)
    )


def seal_joined(
    connection: Connection,
    new: StoredSegment,
    entries: Sequence[StoredEntry],
    joined: Sequence[Contents],
) -> bool:
    """Make the joined segment known, as one whose copies nobody needs yet.

    Erasures look for copies in the ledger, so from here on they find these, too. False,
    and nothing is changed, when one of the old ones is not as it was when it was
    copied, or when the new one was given up.
    """
    for old in sorted(joined, key=lambda each: each.segment.segment_id):
        segment_id = old.segment.segment_id
        now = segments.lock(connection, segment_id)
        if now is None or now.state != "sealed":
            return False
        there = archive_entries.of_segment(connection, segment_id)
        if {e.key for e in there} != {e.key for e in old.entries}:
            return False
    unnoted = {e.key for old in joined for e in old.entries if e.actors_noted is None}
    known = [
        replace(entry, actors_noted=None if entry.key in unnoted else 1)
        for entry in entries
    ]
    return segments.seal(connection, new, known)


def take_over(
    connection: Connection, old_id: str, new_id: str, dropping: Collection[Key]
) -> int | None:
    """Let a joined segment stand for one of those that it was made of, which may then
    be deleted: what its copies are worth passes to the copies there.

    How many superseded copies it had that are not there; only those of `dropping` may
    be lost. None, and nothing is changed, when one of the two is not what it was, or
    the new one lacks another copy.
    """
    # By id: two that hold the same may each be taken for the other's successor.
    locked = {one: segments.lock(connection, one) for one in sorted((old_id, new_id))}
    if any(one is None or one.state != "sealed" for one in locked.values()):
        return None
    # Locked: a restore that is under way settles its entry first, or sees the new one.
    statement = select(*ENTRY_COLUMNS).where(E.segment_id == old_id)
    rows = connection.execute(
        dialect_of(connection).locked(statement, models.archive_entries)
    )
    entries = [StoredEntry(*row) for row in rows]
    keys = [entry.key for entry in entries]
    # Not of all that the new one holds: that would be asked for each of the old ones.
    there = archive_entries.hashes(connection, new_id, keys)
    moving: defaultdict[str, list[Key]] = defaultdict(list)
    dropped = 0
    for entry in entries:
        if there.get(entry.key) == entry.sha256:
            moving[entry.state].append(entry.key)
        elif entry.state in _SUPERSEDED and entry.key in dropping:
            dropped += 1
        else:
            return None
    connection.execute(delete(models.archive_entries).where(E.segment_id == old_id))
    for state, of_state in sorted(moving.items()):
        archive_entries.set_state(connection, new_id, of_state, state, was="stale")
    segments.move_stubs(connection, keys, old_id, new_id)
    segments.change_state(connection, old_id, "deleting", was=("sealed",))
    return dropped
