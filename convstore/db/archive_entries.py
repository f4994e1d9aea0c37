"""The ledger of archived copies: which session lies where, and what that is worth."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import (
    Connection,
    and_,
    bindparam,
    func,
    literal_column,
    select,
    update,
)

from convstore.db import models
from convstore.db.sent_together import SentTogether
from convstore.db.session_ids import about_keys, of_sessions, one_of
from convstore.db.statements import BOUND, Prepared
from convstore.db.unit import Key, Unit
from convstore.vocabulary.record import Value, names_of

E = models.archive_entries.c
S = models.sessions.c

ENTRY_COLUMNS = (
    E.tenant_id,
    E.session_id,
    E.segment_id,
    E.ordinal,
    E.offset,
    E.length,
    E.raw_length,
    E.sha256,
    E.session_version,
    E.turn_count,
    E.state,
    E.actors_noted,
)


class StoredEntry(Value, frozen=True):
    """Where one session at one version lies; `state` says what it is worth.

    `sealed`: written, not yet purged. `committed`: the only copy. `restored`, `stale`:
    superseded by rows. `newer`: of a version that this database never had, found in
    the archive; kept for a person to decide. `actors_noted` is 1 where it is known whom
    the copy names (see `actors`), and None where nobody has looked.
    """

    tenant_id: str
    session_id: str
    segment_id: str
    ordinal: int
    offset: int
    length: int
    raw_length: int
    sha256: str
    session_version: int
    turn_count: int
    state: str
    actors_noted: int | None = None

    @property
    def key(self) -> Key:
        """Tenant and session."""
        return self.tenant_id, self.session_id


_STILL_SEALED = Prepared(
    lambda dialect: select(E.tenant_id, E.session_id).where(
        of_sessions(dialect, models.archive_entries),
        E.segment_id == bindparam("segment"),
        E.state == literal_column("'sealed'"),
    )
)
_HASHES = Prepared(
    lambda dialect: select(E.tenant_id, E.session_id, E.sha256).where(
        of_sessions(dialect, models.archive_entries),
        E.segment_id == bindparam("segment"),
    )
)
_SET_STATE = Prepared(
    lambda dialect: (
        update(models.archive_entries)
        .where(
            of_sessions(dialect, models.archive_entries),
            E.segment_id == bindparam("segment"),
            E.state == bindparam("was"),
        )
        .values(state=bindparam(f"{BOUND}state"))
    )
)
_KEY = ("tenant_id", "session_id", "segment_id")
_RESTORED = SentTogether.update(models.archive_entries, _KEY, ["state"])
_ADD = SentTogether.insert(
    models.archive_entries, [*names_of(StoredEntry), "created_at"]
)


def add(connection: Connection, entries: Sequence[StoredEntry], now: int) -> None:
    """Insert entries as they are."""
    names = names_of(StoredEntry)
    rows = [
        {name: getattr(entry, name) for name in names} | {"created_at": now}
        for entry in entries
    ]
    if rows:
        _ADD.many(connection, rows)


def of_segment(
    connection: Connection, segment_id: str, *states: str
) -> list[StoredEntry]:
    """The entries of a segment in file order, all or those in the states."""
    statement = (
        select(*ENTRY_COLUMNS).where(E.segment_id == segment_id).order_by(E.ordinal)
    )
    if states:
        statement = statement.where(one_of(E.state, states))
    return [StoredEntry(*row) for row in connection.execute(statement)]


def only_copies(connection: Connection, segment_id: str) -> int:
    """How many sessions have their only copy in a segment: their stub names it."""
    statement = (
        select(func.count())
        .select_from(models.archive_entries)
        .join(
            models.sessions,
            and_(S.tenant_id == E.tenant_id, S.session_id == E.session_id),
        )
        .where(E.segment_id == segment_id, S.segment_id == segment_id)
    )
    return int(connection.execute(statement).scalar_one())


def find(connection: Connection, key: Key, segment_id: str) -> StoredEntry | None:
    """The entry of a session in a segment."""
    row = connection.execute(
        select(*ENTRY_COLUMNS).where(
            E.tenant_id == key[0], E.session_id == key[1], E.segment_id == segment_id
        )
    ).one_or_none()
    return None if row is None else StoredEntry(*row)


def still_sealed(
    connection: Connection, segment_id: str, keys: Sequence[Key]
) -> set[Key]:
    """Those of the sessions whose entry nobody has settled yet."""
    given = {**about_keys(keys), "segment": segment_id}
    return {(row[0], row[1]) for row in _STILL_SEALED.all(connection, given)}


def hashes(
    connection: Connection, segment_id: str, keys: Sequence[Key]
) -> dict[Key, str]:
    """Of the documents of those of the sessions that lie in a segment."""
    if not keys:
        return {}
    given = {**about_keys(keys), "segment": segment_id}
    return {(row[0], row[1]): row[2] for row in _HASHES.all(connection, given)}


def set_state(
    connection: Connection,
    segment_id: str,
    keys: Sequence[Key],
    state: str,
    *,
    was: str = "sealed",
) -> None:
    """Note what has become of entries of one segment that were in the state `was`.

    Those in another state are left alone: a worker that comes late must not call the
    only copy of a session stale.
    """
    if keys:
        values = {"segment": segment_id, "state": state, "was": was}
        _SET_STATE.run(connection, {**about_keys(keys), **values})


def note_restored(unit: Unit, key: Key, segment_id: str) -> None:
    """A session's copy in a segment is not the only one any more."""
    place = dict(zip(_KEY, (*key, segment_id), strict=True))
    unit.change(_RESTORED, {**place, "state": "restored"})
