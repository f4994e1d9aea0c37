"""A session changed by merge patches, under its row's lock: what others wrote meanwhile
is kept, key by key."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Select, and_, bindparam, select

from convstore.db import models
from convstore.db.cells import CellTable, Place
from convstore.db.codec.row_types import STATES as STATE
from convstore.db.dialects.base import Dialect
from convstore.db.holds import check_not_held
from convstore.db.session_ids import about_keys, of_sessions, one_of
from convstore.db.statements import BOUND, Prepared
from convstore.db.unit import (
    Head,
    Key,
    Row,
    Unit,
    check_usable,
    check_version,
    is_hidden,
)
from convstore.vocabulary.codec import decode_json, dumps
from convstore.vocabulary.errors import InvalidInputError, SessionNotFoundError
from convstore.vocabulary.limits import Limits
from convstore.vocabulary.merge_patch import merged
from convstore.vocabulary.record import Value, field
from convstore.vocabulary.records import JsonObject, Session

MAX_STATES = 64
"""Adapters that keep something of one session: one document reads all of them."""

MAX_SHOWN = 64

STATES = CellTable(models.session_state)
_T = models.session_state.c
_OF_SESSION = (
    _T.tenant_id == bindparam(BOUND + "tenant"),
    _T.session_id == bindparam(BOUND + "id"),
)
_NAMES = Prepared(lambda _: select(_T.name).where(*_OF_SESSION))
_S = models.sessions.c
_WITH_STATE = models.sessions.outerjoin(
    models.session_state,
    and_(
        _T.tenant_id == _S.tenant_id,
        _T.session_id == _S.session_id,
        _T.name == bindparam(BOUND + "name"),
    ),
)
_STATE = Prepared(
    lambda _: (
        select(_S.state, _S.user_id, _T.state)
        .select_from(_WITH_STATE)
        .where(
            _S.tenant_id == bindparam(BOUND + "tenant"),
            _S.session_id == bindparam(BOUND + "id"),
        )
    )
)


def _of_many(dialect: Dialect) -> Select[Any]:
    return (
        select(_S.session_id, _S.state, _S.user_id, _T.state)
        .select_from(_WITH_STATE)
        .where(
            of_sessions(dialect, models.sessions),
            one_of(_S.state, ("active", "archived")),
        )
    )


_OF_MANY = Prepared(_of_many)


class Patch(Value, frozen=True):
    """What is to be changed. `values` are columns as stored; `metadata` and each of
    `states` are JSON text of merge patches, None of a state removes it."""

    values: Row = field(default_factory=dict)
    metadata: str | None = None
    states: Mapping[str, str | None] = field(default_factory=dict)
    add_tags: tuple[str, ...] = ()
    remove_tags: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        asked = self.values or self.states or self.add_tags or self.remove_tags
        return bool(asked) or self.metadata is not None

    @property
    def size(self) -> int:
        """Characters of it, for the bound of a batch."""
        texts = [self.metadata, *self.states.values()]
        return sum(len(text) for text in texts if text is not None)

    def cells(self, key: Key) -> Iterator[tuple[CellTable, Place]]:
        """The rows that are asked for."""
        for name in self.states:
            yield STATES, (*key, name)


class Change(Value, frozen=True):
    """What a patch makes of a session: columns, and rows of states; None removes."""

    values: Row
    states: Mapping[Place, Row | None]

    def __bool__(self) -> bool:
        return bool(self.values or self.states)


@dataclass(slots=True)
class PatchSession:
    """Patch a session, if it is at the expected version.

    A patch that changes nothing leaves the version as it is.
    """

    key: Key
    patch: Patch
    limits: Limits
    now: int
    expected_version: int | None = None
    user_id: str | None = None

    @property
    def size(self) -> int:
        return self.patch.size

    @property
    def cells(self) -> Iterator[tuple[CellTable, Place]]:
        """The rows that are asked for."""
        return self.patch.cells(self.key)

    def apply(self, unit: Unit) -> Session:
        head = unit.active(self.key, self.user_id)
        check_version(head, self.expected_version)
        change = changed_by(unit, self.key, head, self.patch, self.limits)
        if change:
            make(unit, self.key, head, change)
            head.touch(self.now, activity=False)
        return head.record


def changed_by(
    unit: Unit, key: Key, head: Head, patch: Patch, limits: Limits
) -> Change:
    """What a patch would change; changes nothing itself.

    Raises:
        InvalidInputError: The result would be over a limit; names the field.
        LegalHoldError: It would remove an adapter's state of a held session.
    """
    values = dict(patch.values)
    if patch.metadata is not None:
        values["metadata"] = _patched(
            "metadata", head.row["metadata"], patch.metadata, limits.max_metadata_bytes
        )
    if patch.add_tags or patch.remove_tags:
        values["tags"] = _tags(head.row["tags"], patch, limits)
    same = [name for name, value in values.items() if head.row[name] == value]
    for name in same:
        del values[name]
    states = _states(unit, key, patch, limits)
    if None in states.values():
        check_not_held(head)
    return Change(values, states)


def make(unit: Unit, key: Key, head: Head, change: Change) -> None:
    """Carry a change out; the caller raises the version."""
    if change.values:
        head.row.update(change.values)
        head.cold = head.dirty = True
        if "tags" in change.values or "metadata" in change.values:
            unit.note_described(key)
        if "title" in change.values:
            unit.note_titled(key)
    cells = unit.cells(STATES)
    for place, row in change.states.items():
        cells.set(place, row)


def state_row(place: Place, state: str) -> Row:
    """The row of what an adapter keeps, from its JSON text."""
    row: Row = dict(zip(STATES.key, place, strict=True)) | {"state": state}
    return row | {"digest": STATE.digest(row)}


def state_field(name: str) -> str:
    """What an error calls the state of an adapter: by a name that is one."""
    named = name.replace("-", "_").isidentifier() and len(name) <= MAX_SHOWN
    return f"adapter_state.{name}" if named else "adapter_state"


def find_state(
    connection: Connection, key: Key, name: str, user_id: str | None
) -> JsonObject | None:
    """What an adapter keeps of a live session; None when that is nothing. One
    statement.

    Raises:
        SessionNotFoundError, SessionArchivedError, SessionDeletedError,
        SessionErasedError: As `check_usable`.
    """
    given = {"tenant": key[0], "id": key[1], "name": name}
    rows = _STATE.all(connection, given)
    if not rows:
        raise SessionNotFoundError(key[1])
    state, owner, text = rows[0]
    check_usable(state, owner, key[1], user_id)
    return None if text is None else decode_json(text)


def find_states(
    connection: Connection, keys: Sequence[Key], name: str, user_id: str | None
) -> tuple[dict[str, JsonObject], list[str]]:
    """What an adapter keeps of those of a tenant's sessions that are live, and the
    user's own; and which of them are archived."""
    given = {**about_keys(keys), "name": name}
    found: dict[str, JsonObject] = {}
    archived = []
    for session_id, state, owner, text in _OF_MANY.all(connection, given):
        if is_hidden(state, owner, user_id):
            continue
        if state == "archived":
            archived.append(session_id)
        elif text is not None:
            found[session_id] = decode_json(text)
    return found, archived


def _states(
    unit: Unit, key: Key, patch: Patch, limits: Limits
) -> dict[Place, Row | None]:
    if not patch.states:
        return {}
    cells = unit.cells(STATES)
    cells.look_up(unit.connection, [(*key, name) for name in patch.states])
    changed: dict[Place, Row | None] = {}
    for name, text in patch.states.items():
        place, before = (*key, name), cells.get((*key, name))
        if text is None:
            if before is not None:
                changed[place] = None
            continue
        most, field_ = limits.max_state_bytes, state_field(name)
        old = "{}" if before is None else before["state"]
        state = _patched(field_, old, text, most)
        if before is not None and before["state"] == state:
            continue
        changed[place] = state_row(place, state)
    _check_count(unit, key, changed)
    return changed


def _check_count(unit: Unit, key: Key, changed: Mapping[Place, Row | None]) -> None:
    cells = unit.cells(STATES)
    new = {p for p, row in changed.items() if row is not None and cells.get(p) is None}
    if not new:
        return
    unit.flush()  # those of earlier operations count too
    given = {"tenant": key[0], "id": key[1]}
    there = {(*key, row[0]) for row in _NAMES.all(unit.connection, given)}
    left = (there | new) - {place for place, row in changed.items() if row is None}
    if len(left) > MAX_STATES:
        raise InvalidInputError(
            "adapter_state", f"would have {len(left)} names; at most {MAX_STATES} fit"
        )


def _patched(name: str, text: str, patch: str, most: int) -> str:
    # Patch and target are within the profile each, and so is what they are together:
    # only the size has to be looked at.
    result = dumps(merged(decode_json(text), decode_json(patch)))
    if len(result) > most:
        raise InvalidInputError(
            name, f"would have {len(result)} bytes; at most {most} fit"
        )
    return result.decode()


def _tags(text: str, patch: Patch, limits: Limits) -> str:
    tags = dict.fromkeys([*decode_json(text), *patch.add_tags])
    left = [tag for tag in tags if tag not in patch.remove_tags]
    if len(left) > limits.max_tags:
        raise InvalidInputError(
            "add_tags", f"would be {len(left)} tags; at most {limits.max_tags} fit"
        )
    return dumps(left).decode()
