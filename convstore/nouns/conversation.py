"""The bound handle: one conversation, with no ids at the call sites."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from functools import partial, wraps
from typing import Any, ParamSpec, TypeVar, cast

from convstore.db.sessions import EnsureSession
from convstore.db.unit import Row
from convstore.errors import SessionNotFoundError
from convstore.gateway.buffers import BUFFER_CAP, BUFFER_IDLE_TTL_S, since_idle
from convstore.ids import check_optional_id
from convstore.nouns.buffer import Buffer
from convstore.nouns.graph_states import GraphStates
from convstore.nouns.interactions import Interactions
from convstore.nouns.ledger import Ledger
from convstore.nouns.scope import Scope
from convstore.nouns.sessions import Sessions
from convstore.nouns.turns import Turns
from convstore.records import Session, Turn

P = ParamSpec("P")
R = TypeVar("R")


class Conversation:
    """One session of one user; its first write creates it if it is not there.

    Every verb is the noun's own, with the session filled in. A session that belongs to
    another user is not found.
    """

    def __init__(self, scope: Scope, session_id: str, user_id: str | None) -> None:
        self.session_id = session_id
        user_id = check_optional_id("user_id", user_id)
        self._scope = scope = scope.for_user(user_id)
        self._sessions = Sessions(scope)
        turns, acts = Turns(scope), Interactions(scope)
        graphs = GraphStates(scope)
        self.append = self._creating(partial(turns.append, session_id))
        self.append_many = self._creating(partial(turns.append_many, session_id))
        self.add_exchange = self._creating(partial(turns.add_exchange, session_id))
        self.find = partial(turns.find, session_id)
        self.window = partial(turns.window, session_id)
        self.history = partial(turns.history, session_id)
        self.previous_user_turn = partial(turns.previous_user_turn, session_id)
        self.branches = partial(turns.branches, session_id)
        self.switch = partial(turns.switch, session_id)
        self.record = partial(acts.record, session_id)
        self.add_feedback = partial(acts.add_feedback, session_id)
        self.feedback = partial(acts.summary, session_id)
        self.put_graph_state = self._creating(partial(graphs.put, session_id))
        self.graph_state = partial(graphs.find, session_id)
        ledger = Ledger(scope)
        self.pin = self._creating(partial(ledger.pin, session_id))
        self.record_request = self._creating(partial(ledger.record_request, session_id))
        self.add_cost = self._creating(partial(ledger.add_cost, session_id))
        self.set_cache_sticky = self._creating(
            partial(ledger.set_cache_sticky, session_id)
        )
        self.escalate = self._creating(partial(ledger.escalate, session_id))
        self.is_cache_sticky = partial(ledger.is_cache_sticky, session_id)
        self.check_budget = partial(ledger.check_budget, session_id)
        self.ledger_entry = partial(ledger.find, session_id)
        self.update = partial(self._sessions.update, session_id)
        self.touch = partial(self._sessions.touch, session_id)

    async def session(self) -> Session:
        """The session, created or restored if need be."""
        session, _ = await self._sessions.get_or_create(self.session_id)
        return session

    async def append_system_message(
        self, content: str, *, external_id: str | None = None
    ) -> Turn:
        """Add a system turn, such as what the user did outside the chat."""
        return await self.append(
            role="system", content=content, external_id=external_id
        )

    async def buffer(
        self, *, cap: int = BUFFER_CAP, idle_ttl_s: float = BUFFER_IDLE_TTL_S
    ) -> Buffer:
        """What an agent still has in mind of the active branch; the record keeps all.

        At most `cap` turns, and none from before a silence of more than `idle_ttl_s`
        seconds: after one the buffer is empty until somebody speaks. Never parts a
        tool call from its result. A session that is not there yet gives an empty one.
        """
        try:
            newest = await self.window(limit=cap)
        except SessionNotFoundError:
            return Buffer(())
        return Buffer(since_idle(newest, self._scope.clock.now(), idle_ttl_s))

    def _creating(
        self, verb: Callable[P, Awaitable[R]]
    ) -> Callable[P, Coroutine[Any, Any, R]]:
        """The verb, with the session created when it turns out to be absent."""
        scope, session_id = self._scope, self.session_id

        def create() -> EnsureSession:
            values: Row = {"user_id": scope.user_id}
            key, now = scope.key(session_id), scope.now()
            return EnsureSession(key, values, {}, now, scope.user_id)

        @wraps(verb)
        async def call(*args: P.args, **kwargs: P.kwargs) -> R:
            try:
                return await verb(*args, **kwargs)
            except SessionNotFoundError:
                pass
            # Writes of one session keep their order, and these two share a commit.
            created, done = await asyncio.gather(
                scope.write(create()), verb(*args, **kwargs), return_exceptions=True
            )
            for outcome in (created, done):
                if isinstance(outcome, BaseException):
                    raise outcome
            return cast(R, done)

        return call
