"""Message histories of LangChain, kept in a store.

    history = ConvstoreChatMessageHistory(store, "s-1", user_id="u-1")
    chain = RunnableWithMessageHistory(model, lambda session_id: history)

Each message is a turn. What another framework or the application itself said in the
session is read as messages, too. Needs the extra `langchain`.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from typing import TYPE_CHECKING

from langchain_core.chat_history import BaseChatMessageHistory
from langchain_core.messages import BaseMessage, message_to_dict, messages_from_dict

from convstore import blocking
from convstore.messages.langchain_messages import grouped, kept, message_of, turn_of
from convstore.messages.neutral import unsaved
from convstore.vocabulary.errors import SessionNotFoundError
from convstore.vocabulary.records import JsonObject, Turn, TurnInput

if TYPE_CHECKING:
    from convstore import types

__all__ = ["ConvstoreChatMessageHistory"]


class ConvstoreChatMessageHistory(BaseChatMessageHistory):
    """A history of messages over a session of a store.

    Each method serves from any thread and any event loop; a synchronous one on the
    thread of the store's own loop raises `ConfigError` at once: there await the
    asynchronous ones.

    Args:
        store: An open one: asynchronous, awaitable or blocking, of the tenant that is
            meant.
        session_id: Of the store, 1 to 255 characters; made with the first message.
        user_id: Whose session it is. With it, a session of nobody becomes this user's
            with the first message, and one of another user is not found.
    """

    def __init__(
        self,
        store: types.Store | blocking.Store,
        session_id: str,
        *,
        user_id: str | None = None,
    ) -> None:
        self.session_id = session_id
        self._user_id = user_id
        self._store = blocking.over(store)

    @property
    def messages(self) -> list[BaseMessage]:  # type: ignore[override]
        """The messages of the active branch, oldest first."""
        try:
            return _messages(self._threads().branch())
        except SessionNotFoundError:
            return []

    async def aget_messages(self) -> list[BaseMessage]:
        """As `messages`."""
        try:
            return _messages(await self._tasks().branch())
        except SessionNotFoundError:
            return []

    def add_messages(self, messages: Sequence[BaseMessage]) -> None:
        """Add messages: all of them in one commit, or none.

        Raises:
            TypeError: A message cannot be written as JSON; nothing was added.
        """
        if turns := [_turn(message) for message in messages]:
            self._threads().append_many(turns)

    async def aadd_messages(self, messages: Sequence[BaseMessage]) -> None:
        """As `add_messages`."""
        if turns := [_turn(message) for message in messages]:
            await self._tasks().append_many(turns)

    def clear(self) -> None:
        """Begin anew with an empty branch; nothing is destroyed."""
        with suppress(SessionNotFoundError):
            self._threads().switch(0, action="clear")

    async def aclear(self) -> None:
        """As `clear`."""
        with suppress(SessionNotFoundError):
            await self._tasks().switch(0, action="clear")

    def _threads(self) -> blocking.Conversation:
        return self._store.conversation(self.session_id, user_id=self._user_id)

    def _tasks(self) -> types.Conversation:
        tasks = self._store.awaitable
        return tasks.conversation(self.session_id, user_id=self._user_id)


def _turn(message: BaseMessage) -> TurnInput:
    native = message_to_dict(message)
    turn = turn_of(native)
    plain = message_of(unsaved(turn))
    return kept(turn, None if plain and _filled(plain) == native else native)


def _filled(message: JsonObject) -> JsonObject:
    """A message with all that the framework adds to it."""
    filled: JsonObject = message_to_dict(messages_from_dict([message])[0])
    return filled


def _messages(turns: Sequence[Turn]) -> list[BaseMessage]:
    told = [message for group in grouped(turns) for message in group.messages]
    found: list[BaseMessage] = messages_from_dict(told)
    return found


def __dir__() -> list[str]:
    return sorted(__all__)
