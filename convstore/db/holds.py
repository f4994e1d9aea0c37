"""Legal holds: place, release, list. A hold is counted on the session's row, under its
lock, so that every statement that destroys can ask for it there."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from sqlalchemy import (
    ColumnElement,
    Connection,
    bindparam,
    func,
    insert,
    select,
    update,
)

from convstore.db import models
from convstore.db.codec.records import HOLD_COLUMNS, hold_from_row
from convstore.db.session_ids import about_keys, of_sessions
from convstore.db.statements import Prepared
from convstore.db.unit import Head, Key, Unit, check_usable
from convstore.vocabulary.clock import from_micros
from convstore.vocabulary.errors import (
    HoldNotFoundError,
    LegalHoldError,
    SessionNotFoundError,
)
from convstore.vocabulary.records import LegalHold

H = models.legal_holds.c
S = models.sessions.c
_OF_SESSION = (H.tenant_id == bindparam("tenant"), H.session_id == bindparam("id"))
_COUNT = select(func.count()).select_from(models.legal_holds).where(*_OF_SESSION)


def check_not_held(head: Head) -> None:
    """Refuse to destroy what belongs to a session that is under legal hold.

    Raises:
        LegalHoldError: It is.
    """
    if head.row["hold_count"]:
        raise LegalHoldError((head.row["session_id"],))


def refuse_held(unit: Unit, keys: Collection[Key]) -> None:
    """Refuse to destroy any of several sessions if one of them is under legal hold;
    locks them.

    Raises:
        LegalHoldError: Names those that are.
    """
    unit.load(keys)
    held = tuple(
        key[1] for key in keys if (head := unit.find(key)) and head.row["hold_count"]
    )
    if held:
        raise LegalHoldError(held)


def under_hold(connection: Connection, keys: Collection[Key]) -> set[Key]:
    """Those of several sessions that are under legal hold, unlocked."""
    if not keys:
        return set()
    return {(row[0], row[1]) for row in _HELD.all(connection, about_keys(keys))}


_HELD = Prepared(
    lambda dialect: select(S.tenant_id, S.session_id).where(
        of_sessions(dialect, models.sessions), S.hold_count > 0
    )
)


@dataclass(slots=True)
class PlaceHold:
    """Put a session under hold; archived and deleted sessions can be held too."""

    key: Key
    reason: str
    actor_id: str | None
    now: int
    size: int = 0

    def apply(self, unit: Unit) -> LegalHold:
        head = unit.find(self.key)
        if head is None:
            raise SessionNotFoundError(self.key[1])
        if head.row["state"] == "erased":
            check_usable("erased", None, self.key[1], None)
        given = {"tenant": self.key[0], "id": self.key[1]}
        number = unit.connection.execute(_COUNT, given).scalar_one() + 1
        unit.connection.execute(
            insert(models.legal_holds),
            {
                "tenant_id": self.key[0],
                "session_id": self.key[1],
                "number": number,
                "reason": self.reason,
                "placed_by": self.actor_id,
                "placed_at": self.now,
                "released_by": None,
                "released_at": None,
            },
        )
        head.row["hold_count"] += 1
        head.cold = True
        head.touch(self.now, activity=False)
        at = from_micros(self.now)
        return LegalHold(
            self.key[1], number, self.reason, self.actor_id, at, None, None
        )


@dataclass(slots=True)
class ReleaseHold:
    """End one hold of a session, or all of them; the rows stay as history."""

    key: Key
    number: int | None
    actor_id: str | None
    now: int
    size: int = 0

    def apply(self, unit: Unit) -> list[LegalHold]:
        head = unit.find(self.key)
        if head is None:
            raise SessionNotFoundError(self.key[1])
        in_force = [
            hold
            for hold in of_session(unit.connection, self.key)
            if hold.released_at is None and self.number in (None, hold.number)
        ]
        if not in_force:
            raise HoldNotFoundError(self.key[1])
        numbers = {hold.number for hold in in_force}
        # Their own lock keeps it so.
        which: list[ColumnElement[bool]] = [H.released_at.is_(None)]
        if self.number is not None:
            which.append(H.number == self.number)
        unit.connection.execute(
            update(models.legal_holds)
            .where(
                H.tenant_id == self.key[0],
                H.session_id == self.key[1],
                *which,
            )
            .values(released_by=self.actor_id, released_at=self.now)
        )
        head.row["hold_count"] -= len(numbers)
        head.cold = True
        head.touch(self.now, activity=False)
        return [
            hold
            for hold in of_session(unit.connection, self.key)
            if hold.number in numbers
        ]


def of_session(connection: Connection, key: Key) -> list[LegalHold]:
    """Every hold that a session was ever under, oldest first."""
    rows = connection.execute(
        select(*HOLD_COLUMNS).where(*_OF_SESSION).order_by(H.number),
        {"tenant": key[0], "id": key[1]},
    )
    return [hold_from_row(key[1], row) for row in rows]


def of_tenant(
    connection: Connection,
    tenant: str,
    *,
    after: tuple[str, int],
    limit: int,
    in_force: bool,
) -> list[LegalHold]:
    """Holds of a tenant by session and number, beyond `after`."""
    statement = (
        select(H.session_id, *HOLD_COLUMNS)
        .where(
            H.tenant_id == tenant,
            H.session_id >= after[0],
            (H.session_id > after[0]) | (H.number > after[1]),
        )
        .order_by(H.session_id, H.number)
        .limit(limit)
    )
    if in_force:
        statement = statement.where(H.released_at.is_(None))
    return [hold_from_row(row[0], row[1:]) for row in connection.execute(statement)]
