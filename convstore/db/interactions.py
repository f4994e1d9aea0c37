"""Interactions as they are read: of one session, and across sessions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, Connection, Select, bindparam, or_, select, tuple_

from convstore.db import models
from convstore.db.codec.records import INTERACTION_COLUMNS, interaction_from_row
from convstore.db.session_filters import bucket_of
from convstore.db.unit import Key
from convstore.vocabulary.record import Value
from convstore.vocabulary.records import Interaction

I = models.interactions.c  # noqa: E741
S = models.sessions.c
_OF_SESSION = (I.tenant_id == bindparam("tenant"), I.session_id == bindparam("id"))
_ALL = select(*INTERACTION_COLUMNS).where(*_OF_SESSION)
_PAGE = _ALL.where(I.seq > bindparam("after")).order_by(I.seq).limit(bindparam("limit"))
# What is upon a turn, chooses between turns, or takes something back.
_OF_TURN = or_(
    I.turn_seq == bindparam("turn"), I.choice.is_not(None), I.supersedes.is_not(None)
)
_EXAMINED = 10_000
"""Acts, or sessions, that one search looks at where a filter takes few of them."""


class Place(NamedTuple):
    """Where an act stands among all of a tenant, by time."""

    created_at: int
    session_id: str
    seq: int


class ActFilter(Value, frozen=True):
    """Which acts of a tenant are wanted; None leaves a filter open."""

    action: str | None = None
    label: str | None = None
    actor_id: str | None = None
    since: int | None = None
    user_id: str | None = None

    @property
    def is_open(self) -> bool:
        """Whether every act that is recent enough is wanted."""
        wanted = (self.action, self.label, self.actor_id, self.user_id)
        return all(name is None for name in wanted)

    def takes(self, act: Interaction) -> bool:
        """Whether the words of an act are those wanted; its time is not looked at."""
        return (
            (self.action is None or act.action == self.action)
            and (self.label is None or act.feedback == self.label)
            and (self.actor_id is None or act.actor_id == self.actor_id)
        )


class FoundActs(Value, frozen=True):
    """What a search found in rows, newest first, and what lies in the archive.

    `end` is where it ended before it had looked at all; `archived` are sessions whose
    acts may belong among them, newest activity first, `all_archived` whether all are.
    """

    acts: list[tuple[Place, Interaction]]
    end: Place | None
    archived: list[str]
    all_archived: bool


def page(
    connection: Connection, key: Key, *, after: int, limit: int
) -> list[Interaction]:
    """Interactions in `seq` order, beyond `after`."""
    given = {"tenant": key[0], "id": key[1], "after": after, "limit": limit}
    return [
        interaction_from_row(key[1], row) for row in connection.execute(_PAGE, given)
    ]


def of_session(
    connection: Connection, key: Key, *, turn_seq: int | None = None
) -> list[Interaction]:
    """All interactions of a session; of a turn all that decide what stands of it."""
    given: dict[str, Any] = {"tenant": key[0], "id": key[1]}
    statement = _ALL
    if turn_seq is not None:
        statement, given["turn"] = statement.where(_OF_TURN), turn_seq
    rows = connection.execute(statement, given)
    return [interaction_from_row(key[1], row) for row in rows]


def search(
    connection: Connection,
    tenant: str,
    wanted: ActFilter,
    before: Place | None,
    limit: int,
    most_archived: int,
) -> FoundActs:
    """The newest acts before a place, by an index walk that is bounded; of archived
    sessions, `most_archived` at most, their ids. Call in a snapshot."""
    end = None
    if not wanted.is_open:
        nth = places(tenant, wanted.since, before).offset(_EXAMINED - 1).limit(1)
        row = connection.execute(nth).one_or_none()
        end = None if row is None else Place(*row)
    statement = search_statement(tenant, wanted, before, end).limit(limit)
    acts = [
        (Place(row[0], row[1], row[2]), interaction_from_row(row[1], row[2:]))
        for row in connection.execute(statement)
    ]
    if len(acts) == limit:
        end = None  # the page is full before that
    # No act is later than the last activity of its session.
    floors = [wanted.since, end and end.created_at]
    floors.append(acts[-1][0].created_at if len(acts) == limit else None)
    floor = max((at for at in floors if at is not None), default=0)
    archived, all_archived = _archived(connection, tenant, wanted, floor, most_archived)
    return FoundActs(acts, end, archived, all_archived)


def places(tenant: str, since: int | None, before: Place | None) -> Select[Any]:
    """The places of acts, newest first."""
    order = (I.created_at.desc(), I.session_id.desc(), I.seq.desc())
    return select(*_PLACE).where(*_within(tenant, since, before)).order_by(*order)


def search_statement(
    tenant: str, wanted: ActFilter, before: Place | None, end: Place | None
) -> Select[Any]:
    """The acts wanted among those from a place down to another, newest first."""
    statement = (
        select(I.created_at, I.session_id, *INTERACTION_COLUMNS)
        .where(*_within(tenant, wanted.since, before))
        .order_by(I.created_at.desc(), I.session_id.desc(), I.seq.desc())
    )
    if end is not None:
        statement = statement.where(tuple_(*_PLACE) >= tuple_(*end))
    for column, value in (
        (I.action, wanted.action),
        (I.feedback, wanted.label),
        (I.actor_id, wanted.actor_id),
    ):
        if value is not None:
            statement = statement.where(column == value)
    if wanted.user_id is not None:
        owned = select(1).where(
            S.tenant_id == I.tenant_id,
            S.session_id == I.session_id,
            S.user_id == wanted.user_id,
        )
        statement = statement.where(owned.exists())
    return statement


_PLACE = (I.created_at, I.session_id, I.seq)


def _within(
    tenant: str, since: int | None, before: Place | None
) -> Sequence[ColumnElement[bool]]:
    conditions: list[ColumnElement[bool]] = [I.tenant_id == tenant]
    if since is not None:
        conditions.append(I.created_at >= since)
    if before is not None:
        conditions.append(tuple_(*_PLACE) < tuple_(*before))
    return conditions


def _archived(
    connection: Connection, tenant: str, wanted: ActFilter, floor: int, most: int
) -> tuple[list[str], bool]:
    """Archived sessions with acts and activity since `floor`, and whether that is all
    of them."""
    walk = (
        select(S.session_id, S.state, S.interaction_count, S.user_id)
        .where(
            S.tenant_id == tenant,
            models.LISTED,
            S.activity_bucket >= bucket_of(floor),
            S.last_activity_at >= floor,
        )
        .order_by(S.activity_bucket.desc(), S.last_activity_at.desc())
        .limit(_EXAMINED + 1)
    )
    found: list[str] = []
    for place, row in enumerate(connection.execute(walk)):
        if place == _EXAMINED or len(found) > most:
            break
        ours = wanted.user_id is None or row.user_id == wanted.user_id
        if row.state == "archived" and row.interaction_count and ours:
            found.append(row.session_id)
    else:
        return found[:most], len(found) <= most
    return found[:most], False
