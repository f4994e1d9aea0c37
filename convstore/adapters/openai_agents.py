"""Sessions of the OpenAI Agents SDK, kept in a store.

    session = ConvstoreSession("s-1", store, user_id="u-1")
    await Runner.run(agent, "Hello", session=session)

Each item is a turn. What another framework or the application itself said in the
session is read as items, too.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from itertools import dropwhile
from typing import (
    TYPE_CHECKING,
    Any,
    Final,
    Literal,
    NamedTuple,
    TypeAlias,
    TypeVar,
)

from convstore.blocking.wrapping import AnyStore, awaited
from convstore.concurrency.completion import finished
from convstore.messages.message import says_only_text
from convstore.messages.neutral import plain_text, unsaved
from convstore.messages.own import is_cut, json_of, with_payload
from convstore.messages.responses import RESULT_TYPES, items_of, turn_of
from convstore.vocabulary.errors import (
    InvalidInputError,
    SessionNotFoundError,
    VersionConflictError,
)
from convstore.vocabulary.extras import needed
from convstore.vocabulary.records import InteractionInput, JsonObject, Turn, TurnInput

with needed("openai-agents", "the adapter of the OpenAI Agents SDK"):
    from agents import RunContextWrapper
    from agents.memory import SessionSettings
    from agents.memory.session import _CompactionSnapshot
    from agents.memory.session_settings import resolve_session_limit

if TYPE_CHECKING:
    from convstore.types import Conversation

FORMAT: Final = "openai-agents"
"""Of the payloads: the JSON text of one item."""

__all__ = ["ConvstoreSession"]

T = TypeVar("T")
Wrapper: TypeAlias = RunContextWrapper[Any] | None
FromContext: TypeAlias = Callable[[Any], str]
"""It is called with the `context` that the application gave to the runner."""
# Where an item has these and is no result, an import makes two turns of it.
_RESULTS = ("output", "outputs", "results")
# Of what is said in words, which nearly all items are.
_PLAIN = {"role", "content"}
_SPEAKERS = frozenset({"user", "assistant", "system"})
# Enough for most limits in one read; a foreign turn without items asks for another.
_PAGE = 1_000


class ConvstoreSession:
    """A session of the SDK over a session of the store.

    Safe to share between tasks, and with `convstore.blocking`'s `awaitable` store
    between threads and event loops. Closing it does not close the store.

    Args:
        session_id: Of the store, 1 to 255 characters; made with the first item.
        store: An open `convstore.Store`, of the tenant that is meant, or one of
            `convstore.blocking.open_store`, which serves any event loop.
        user_id: Whose session it is. With it, a session of nobody becomes this user's
            with the first item, and one of another user is not found. As a function it
            says so of the context of each run.
        tenant_id: Of the context of each run, in which tenant of the store its session
            is.
        session_settings: `limit` is how many items the runner reads.

    Where a function says whose it is, a call without a run (`wrapper=None`) is refused,
    as is a run whose context names nobody.
    """

    session_settings: SessionSettings | None = None

    def __init__(
        self,
        session_id: str,
        store: AnyStore,
        *,
        user_id: str | FromContext | None = None,
        tenant_id: FromContext | None = None,
        session_settings: SessionSettings | None = None,
    ) -> None:
        self.session_id, store = session_id, awaited(store)
        self.session_settings = session_settings or SessionSettings()
        self._store, self._user_of, self._tenant_of = store, user_id, tenant_id
        # Ids that are none are refused here already.
        known = None if callable(user_id) else user_id
        self._bound = store.conversation(session_id, user_id=known)
        self._closed = False

    async def get_items(
        self, limit: int | None = None, *, wrapper: Wrapper = None
    ) -> list[JsonObject]:
        """The newest `limit` items of the active branch, oldest first.

        Args:
            limit: Exactly so many, pairs or not; None takes that of the settings, 0
                gives none, a negative one all.
            wrapper: Of the run, as the runner gives it.
        """
        chat = self._chat(wrapper)
        most = resolve_session_limit(limit, self.session_settings)
        if most == 0:
            return []
        seen = await self._newest(chat, None if most is None or most < 0 else most)
        return [item for _, item in seen.items]

    async def add_items(
        self, items: Sequence[Mapping[str, Any]], *, wrapper: Wrapper = None
    ) -> None:
        """Add items to the active branch: all of them in one commit, or none.

        Raises:
            TypeError: An item cannot be written as JSON; nothing was added.
        """
        chat = self._chat(wrapper)
        turns = [_turn(item) for item in items]
        if turns:
            await finished(self._add(chat, turns))

    async def pop_item(self, *, wrapper: Wrapper = None) -> JsonObject | None:
        """Take the newest item off the active branch; None where there is none.

        Nothing is destroyed: the turn stays on a branch that is no longer active.
        """
        return await finished(self._pop(self._chat(wrapper)))

    async def clear_session(self, *, wrapper: Wrapper = None) -> None:
        """Begin anew with an empty branch; nothing is destroyed."""
        await finished(self._clear(self._chat(wrapper)))

    def close(self) -> None:
        """Take no more calls. Idempotent."""
        self._closed = True

    async def _get_compaction_snapshot(
        self,
        limit: int,
        *,
        prune_prefix: Callable[[JsonObject], bool] | None = None,
    ) -> _CompactionSnapshot:
        """What the SDK asks of a session, by this name, before it compacts: the newest
        items, whether these are all, and how to put others in the place of the last.

        What `prune_prefix` calls expired is left out of the new branch.
        """
        chat = self._chat(None)
        seen = await self._newest(chat, limit)

        async def replace_suffix(start: int, output: list[JsonObject]) -> bool:
            work = self._replace(chat, seen, start, output, prune_prefix)
            return await finished(work)

        return _CompactionSnapshot(
            [item for _, item in seen.items], seen.complete, replace_suffix
        )

    def _chat(self, wrapper: Wrapper) -> Conversation:
        """The session of whoever this call is for."""
        if self._closed:
            raise RuntimeError(f"{type(self).__name__} is closed")
        store, user_id = self._store, self._user_of
        if self._tenant_of is None and not callable(user_id):
            return self._bound
        if self._tenant_of is not None:
            store = store.for_tenant(_named("tenant_id", self._tenant_of, wrapper))
        if callable(user_id):
            user_id = _named("user_id", user_id, wrapper)
        return store.conversation(self.session_id, user_id=user_id)

    async def _newest(self, chat: Conversation, limit: int | None) -> _Seen:
        found: list[tuple[Turn, JsonObject]] = []
        head, before = 0, None
        while True:
            size = None if limit is None else min(max(limit, 1), _PAGE)
            try:
                turns = await chat.branch(before=before, limit=size)
            except SessionNotFoundError:
                turns = []
            found = [(turn, item) for turn in turns for item in _items(turn)] + found
            head = head or (turns[-1].seq if turns else 0)
            first = not turns or turns[0].parent_seq is None
            if limit is not None and (len(found) > limit or not first):
                if len(found) >= limit:
                    return _Seen(found[len(found) - limit :], False, head)
            elif first:
                return _Seen(found, True, head)
            before = turns[0].seq

    async def _add(self, chat: Conversation, turns: list[TurnInput]) -> None:
        await chat.append_many(turns)

    async def _pop(self, chat: Conversation) -> JsonObject | None:
        while True:
            try:
                tip = next(iter(await chat.branch(limit=1)), None)
            except SessionNotFoundError:
                return None
            if tip is None:
                return None
            items = _items(tip)
            try:
                if len(items) > 1:
                    await self._put(chat, tip.parent_seq, items[:-1], tip.seq, "pop")
                else:
                    await chat.pop(expected_head=tip.seq)
            except VersionConflictError:
                continue  # somebody else's turn to pop, or to append
            if items:
                return items[-1]

    async def _clear(self, chat: Conversation) -> None:
        with suppress(SessionNotFoundError):
            await chat.switch(0, action="clear")

    async def _replace(
        self,
        chat: Conversation,
        seen: _Seen,
        start: int,
        output: Sequence[Mapping[str, Any]],
        prune_prefix: Callable[[JsonObject], bool] | None,
    ) -> bool:
        """Put `output` in the place of the items from `start` on, unless the branch has
        moved since they were read."""
        replaced = seen.items[start:]
        if not replaced:
            return False
        turn = replaced[0][0]
        # Of a turn of another framework, what was said before the place stays.
        before = [item for other, item in seen.items[:start] if other is turn]
        kept: list[Mapping[str, Any]] = [*before, *output]
        parent = turn.parent_seq
        if prune_prefix is not None and parent is not None:
            whole = await chat.branch(head=parent)
            items = [item for one in whole for item in _items(one)]
            rest = list(dropwhile(prune_prefix, items))
            if len(rest) < len(items):
                parent, kept = None, [*rest, *kept]
        try:
            await self._put(chat, parent, kept, seen.head, "compact")
        except (VersionConflictError, SessionNotFoundError):
            return False
        return True

    async def _put(
        self,
        chat: Conversation,
        parent: int | None,
        items: Sequence[Mapping[str, Any]],
        head: int,
        action: Literal["pop", "compact"],
    ) -> None:
        """Leave the branch that ends in `head`, and go on after `parent` with items: in
        one commit, which says why, so that no export takes what is left for a rejected
        answer."""
        await chat.apply(
            switch=parent or 0,
            turns=[_turn(item) for item in items],
            expected_head=head,
            interactions=[
                InteractionInput(action, turn_seq=head, actor_kind="code"),
            ],
        )


class _Seen(NamedTuple):
    """The newest items of a branch, each with its turn; whether there are no others;
    the tip that they were read at."""

    items: list[tuple[Turn, JsonObject]]
    complete: bool
    head: int


def _named(field: str, of_context: FromContext, wrapper: Wrapper) -> str:
    """Whom the context of a run names: somebody, or it is refused."""
    if wrapper is None:
        raise InvalidInputError(field, "comes from a run, and this call is of none")
    name: object = of_context(wrapper.context)
    if not isinstance(name, str):
        raise InvalidInputError(field, "the context of the run names nobody")
    return name


def _turn(item: Mapping[str, Any]) -> TurnInput:
    """An item as a turn: with the item itself, where the columns say less."""
    if not isinstance(item, Mapping):
        raise TypeError(f"an item is a mapping, not {type(item).__name__}")
    return _plain_turn(item) or _whole_turn(item)


def _whole_turn(item: Mapping[str, Any]) -> TurnInput:
    told = turn_of(item)
    if items_of(unsaved(told)) == [item]:
        return told
    # ASCII: any text that JSON can tell fits, lone surrogates too.
    text = json.dumps(item, separators=(",", ":"))
    return with_payload(told, text.encode(), FORMAT)


def _plain_turn(item: Mapping[str, Any]) -> TurnInput | None:
    """The turn of an item that is nothing but text, as the long way gives it."""
    if item.keys() != _PLAIN:
        return None
    role, text = item["role"], item["content"]
    if type(role) is not str or role not in _SPEAKERS:
        return None
    if type(text) is not str or not text or plain_text(text) != text:
        return None
    return TurnInput(role, text)


def _items(turn: Turn) -> list[JsonObject]:
    if turn.payload_format != FORMAT and says_only_text(turn):
        return [{"role": turn.role, "content": turn.content}]  # as nearly all are
    told = json_of(turn, FORMAT)
    if turn.external_id is None:
        # An object of another's, such as `{"id": …}`, is no item of this turn.
        own = isinstance(told, dict) and turn_of(told).role == turn.role
        return [told] if own else items_of(turn)
    # An import names its turns, and keeps all items of one. What it kept elsewhere, or
    # made two turns of, is told by the turns.
    items = told if isinstance(told, list) else [told]
    whole = all(isinstance(item, dict) and _is_whole(item) for item in items)
    return items if whole and items and not is_cut(turn) else items_of(turn)


def _is_whole(item: JsonObject) -> bool:
    return str(item.get("type")) in RESULT_TYPES or not any(map(item.get, _RESULTS))


def __dir__() -> list[str]:
    return sorted(__all__)
