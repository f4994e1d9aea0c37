from __future__ import annotations

from typing import Final

from google.adk.events.event import Event
from google.adk.events.event_actions import EventActions
from google.genai import types

from convstore import Store
from convstore.adapters.google_adk import ConvstoreSessionService
from tests.frameworks.writers import Found

WHERE: Final = {"app_name": "shop", "user_id": "ann", "session_id": "adk"}


class Writer:
    whole = True

    def __init__(self, store: Store) -> None:
        self.service = ConvstoreSessionService(store)

    async def write(self, names: list[str]) -> None:
        session = await self.service.get_session(**WHERE)
        if session is None:
            session = await self.service.create_session(**WHERE, state={"count": 0})
        parts = [types.Part(text=" ".join(names))]
        delta = {"count": session.state["count"] + 1, "user:last": names[-1]}
        event = Event(
            author="user",
            invocation_id=names[0],
            content=types.Content(role="user", parts=parts),
            actions=EventActions(state_delta=delta),
        )
        await self.service.append_event(session, event)

    async def read(self) -> Found:
        session = await self.service.get_session(**WHERE)
        if session is None:
            return [], []
        wrong = []
        if session.state["count"] != len(session.events):
            wrong.append("the state of the session is not that of the events")
        contents = [event.content for event in session.events]
        said = [str(c.parts[0].text) for c in contents if c is not None and c.parts]
        names = [name for text in said for name in text.split()]
        if names and session.state["user:last"] != names[-1]:
            wrong.append("the state of the user is not that of the events")
        return names, wrong
