"""The session service of Google's ADK over the sessions of a store."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Any

from google.adk.errors import StaleSessionError
from google.adk.errors.already_exists_error import AlreadyExistsError
from google.adk.errors.session_not_found_error import SessionNotFoundError
from google.adk.events.event import Event
from google.adk.platform import uuid as platform_uuid
from google.adk.sessions import BaseSessionService
from google.adk.sessions import Session as AdkSession
from google.adk.sessions.base_session_service import (
    GetSessionConfig,
    ListSessionsResponse,
)
from google.adk.sessions.state import State

from convstore.adapters.google_adk.beside import brought, brought_for, items_of
from convstore.adapters.google_adk.events import (
    events_of,
    lasting,
    renamed,
    turns_of_event,
)
from convstore.adapters.google_adk.places import Place, place_of
from convstore.adapters.google_adk.state import (
    Mark,
    beside,
    delta_of,
    mark_from,
    mark_of,
    names_in,
    names_of,
    state_of,
    time_of,
)
from convstore.blocking.wrapping import AnyStore, awaited
from convstore.messages.adk_names import STATE, app_item, owner_of, user_item
from convstore.vocabulary import errors
from convstore.vocabulary.records import Applied, JsonObject, Session, Turn

_PAGE = 100
_MOST_TURNS = 1_000
# Results of calls that were made at once are turns of one event.
_MORE = 8
_ABSENT = (errors.NotFoundError, errors.SessionDeletedError)
_STALE = "The session has been modified in storage since it was loaded: load it again."


class ConvstoreSessionService(BaseSessionService):
    """A session service of the framework over the sessions of a store.

    Safe to share between tasks, and with `convstore.blocking`'s `awaitable` store
    between threads and event loops. Closing it is closing the store.

    Args:
        store: An open `convstore.Store`, of the tenant that is meant, or one of
            `convstore.blocking.open_store`, which serves any event loop.
        agent_name: Whose events the answers of other frameworks are: the name of the
            agent that is to take them for its own.
        shared_ids: Whether a session's id alone names it in the store, so that other
            frameworks and the application know it by that id; else its name there is
            `app/user/id`, as two users may have the same id.
        archive_deleted: Whether what is deleted is archived first, from where it can
            be restored; False destroys it without a copy.
    """

    def __init__(
        self,
        store: AnyStore,
        *,
        agent_name: str = "model",
        shared_ids: bool = False,
        archive_deleted: bool = True,
    ) -> None:
        self._store = awaited(store)
        self._agent_name = agent_name
        self._shared_ids = shared_ids
        self._archive_deleted = archive_deleted
        self._appending: dict[tuple[int, str], tuple[asyncio.Lock, int]] = {}

    async def create_session(
        self,
        *,
        app_name: str,
        user_id: str,
        state: dict[str, Any] | None = None,
        session_id: str | None = None,
    ) -> AdkSession:
        """Begin a session, its state and that of user and app in one commit.

        Raises:
            AlreadyExistsError: The id is taken; nothing was changed.
            SessionErasedError: It was erased, and never begins anew.
        """
        own_id = (session_id or "").strip() or platform_uuid.new_uuid()
        place = self._place(app_name, user_id, own_id)
        if place.before is not None and await self._find(place) is not None:
            raise AlreadyExistsError(f"Session with id {own_id} exists.")
        delta = delta_of(state)
        try:
            done = await self._store.sessions.apply(
                place.session_id,
                create=True,
                renew=True,
                user_id=place.owner,
                expected_version=0,
                adapter_state=beside(place, delta, None, 0),
                items=delta.items(place),
            )
        except (errors.VersionConflictError, errors.SessionNotFoundError) as error:
            raise AlreadyExistsError(f"Session with id {own_id} exists.") from error
        made = await self._told(place, done.session, {"state": delta.session}, [])
        made.last_update_time = done.session.created_at.timestamp()
        return made

    async def get_session(
        self,
        *,
        app_name: str,
        user_id: str,
        session_id: str,
        config: GetSessionConfig | None = None,
    ) -> AdkSession | None:
        """The session with its events, or the newest of them, as `config` says."""
        place = self._place(app_name, user_id, session_id)
        # First, so that what is appended meanwhile makes the object stale.
        session = await self._find(place)
        if session is None:
            return None
        try:
            kept = await self._store.sessions.adapter_state(session.id, STATE)
            brought_along = await brought_for(self._store, session)
            events = await self._events(session, config or GetSessionConfig())
        except _ABSENT:
            return None
        names = names_of(kept) or names_in(session)
        if names is not None and names[0] != app_name:
            return None
        kept = {**(kept or {}), "imported": brought_along}
        return await self._told(place, session, kept, events)

    async def list_sessions(
        self, *, app_name: str, user_id: str | None = None
    ) -> ListSessionsResponse:
        """The sessions of an app, or of a user of it, without events: oldest update
        first. Sessions that are archived are among them."""
        sessions = self._store.sessions
        owner = None if user_id is None else owner_of(user_id)
        found: list[tuple[Place, Session, JsonObject]] = []
        cursor: str | None = None
        while True:
            page = await sessions.list(user_id=owner, limit=_PAGE, cursor=cursor)
            states = await sessions.adapter_states([s.id for s in page.items], STATE)
            brought_along = await brought(self._store, page.items)
            for session in page.items:
                kept = states.get(session.id) or {}
                kept = {**kept, "imported": brought_along.get(session.id)}
                names = names_of(kept) or names_in(session)
                if names is None and self._shared_ids and user_id is not None:
                    names = app_name, user_id, session.id
                if names is not None and names[0] == app_name:
                    found.append((self._place(*names), session, kept))
            if (cursor := page.next_cursor) is None:
                break
        beside_them = await self._scoped(app_name, {p.user_id for p, _, _ in found})
        told = [self._session(*each, [], beside_them) for each in found]
        told.sort(key=lambda one: (one.last_update_time, one.user_id, one.id))
        return ListSessionsResponse(sessions=told)

    async def delete_session(
        self, *, app_name: str, user_id: str, session_id: str
    ) -> None:
        """Delete a session with its events; what user and app have stays.

        Raises:
            LegalHoldError: It is under legal hold.
        """
        place = self._place(app_name, user_id, session_id)
        found = await self._find(place)
        if found is not None:
            with suppress(*_ABSENT):
                await self._store.sessions.delete(
                    found.id, archive=self._archive_deleted
                )

    async def get_user_state(self, *, app_name: str, user_id: str) -> dict[str, Any]:
        """What a user has beside the sessions, without the prefix."""
        item = user_item(app_name, user_id)
        found = await items_of(self._store, [item])
        return state_of(found.get(item))

    async def append_event(self, session: AdkSession, event: Event) -> Event:
        """Append an event, and change the state as it says, in one commit.

        An equal event that is delivered again changes nothing. A partial event, and
        what is temporary, is not stored.

        Raises:
            SessionNotFoundError: The session is not there.
            StaleSessionError: It has moved on since the object was loaded.
        """
        if event.partial:
            return event
        place = self._place(session.app_name, session.user_id, session.id)
        if place.before is not None:
            found = await self._find(place)
            place = place if found is None else place._replace(session_id=found.id)
        async with self._in_turn(place):
            mark = mark_from(session._storage_update_marker)
            if mark is None:
                mark = await self._recognised(place, session)
            done = await self._append(place, mark, lasting(event))
            now = mark_of(done.session)
            # Also where an earlier call stored it, of which this object does not know.
            count = mark.turn_count + len(done.turns)
            if now.history == (mark.generation, count, done.turns[-1].seq):
                event = await super().append_event(session, event)
                session.last_update_time = event.timestamp
                session._storage_update_marker = str(now)
        return event

    # Reading

    def _place(self, app_name: str, user_id: str, session_id: str) -> Place:
        return place_of(app_name, user_id, session_id, shared=self._shared_ids)

    async def _find(self, place: Place) -> Session | None:
        if not place.id:
            return None
        session = await self._store.sessions.find(place.session_id)
        if session is None and place.before is not None:
            session = await self._store.sessions.find(place.before)
            if session is not None and names_in(session) is None:
                return None
        if session is None or session.user_id not in (None, place.owner):
            return None
        # An import of before may have given another one this name.
        names = None if self._shared_ids else names_in(session)
        return session if names in (None, place.names) else None

    async def _told(
        self,
        place: Place,
        session: Session,
        kept: JsonObject | None,
        events: list[Event],
    ) -> AdkSession:
        beside_it = await self._scoped(place.app_name, [place.user_id])
        return self._session(place, session, kept, events, beside_it)

    def _session(
        self,
        place: Place,
        session: Session,
        kept: JsonObject | None,
        events: list[Event],
        beside_it: dict[tuple[str, str], Any],
    ) -> AdkSession:
        app = beside_it.get(app_item(place.app_name))
        user = beside_it.get(user_item(place.app_name, place.user_id))
        told = AdkSession(
            id=place.id,
            app_name=place.app_name,
            user_id=place.user_id,
            state={
                **state_of(((kept or {}).get("imported") or {}).get("state")),
                **state_of((kept or {}).get("state")),
                **state_of(app, State.APP_PREFIX),
                **state_of(user, State.USER_PREFIX),
            },
            events=events,
            last_update_time=time_of(session, kept),
        )
        told._storage_update_marker = str(mark_of(session))
        return told

    async def _scoped(
        self, app_name: str, users: Iterable[str]
    ) -> dict[tuple[str, str], Any]:
        """The state of an app and of users of it, by where it is kept."""
        names = [app_item(app_name), *(user_item(app_name, user) for user in users)]
        return await items_of(self._store, names)

    async def _events(self, session: Session, config: GetSessionConfig) -> list[Event]:
        """The events of the active branch, or the newest that are asked for."""
        most, since = config.num_recent_events, config.after_timestamp
        if most == 0:
            return []
        bounded = most is not None or since is not None
        turns: list[Turn] = []
        before: int | None = None
        size = None if not bounded else min((most or _PAGE) + _MORE, _MOST_TURNS)
        while True:
            branch = self._store.turns.branch
            page = await branch(session.id, before=before, limit=size)
            turns = [*page, *turns]
            events = events_of(turns, self._agent_name)
            if not page or page[0].parent_seq is None or not bounded:
                break
            if most is not None and len(events) >= most:
                break
            if since is not None and any(one.timestamp < since for one in events):
                break
            before = page[0].seq
        if most is not None:
            events = events[-most:]
        return events if since is None else _since(events, since)

    async def _recognised(self, place: Place, session: AdkSession) -> Mark:
        """The mark of an object that another store, or nobody, has loaded: its events
        must be those that are stored."""
        found = await self._find(place)
        if found is None:
            raise SessionNotFoundError(f"Session {session.id} not found.")
        config = GetSessionConfig(num_recent_events=1)
        newest = await self._events(found, config)
        if [one.id for one in newest] != [one.id for one in session.events[-1:]]:
            raise StaleSessionError(_STALE)
        return mark_of(found)

    # Writing

    async def _append(self, place: Place, mark: Mark, event: Event) -> Applied:
        turns, delta = turns_of_event(event), delta_of(event.actions.state_delta)
        while True:
            try:
                return await self._store.sessions.apply(
                    place.session_id,
                    user_id=place.owner,
                    turns=turns,
                    expected_version=mark.version,
                    adapter_state=beside(
                        place, delta, event.timestamp, mark.turn_count + len(turns)
                    ),
                    items=delta.items(place),
                )
            except errors.VersionConflictError:
                mark = await self._moved(place, mark)
            except errors.ConflictError:
                turns = renamed(turns)  # its id stands for another event
            except _ABSENT as error:
                text = f"Session {place.id} not found."
                raise SessionNotFoundError(text) from error

    async def _moved(self, place: Place, mark: Mark) -> Mark:
        """The mark of now, if nothing but feedback and the like came between."""
        session = await self._find(place)
        if session is None:
            raise SessionNotFoundError(f"Session {place.id} not found.")
        now = mark_of(session)
        if now.history != mark.history:
            raise StaleSessionError(_STALE)
        return now

    @asynccontextmanager
    async def _in_turn(self, place: Place) -> AsyncIterator[None]:
        """One append to a session after the other, as parallel branches of a run share
        its object."""
        key = id(asyncio.get_running_loop()), place.session_id
        lock, waiting = self._appending.get(key, (asyncio.Lock(), 0))
        self._appending[key] = lock, waiting + 1
        try:
            async with lock:
                yield
        finally:
            lock, waiting = self._appending[key]
            if waiting == 1:
                del self._appending[key]
            else:
                self._appending[key] = lock, waiting - 1


def _since(events: Sequence[Event], since: float) -> list[Event]:
    """Those behind the last one that is older."""
    older = (n for n in range(len(events), 0, -1) if events[n - 1].timestamp < since)
    return list(events[next(older, 0) :])
