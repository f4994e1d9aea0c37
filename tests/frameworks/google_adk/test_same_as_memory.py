"""Whatever is done, the service answers as the framework's own does in memory."""

from __future__ import annotations

import copy
from itertools import count
from typing import Any

from google.adk.errors.already_exists_error import AlreadyExistsError
from google.adk.errors.session_not_found_error import SessionNotFoundError
from google.adk.events.event import Event
from google.adk.events.event_actions import EventActions
from google.adk.sessions import BaseSessionService, InMemorySessionService, Session
from google.adk.sessions.base_session_service import GetSessionConfig
from google.genai import types
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from convstore import Store
from convstore.adapters.google_adk import ConvstoreSessionService
from tests.frameworks.google_adk.talk import BEGIN, odd, talk

APPS, USERS, IDS = ("shop", "a/b"), ("ann", "b/ann"), ("s", " s ", "t\x00")
apps, users, ids = st.sampled_from(APPS), st.sampled_from(USERS), st.sampled_from(IDS)
names = st.tuples(apps, users, ids)
values = st.one_of(
    st.none(),
    st.integers(),
    st.text(max_size=3),
    st.dictionaries(st.text(max_size=2), st.integers(0, 3), max_size=2),
)
# Not `temp:`, which ours leaves out before it looks whether it knows the event.
keys = st.builds(
    str.__add__,
    st.sampled_from(["", "user:", "app:"]),
    st.sampled_from(["a", "b", "é\x00"]),
)
deltas = st.dictionaries(keys, values, max_size=3)
numbers = st.integers(0, 11)
STEPS = st.one_of(
    st.tuples(st.just("create"), names, deltas),
    st.tuples(st.just("append"), names, numbers, deltas),
    st.tuples(st.just("append"), names, numbers, deltas),
    st.tuples(st.just("again"), names, numbers),
    st.tuples(st.just("delete"), names),
    st.tuples(
        st.just("read"), names, st.none() | st.integers(0, 4), st.none() | numbers
    ),
    st.tuples(st.just("list"), apps, st.none() | users),
)


def message(number: int, delta: dict[str, Any]) -> Event:
    """One of many kinds, by its number; some ids stand for several events."""
    known = copy.deepcopy([*talk(), *odd()[:3]])
    if number < len(known):
        event = known[number]
        event.timestamp = BEGIN + number
    else:
        content = types.Content(role="user", parts=[types.Part(text=str(number))])
        event = Event(author="user", id=f"e-{number % 2}", content=content)
        event.partial = number == 11 or None
        event.timestamp = BEGIN + number
    event.actions = EventActions(state_delta=dict(delta))
    return event


class Side:
    """One of the two services."""

    def __init__(self, service: BaseSessionService) -> None:
        self.service = service

    async def do(self, step: tuple[Any, ...]) -> Any:
        try:
            told = await getattr(self, step[0])(*step[1:])
        except (AlreadyExistsError, SessionNotFoundError) as error:
            return type(error)
        state = [
            await self.service.get_user_state(app_name=app, user_id=user)
            for app in APPS
            for user in USERS
        ]
        return told, state

    async def _get(self, where: tuple[str, str, str], **more: Any) -> Session | None:
        app, user, one = where
        return await self.service.get_session(
            app_name=app, user_id=user, session_id=one, **more
        )

    async def create(self, where: tuple[str, str, str], delta: Any) -> Any:
        app, user, one = where
        return timeless(
            await self.service.create_session(
                app_name=app, user_id=user, session_id=one, state=copy.deepcopy(delta)
            )
        )

    async def append(self, where: Any, number: int, delta: Any) -> Any:
        session = await self._get(where)
        if session is None:
            app, user, one = where
            session = Session(app_name=app, user_id=user, id=one.strip())
        told = await self.service.append_event(session, message(number, delta))
        return told, shown(session), shown(await self._get(where))

    async def again(self, where: Any, place: int) -> Any:
        """An event that is stored already is delivered once more."""
        session = await self._get(where)
        if session is None or not session.events:
            return None
        event = copy.deepcopy(session.events[place % len(session.events)])
        await self.service.append_event(session, event)
        return shown(session), shown(await self._get(where))

    async def delete(self, where: tuple[str, str, str]) -> Any:
        app, user, one = where
        await self.service.delete_session(app_name=app, user_id=user, session_id=one)
        return shown(await self._get(where))

    async def read(self, where: Any, most: int | None, since: int | None) -> Any:
        after = None if since is None else BEGIN + since
        config = GetSessionConfig(num_recent_events=most, after_timestamp=after)
        return shown(await self._get(where, config=config))

    async def list(self, app: str, user: str | None) -> Any:
        found = await self.service.list_sessions(app_name=app, user_id=user)
        told = [timeless(session) for session in found.sessions]
        return sorted(told, key=lambda one: one[:3])


def timeless(session: Session) -> Any:
    """All that a session tells, but for its time and the mark of its service."""
    return session.app_name, session.user_id, session.id, session.state, session.events


def shown(session: Session | None) -> Any:
    """A session, and its time where an event says it."""
    if session is None:
        return None
    told = session.last_update_time if session.events else None
    return timeless(session), told


tenants = count()


@settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(steps=st.lists(STEPS, min_size=6, max_size=14))
async def test_the_same_steps_give_the_same(
    store: Store, steps: list[tuple[Any, ...]]
) -> None:
    ours = Side(ConvstoreSessionService(store.for_tenant(f"t-{next(tenants)}")))
    theirs = Side(InMemorySessionService())
    for step in steps:
        expected = await theirs.do(step)
        assert await ours.do(step) == expected, step
