"""The nouns of a store over several databases: those of a store, with their verbs
placed. What the table sends to one database is filled in; the rest is written here."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from convstore.db.codec.interactions import interaction_inputs
from convstore.repositories import (
    checkpoints,
    graph_states,
    holds,
    interactions,
    items,
    queues,
    search_index,
    sessions,
    turns,
    users,
)
from convstore.repositories.cursors import check_limit
from convstore.shards.applying import apply
from convstore.shards.chaining import chained
from convstore.shards.merging import by, by_time, merged
from convstore.shards.reach import Reach
from convstore.shards.reports import folded
from convstore.shards.routed import OverReach, routed
from convstore.shards.session_pages import merged_sessions
from convstore.vocabulary.checkpoints import Checkpoint
from convstore.vocabulary.hits import IndexReport
from convstore.vocabulary.ids import new_id
from convstore.vocabulary.overviews import UserSummary
from convstore.vocabulary.records import (
    Applied,
    Interaction,
    InteractionInput,
    JsonObject,
    LegalHold,
    Page,
    Session,
    Turn,
)


@routed("sessions")
class Sessions(OverReach, sessions.Sessions):
    """Sessions of the tenant, wherever they lie."""

    async def get_or_create(
        self, session_id: str | None = None, **given: Any
    ) -> tuple[Session, bool]:
        """As of one database; see `convstore.repositories.sessions`."""
        name = new_id() if session_id is None else session_id
        return await self._reach.on(
            name, lambda face: face.sessions.get_or_create(name, **given)
        )

    async def list(
        self, *, limit: int = 50, cursor: str | None = None, **filters: Any
    ) -> Page[Session]:
        """Sessions of all shards, newest activity first."""
        while True:
            asked = {**filters, "limit": limit, "cursor": cursor}
            pages = await self._reach.everywhere(
                lambda face, asked=asked: face.sessions.list(**asked)  # type: ignore[misc]
            )
            found = merged_sessions(pages, limit, cursor)
            if isinstance(found, Page):
                return found
            cursor = found

    async def count(self, **filters: Any) -> int:
        """How many there are in all shards."""
        return sum(
            await self._reach.everywhere(lambda face: face.sessions.count(**filters))
        )

    async def fork(
        self, source: str, new_id: str, at_seq: int | None = None, **given: Any
    ) -> Session:
        """As of one database: both lie in one shard.

        Raises:
            ConfigError: The new id lies in another one.
        """
        place = self._reach.one_of("a fork", [source, new_id])
        return await self._reach.at(
            place, lambda face: face.sessions.fork(source, new_id, at_seq, **given)
        )

    async def adapter_states(
        self, session_ids: Iterable[str], name: str
    ) -> dict[str, JsonObject]:
        """As of one database, of sessions that lie anywhere."""
        ids = list(dict.fromkeys(session_ids))
        parts: dict[int, list[str]] = {}
        for session_id in ids:
            parts.setdefault(self._reach.number(session_id), []).append(session_id)
        found: dict[str, JsonObject] = {}
        for place, some in parts.items():
            found |= await self._reach.at(
                place,
                lambda face, some=some: face.sessions.adapter_states(some, name),  # type: ignore[misc]
            )
        return {each: found[each] for each in ids if each in found}

    async def apply(self, session_id: str, **given: Any) -> Applied:
        """As of one database, but that items outside of the session are a commit of
        their own, behind the session's."""
        return await apply(
            self._reach,
            session_id,
            lambda face: lambda **more: face.sessions.apply(session_id, **more),
            given,
        )


@routed("turns")
class Turns(OverReach, turns.Turns):
    """Turns, each with its session."""

    async def find_all(
        self, *, limit: int = 100, cursor: str | None = None, **given: Any
    ) -> Page[Turn]:
        """As of one database, one shard after the other."""
        return await chained(
            self._reach,
            lambda face, at, left: face.turns.find_all(limit=left, cursor=at, **given),
            cursor,
            check_limit(self._reach.scope.limits, limit),
        )


@routed("interactions")
class Interactions(OverReach, interactions.Interactions):
    """Interactions, each with its session."""

    async def record_many(
        self,
        interactions: Iterable[InteractionInput | Mapping[str, Any]],
        *,
        session_id: str | None = None,
    ) -> tuple[Interaction, ...]:
        """As of one database: one commit, so all sessions lie in one shard.

        Raises:
            ConfigError: They lie in several.
        """
        given = list(interactions)
        named = [of_session for of_session, _ in interaction_inputs(given, session_id)]
        if not named:
            return ()
        place = self._reach.one_of("record_many", named)
        return await self._reach.at(
            place,
            lambda face: face.interactions.record_many(given, session_id=session_id),
        )

    async def search(
        self, *, limit: int = 100, cursor: str | None = None, **given: Any
    ) -> Page[Interaction]:
        """Interactions of all shards, newest first."""
        pages = await self._reach.everywhere(
            lambda face: face.interactions.search(limit=limit, cursor=cursor, **given)
        )
        key, types = by_time("created_at", "session_id", "seq"), (int, str, int)
        return merged(pages, limit, key, types, newest_first=True)


@routed("graph_states")
class GraphStates(OverReach, graph_states.GraphStates):
    """Graph states, each with its session."""


@routed("items")
class Items(OverReach, items.Items):
    """Items: those outside sessions in the home database, the others by session."""


@routed("checkpoints")
class Checkpoints(OverReach, checkpoints.Checkpoints):
    """Checkpoints, each with its session."""

    async def list(
        self,
        session_id: str | None = None,
        *,
        limit: int = 20,
        cursor: str | None = None,
        **given: Any,
    ) -> Page[Checkpoint]:
        """As of one database; without a session those of all shards."""
        asked = {**given, "limit": limit, "cursor": cursor}
        if session_id is not None:
            return await self._reach.on(
                session_id, lambda face: face.checkpoints.list(session_id, **asked)
            )
        pages = await self._reach.everywhere(
            lambda face: face.checkpoints.list(**asked)
        )
        return merged(pages, limit, _checkpoint, (str, str, str), newest_first=True)

    async def copy(self, session_id: str, to: str) -> int:
        """As of one database: both lie in one shard.

        Raises:
            ConfigError: They do not.
        """
        place = self._reach.one_of("a copy of checkpoints", [session_id, to])
        return await self._reach.at(
            place, lambda face: face.checkpoints.copy(session_id, to)
        )


def _checkpoint(one: Checkpoint) -> tuple[str, str, str]:
    # An empty text is no part of a cursor.
    return one.checkpoint_id, one.session_id, "/" + one.namespace


@routed("holds")
class Holds(OverReach, holds.Holds):
    """Legal holds, each with its session."""

    async def list(
        self,
        session_id: str | None = None,
        *,
        in_force: bool = False,
        limit: int = 100,
        cursor: str | None = None,
    ) -> Page[LegalHold]:
        """As of one database; without a session those of all shards."""
        if session_id is not None:
            return await self._reach.on(
                session_id,
                lambda face: face.holds.list(
                    session_id, in_force=in_force, limit=limit, cursor=cursor
                ),
            )
        pages = await self._reach.everywhere(
            lambda face: face.holds.list(in_force=in_force, limit=limit, cursor=cursor)
        )
        return merged(pages, limit, by("session_id", "number"), (str, int))


class Users(OverReach, users.Users):
    """Users, whose sessions lie anywhere."""

    async def list(
        self, *, limit: int = 100, cursor: str | None = None
    ) -> Page[UserSummary]:
        """Users of all shards by id, with what they have in all of them."""
        pages = await self._reach.everywhere(
            lambda face: face.users.list(limit=limit, cursor=cursor)
        )
        return merged(pages, limit, by("user_id"), (str,), combine=_together)


def _together(one: UserSummary, other: UserSummary) -> UserSummary:
    return UserSummary(
        one.user_id,
        one.session_count + other.session_count,
        max(one.last_activity_at, other.last_activity_at),
    )


class Queues(queues.Queues):
    """Queues: the home database's items, over sessions that lie anywhere."""

    def __init__(self, reach: Reach) -> None:
        self._scope = reach.scope
        self._items, self._sessions = Items(reach), Sessions(reach)
        self._turns, self._interactions = Turns(reach), Interactions(reach)


class SearchIndex(OverReach, search_index.SearchIndex):
    """The indexes of words of all shards."""

    async def run(self, **given: Any) -> IndexReport:
        """Index what waits, in every shard."""
        return folded(
            IndexReport,
            await self._reach.everywhere(lambda face: face.search_index.run(**given)),
        )

    async def rebuild(self, **given: Any) -> IndexReport:
        """Make every index anew, one after the other."""
        return folded(
            IndexReport,
            [
                await self._reach.at(n, lambda face: face.search_index.rebuild(**given))
                for n in range(len(self._reach.shards))
            ],
        )

    async def check(self) -> IndexReport:
        """Compare every index with its sessions."""
        return folded(
            IndexReport,
            await self._reach.everywhere(lambda face: face.search_index.check()),
        )
