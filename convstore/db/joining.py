"""What the ledger says and notes when small segments are joined to a large one."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from sqlalchemy import Connection, and_, delete, exists, or_, select

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
    of_one = (
        select(E.tenant_id)
        .where(E.segment_id == G.segment_id)
        .limit(1)
        .scalar_subquery()
    )
    pending = exists().where(E.segment_id == G.segment_id, E.state == "sealed")
    statement = (
        select(G.segment_id, G.key, G.size_bytes, G.entry_count, of_one)
        .where(
            G.segment_id > after,
            G.state == "sealed",
            G.size_bytes < below_bytes,
            G.entry_count < below_entries,
            ~pending,
        )
        .order_by(G.segment_id)
        .limit(PAGE)
    )
    if tenant is not None:
        statement = statement.where(of_one == tenant)
    return [Candidate(*row) for row in connection.execute(statement)]


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
    return segments.seal(connection, new, entries)


def take_over(connection: Connection, old_id: str, new_id: str) -> bool:
    """Let a joined segment stand for one of those that it was made of, which may then
    be deleted: what its copies are worth passes to the copies there.

    False, and nothing is changed, when one of the two is not what it was, or the new
    one lacks a copy that is needed.
    """
    old, new = segments.lock(connection, old_id), segments.lock(connection, new_id)
    if old is None or new is None or {old.state, new.state} != {"sealed"}:
        return False
    # Locked: a restore that is under way settles its entry first, or sees the new one.
    statement = select(*ENTRY_COLUMNS).where(E.segment_id == old_id)
    rows = connection.execute(
        dialect_of(connection).locked(statement, models.archive_entries)
    )
    there = {e.key: e.sha256 for e in archive_entries.of_segment(connection, new_id)}
    moving: defaultdict[str, list[Key]] = defaultdict(list)
    for entry in (StoredEntry(*row) for row in rows):
        if there.get(entry.key) == entry.sha256:
            moving[entry.state].append(entry.key)
        elif entry.state not in _SUPERSEDED:
            return False
    connection.execute(delete(models.archive_entries).where(E.segment_id == old_id))
    for state, keys in sorted(moving.items()):
        archive_entries.set_state(connection, new_id, keys, state, was="stale")
    segments.move_stubs(connection, list(there), old_id, new_id)
    return segments.change_state(connection, old_id, "deleting", was=("sealed",))
