"""The bound handle: one conversation, with no ids at the call sites."""

from __future__ import annotations

import asyncio
from collections.abc import (
    AsyncIterator,
    Awaitable,
    Callable,
    Coroutine,
    Mapping,
    Sequence,
)
from contextlib import asynccontextmanager
from datetime import datetime
from functools import partial, wraps
from typing import Any, Concatenate, Generic, ParamSpec, TypeVar, cast, overload

from convstore.db.sessions import EnsureSession
from convstore.db.unit import Row
from convstore.messages.buffers import BUFFER_CAP, BUFFER_IDLE_TTL_S, since_idle
from convstore.repositories.answer import Answer
from convstore.repositories.buffer import Buffer
from convstore.repositories.checkpoints import Checkpoints
from convstore.repositories.graph_states import GraphStates
from convstore.repositories.histories import system_turns
from convstore.repositories.interactions import Interactions
from convstore.repositories.items import Items
from convstore.repositories.ledger import Ledger
from convstore.repositories.scope import Scope
from convstore.repositories.search import search, wanted_of
from convstore.repositories.sessions import Sessions
from convstore.repositories.turns import Turns
from convstore.vocabulary.errors import ConvstoreError, SessionNotFoundError
from convstore.vocabulary.hits import SearchOrder, SearchPage
from convstore.vocabulary.ids import check_optional_id
from convstore.vocabulary.records import Json, Session, Turn

P = ParamSpec("P")
R = TypeVar("R")


class BoundVerb(Generic[P, R]):
    """A noun's verb with the session filled in; made when it is asked for, because a
    backend makes a handle for each request and uses a few verbs of it.

    With `creates`, the session is made when it turns out to be absent.
    """

    def __init__(
        self,
        noun: Callable[[Scope], Any],
        verb: Callable[Concatenate[Any, str, P], Awaitable[R]],
        *,
        creates: bool = False,
    ) -> None:
        self._noun = noun
        self._verb = verb
        self._creates = creates
        self.__doc__ = verb.__doc__

    @overload
    def __get__(self, handle: None, owner: type) -> BoundVerb[P, R]: ...

    @overload
    def __get__(
        self, handle: Conversation, owner: type
    ) -> Callable[P, Coroutine[Any, Any, R]]: ...

    def __get__(self, handle: Conversation | None, owner: type) -> Any:
        if handle is None:
            return self
        noun = self._noun(handle._scope)
        verb = partial(self._verb, noun, handle.session_id)
        return handle._creating(verb) if self._creates else verb


class Conversation:
    """One session of one user; its first write creates it if it is not there.

    Every verb is the noun's own, with the session filled in. A session that belongs to
    another user is not found.
    """

    append = BoundVerb(Turns, Turns.append, creates=True)
    append_once = BoundVerb(Turns, Turns.append_once, creates=True)
    append_many = BoundVerb(Turns, Turns.append_many, creates=True)
    append_message = BoundVerb(Turns, Turns.append_message, creates=True)
    add_exchange = BoundVerb(Turns, Turns.add_exchange, creates=True)
    find = BoundVerb(Turns, Turns.find)
    window = BoundVerb(Turns, Turns.window)
    history = BoundVerb(Turns, Turns.history)
    previous_user_turn = BoundVerb(Turns, Turns.previous_user_turn)
    branch = BoundVerb(Turns, Turns.branch)
    branches = BoundVerb(Turns, Turns.branches)
    siblings = BoundVerb(Turns, Turns.siblings)
    children = BoundVerb(Turns, Turns.children)
    switch = BoundVerb(Turns, Turns.switch)
    pop = BoundVerb(Turns, Turns.pop)
    record = BoundVerb(Interactions, Interactions.record)
    add_feedback = BoundVerb(Interactions, Interactions.add_feedback)
    feedback = BoundVerb(Interactions, Interactions.summary)
    put_graph_state = BoundVerb(GraphStates, GraphStates.put, creates=True)
    graph_state = BoundVerb(GraphStates, GraphStates.find)
    put_checkpoint = BoundVerb(Checkpoints, Checkpoints.put, creates=True)
    checkpoint = BoundVerb(Checkpoints, Checkpoints.find)
    pin = BoundVerb(Ledger, Ledger.pin, creates=True)
    escalate = BoundVerb(Ledger, Ledger.escalate, creates=True)
    record_request = BoundVerb(Ledger, Ledger.record_request, creates=True)
    add_cost = BoundVerb(Ledger, Ledger.add_cost, creates=True)
    check_budget = BoundVerb(Ledger, Ledger.check_budget)
    set_cache_sticky = BoundVerb(Ledger, Ledger.set_cache_sticky, creates=True)
    is_cache_sticky = BoundVerb(Ledger, Ledger.is_cache_sticky)
    ledger_entry = BoundVerb(Ledger, Ledger.find)
    update = BoundVerb(Sessions, Sessions.update)
    touch = BoundVerb(Sessions, Sessions.touch)
    fork = BoundVerb(Sessions, Sessions.fork)
    forks = BoundVerb(Sessions, Sessions.forks)
    patch = BoundVerb(Sessions, Sessions.patch, creates=True)
    apply = BoundVerb(Sessions, Sessions.apply, creates=True)
    adapter_state = BoundVerb(Sessions, Sessions.adapter_state)

    def __init__(self, scope: Scope, session_id: str, user_id: str | None) -> None:
        self.session_id = session_id
        self._scope = scope.for_user(check_optional_id("user_id", user_id))
        # The items of this session, which must be there.
        self.items = Items(self._scope, session_id)

    async def session(self) -> Session:
        """The session, created or restored if need be."""
        session, _ = await Sessions(self._scope).get_or_create(self.session_id)
        return session

    async def append_system_message(
        self, content: str, *, external_id: str | None = None
    ) -> Turn:
        """Add a system turn, such as what the user did outside the chat."""
        return await self.append(
            role="system", content=content, external_id=external_id
        )

    @asynccontextmanager
    async def answer(
        self,
        *,
        model: str | None = None,
        name: str | None = None,
        language: str | None = None,
        tools: Sequence[Json] | None = None,
        metadata: Mapping[str, Json] | None = None,
        external_id: str | None = None,
        parent_seq: int | None = None,
    ) -> AsyncIterator[Answer]:
        """A streamed answer: `async with chat.answer(model=…) as a: a.write(text)`.

        Stored as one assistant turn when the block ends. When it ends by an error, or
        because the client left or the task was cancelled, what was said so far is
        stored with the finish reason `interrupted`, and the error goes on. One that
        had not begun by then leaves nothing. The fields are those of `append`.

        Raises:
            ConvstoreError: As `append`, at the end of the block.
        """
        given = {
            "model": model,
            "name": name,
            "language": language,
            "tools": tools,
            "metadata": metadata,
            "external_id": external_id,
            "parent_seq": parent_seq,
        }
        answer = Answer(self.append, given)
        try:
            yield answer
        except BaseException as error:
            try:
                await answer.end(interrupted=True)
            except ConvstoreError as failure:
                # The caller's own error is what happened first; this one is told too.
                error.add_note(f"the answer so far was not stored: {failure.code}")
            raise
        await answer.end(interrupted=False)

    async def search(
        self,
        text: str,
        *,
        role: str | None = None,
        since: datetime | None = None,
        until: datetime | None = None,
        order: SearchOrder = "newest",
        limit: int = 20,
        cursor: str | None = None,
    ) -> SearchPage:
        """What was said in this conversation; as `Store.search`. One that is not there,
        or is another user's, has no hits."""
        wanted = wanted_of(
            self._scope, session_id=self.session_id, role=role, since=since, until=until
        )
        return await search(
            self._scope, text, limit=limit, cursor=cursor, order=order, wanted=wanted
        )

    async def buffer(
        self,
        *,
        cap: int = BUFFER_CAP,
        idle_ttl_s: float = BUFFER_IDLE_TTL_S,
        keep_system: bool = False,
    ) -> Buffer:
        """What an agent still has in mind of the active branch; the record keeps all.

        At most `cap` turns, and none from before a silence of more than `idle_ttl_s`
        seconds: after one the buffer is empty until somebody speaks. Never parts a
        tool call from its result. A session that is not there yet gives an empty one.
        `keep_system` also reads the system turns that the branch begins with, for
        `history(keep_system=True)`; they are not among the turns.
        """
        try:
            newest = await self.window(limit=cap)
            turns = since_idle(newest, self._scope.clock.now(), idle_ttl_s)
            system: tuple[Turn, ...] = ()
            if keep_system and turns and turns[0].parent_seq is not None:
                first = await system_turns(self._scope, self.session_id)
                system = tuple(turn for turn in first if turn.seq < turns[0].seq)
        except SessionNotFoundError:
            return Buffer(())
        return Buffer(turns, system)

    def _creating(
        self, verb: Callable[P, Awaitable[R]]
    ) -> Callable[P, Coroutine[Any, Any, R]]:
        """The verb, with the session created when it turns out to be absent."""
        scope, session_id = self._scope, self.session_id

        def create() -> EnsureSession:
            values: Row = {"user_id": scope.user_id}
            key, now = scope.key(session_id), scope.now()
            return EnsureSession(key, values, now, scope.user_id)

        @wraps(verb, assigned=(), updated=())
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
