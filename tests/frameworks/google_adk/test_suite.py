"""The session service for Google's ADK passes what every adapter passes."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from google.adk.errors import StaleSessionError
from google.adk.errors.already_exists_error import AlreadyExistsError
from google.adk.errors.session_not_found_error import SessionNotFoundError
from google.adk.sessions.base_session_service import GetSessionConfig

from convstore import Store
from convstore.adapters.google_adk import ConvstoreSessionService
from convstore.testing.framework_suite import OWNER
from tests.frameworks.google_adk import talk
from tests.frameworks.on_both import OnBothDatabases


class TestGoogleADK(OnBothDatabases):
    limits = True
    shared_ids = False
    conflicts = (StaleSessionError, AlreadyExistsError, SessionNotFoundError)

    def talk(self) -> list[Any]:
        return talk.talk()

    def odd(self) -> list[Any]:
        return talk.odd()

    def asked(self, text: str) -> Any:
        return talk.asked(text)

    def names(self, session_id: str) -> dict[str, str]:
        return {"app_name": "shop", "user_id": OWNER, "session_id": session_id}

    def session_of(self, session_id: str) -> str:
        return session_id if self.shared_ids else f"shop/{OWNER}/{session_id}"

    def service(self, store: Store) -> ConvstoreSessionService:
        return ConvstoreSessionService(store, shared_ids=self.shared_ids)

    async def add(self, store: Store, session_id: str, messages: Sequence[Any]) -> None:
        await (await self.late(store, session_id, messages))()

    async def late(
        self, store: Store, session_id: str, messages: Sequence[Any]
    ) -> Callable[[], Awaitable[None]]:
        service, names = self.service(store), self.names(session_id)
        session = await service.get_session(**names)
        if session is None:
            session = await service.create_session(**names)

        async def end() -> None:
            for message in messages:
                await service.append_event(session, message)

        return end

    async def read(self, store: Store, session_id: str) -> list[Any]:
        session = await self.service(store).get_session(**self.names(session_id))
        return [] if session is None else session.events

    async def newest(self, store: Store, session_id: str, limit: int) -> list[Any]:
        session = await self.service(store).get_session(
            **self.names(session_id), config=GetSessionConfig(num_recent_events=limit)
        )
        return [] if session is None else session.events

    async def delete(self, store: Store, session_id: str) -> None:
        await self.service(store).delete_session(**self.names(session_id))


class TestGoogleADKWithSharedIds(TestGoogleADK):
    shared_ids = True
