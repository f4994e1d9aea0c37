"""Items: small documents with a key that change in place, outside sessions or in one.

Those of a session are guarded by the session's lock and raise its version, so that a
purge notices. Those outside have locks of their own, on the row or on the key of one
that is not there yet. One that has expired is not there for anybody, whether or not
upkeep has removed it.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import Literal, TypeAlias

from convstore.db import models
from convstore.db.cells import Cells, CellTable, Place
from convstore.db.codec.records import item_from_row
from convstore.db.codec.row_types import ITEMS
from convstore.db.holds import check_not_held
from convstore.db.key_locks import KeyLocks
from convstore.db.unit import Key, Row, Unit
from convstore.vocabulary.codec import decode_json, dumps
from convstore.vocabulary.errors import (
    ConflictError,
    InvalidInputError,
    VersionConflictError,
)
from convstore.vocabulary.merge_patch import merged
from convstore.vocabulary.record import Value
from convstore.vocabulary.records import Item

OUTSIDE = CellTable(models.items)
OF_SESSION = CellTable(models.session_items)
_LOCKS: KeyLocks[Place] = KeyLocks(models.items, OUTSIDE.key, list(models.items.c))

Verb: TypeAlias = Literal["put", "patch", "delete", "touch"]


class Life(Value, frozen=True):
    """Until when an item is there: for ever, to a time, or so long after each use."""

    expires_at: int | None = None
    ttl_s: float | None = None

    def is_like(self, other: Life) -> bool:
        """Whether both end alike, however far they are."""
        if self.ttl_s is not None:
            return self.ttl_s == other.ttl_s
        return self == other

    def ends_at(self, now: int) -> int | None:
        """When one that is used now expires."""
        if self.ttl_s is None:
            return self.expires_at
        return now + round(self.ttl_s * 1_000_000)


class ItemChange(Value, frozen=True):
    """What is to become of one item.

    `text` is the JSON of its value, or of a merge patch. `life` None leaves a patched
    item the one that it has. `max_bytes` bounds what a patch makes.
    """

    verb: Verb
    namespace: str
    key: str
    text: str = ""
    life: Life | None = None
    owner: str | None = None
    expected_version: int | None = None
    max_bytes: int = 0

    @property
    def size(self) -> int:
        """Characters, for the bound of a batch."""
        return len(self.text)

    def of(self, before: Row | None, now: int) -> Row | None:
        """The columns of the item after the change, given those from before it; None
        where there is none then. Equal ones where nothing changed.

        Raises:
            VersionConflictError: It is at another version; 0 is one that is not there.
            ConflictError: It has another owner.
            InvalidInputError: What the patch makes is too large.
        """
        version = 0 if before is None else before["version"]
        if self.expected_version is not None and version != self.expected_version:
            raise VersionConflictError("item", self.expected_version, version)
        if self.verb == "delete":
            return None
        if self.verb == "touch":
            return before and before | _living(_life_of(before), now)
        return self._written(before, version, now)

    def _written(self, before: Row | None, version: int, now: int) -> Row:
        row: Row = {"user_id": None, "created_at": now} if before is None else before
        if self.owner is not None and row.get("user_id") not in (None, self.owner):
            raise ConflictError("user_id: the item has another owner")
        life = self.life
        if life is None:
            life = Life() if before is None else _life_of(before)
        after: Row = {
            "value": self.text if self.verb == "put" else self._patched(before),
            "version": version,
            "created_at": row["created_at"],
            "updated_at": row.get("updated_at", now),
            # Nobody's until somebody says whose: what says nothing takes no owner away.
            "user_id": self.owner or row.get("user_id"),
            **_living(life, now),
        }
        if self.verb == "put" or before is None or self._changed(before, after):
            after |= {"version": version + 1, "updated_at": now}
        return after

    def _changed(self, before: Row, after: Row) -> bool:
        # A life that goes on is no change.
        lives = self.life is not None and not self.life.is_like(_life_of(before))
        names = ("value", "user_id")
        return lives or any(after[name] != before.get(name) for name in names)

    def _patched(self, before: Row | None) -> str:
        target = None if before is None else decode_json(before["value"])
        result = dumps(merged(target, decode_json(self.text)))
        if len(result) > self.max_bytes:
            raise InvalidInputError(
                "patch", f"makes {len(result)} bytes; at most {self.max_bytes} fit"
            )
        return result.decode()


@dataclass(slots=True)
class ChangeItem:
    """Change one item outside sessions; gives it as it is then, and whether it was
    there before."""

    tenant: str
    change: ItemChange
    now: int

    # No session is concerned.
    keys: tuple[Key, ...] = ()

    @property
    def key(self) -> Key:
        """Keeps the writes of one item in order. No session has such an id."""
        return self.tenant, f"\0{self.change.namespace}\0{self.change.key}"

    @property
    def places(self) -> Collection[Place]:
        return [(self.tenant, self.change.namespace, self.change.key)]

    @property
    def size(self) -> int:
        return self.change.size

    def apply(self, unit: Unit) -> tuple[Item | None, bool]:
        cells = lock(unit, self.places)
        (place,) = self.places
        return plan(cells, place, self.change, self.now).make(cells)


@dataclass(slots=True)
class ChangeSessionItem:
    """Change one item of a session; gives what `ChangeItem` does."""

    key: Key
    change: ItemChange
    now: int
    user_id: str | None = None

    @property
    def size(self) -> int:
        return self.change.size

    @property
    def cells(self) -> Iterable[tuple[CellTable, Place]]:
        """The row that is asked for."""
        return [(OF_SESSION, place_in(self.key, self.change))]

    def apply(self, unit: Unit) -> tuple[Item | None, bool]:
        head = unit.active(self.key, self.user_id)
        cells, place = unit.cells(OF_SESSION), place_in(self.key, self.change)
        cells.look_up(unit.connection, [place])
        planned = plan(cells, place, self.change, self.now)
        if planned.destroys:
            check_not_held(head)
        if planned.changes:
            head.touch(self.now, activity=self.change.verb != "touch")
        return planned.make(cells)


class Planned(Value, frozen=True):
    """A change that will not be refused any more."""

    place: Place
    before: Row | None
    after: Row | None
    changes: bool

    @property
    def destroys(self) -> bool:
        """Whether a row goes, also one that has expired and that nobody finds."""
        return self.changes and self.after is None

    def make(self, cells: Cells) -> tuple[Item | None, bool]:
        """Carry it out."""
        if self.changes:
            cells.set(self.place, self.after)
        found = None if self.after is None else item_from_row(self.after)
        return found, self.before is not None


def plan(cells: Cells, place: Place, change: ItemChange, now: int) -> Planned:
    """What a change would do; changes nothing. Errors as `ItemChange.of`."""
    stored = cells.get(place)
    before = stored if stored is not None and is_there(stored, now) else None
    columns = change.of(before, now)
    if columns is None:
        return Planned(place, before, None, stored is not None)
    after: Row = dict(zip(cells.key, place, strict=True)) | {
        name: columns[name] for name in cells.columns if name in columns
    }
    if "digest" in cells.columns:
        after["digest"] = ITEMS.digest(after)
    return Planned(place, before, after, after != stored)


def place_in(key: Key, change: ItemChange) -> Place:
    """Where an item of a session is."""
    return (*key, change.namespace, change.key)


def lock(unit: Unit, places: Iterable[Place]) -> Cells:
    """Lock and read items outside sessions, waiting for whoever holds them."""
    cells = unit.cells(OUTSIDE)
    wanted = cells.unknown(places)
    if wanted:
        cells.know(wanted, _LOCKS.locked(unit.connection, wanted))
    return cells


def lock_free(unit: Unit, places: Iterable[Place]) -> set[Place]:
    """As `lock`, of those that nobody else holds; gives the others."""
    cells = unit.cells(OUTSIDE)
    wanted = cells.unknown(places)
    if not wanted:
        return set()
    rows, held = _LOCKS.free(unit.connection, wanted)
    cells.know(wanted - held, rows)
    return held


def is_there(row: Row, now: int) -> bool:
    """Whether an item has not expired."""
    return row["expires_at"] is None or row["expires_at"] > now


def _life_of(row: Row) -> Life:
    return Life(row["expires_at"], row["ttl_s"])


def _living(life: Life, now: int) -> Row:
    return {"expires_at": life.ends_at(now), "ttl_s": life.ttl_s}
