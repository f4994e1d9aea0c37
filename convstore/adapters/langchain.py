"""Message histories of LangChain, kept in a store.

    history = ConvstoreChatMessageHistory(store, "s-1", user_id="u-1")
    chain = RunnableWithMessageHistory(model, lambda session_id: history)

Each message is a turn. What another framework or the application itself said in the
session is read as messages, too. Needs the extra `langchain`.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from msgspec.structs import replace

from convstore import blocking
from convstore.messages.langchain_messages import (
    message_of,
    messages_of_turns,
    turn_of,
    without_bytes,
)
from convstore.messages.langchain_text import maker_of
from convstore.messages.message import runs, says_only_text
from convstore.messages.neutral import plain_text, unsaved
from convstore.messages.own import (
    MARK,
    NOTHING,
    has_id,
    is_cut,
    is_with_id,
    json_of,
    with_id,
    with_payload,
)
from convstore.messages.plain import told
from convstore.vocabulary.errors import SessionNotFoundError
from convstore.vocabulary.extras import needed
from convstore.vocabulary.records import JsonObject, Turn, TurnInput

with needed("langchain", "the adapter of LangChain"):
    from langchain_core.chat_history import BaseChatMessageHistory
    from langchain_core.messages import (
        AIMessage,
        BaseMessage,
        HumanMessage,
        SystemMessage,
        message_to_dict,
        messages_from_dict,
    )

if TYPE_CHECKING:
    from convstore import types

__all__ = ["ConvstoreChatMessageHistory"]

_FORMAT: Final = "langchain"
"""Of the payloads: JSON text of a message, marked as ours; or, where the turn's columns
say all else, its id (`with_id`)."""
_SPEAKERS: Final[dict[str, type[BaseMessage]]] = {
    "user": HumanMessage,
    "assistant": AIMessage,
    "system": SystemMessage,
}
_ROLES: Final = {made: role for role, made in _SPEAKERS.items()}


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
    """The turn of a message: with the message itself, where the columns say less."""
    return _plain_turn(message) or _whole_turn(message)


def _whole_turn(message: BaseMessage) -> TurnInput:
    native = message_to_dict(message)
    turn = turn_of(native["type"], native["data"])
    plain = message_of(unsaved(turn))
    if plain is not None and _filled(plain, message.id) == native:
        payload = with_id(message.id)
    else:
        turn = replace(turn, parts=without_bytes(turn))
        # ASCII: any text that JSON can tell fits, lone surrogates too.
        text = json.dumps({MARK: 1, **native}, separators=(",", ":"))
        payload = text.encode()
    return with_payload(turn, payload, _FORMAT)


def _plain_turn(message: BaseMessage) -> TurnInput | None:
    """The turn of a message that is nothing but text, as the long way gives it."""
    role, text = _ROLES.get(type(message)), message.content
    if role is None or type(text) is not str or not text or plain_text(text) != text:
        return None
    made = _SPEAKERS[role](content=text, id=message.id)
    if message.__pydantic_extra__ or made.__dict__ != message.__dict__:
        return None
    payload = with_id(message.id)
    return TurnInput(role, text, payload=payload, payload_format=_FORMAT)


def _filled(message: JsonObject, message_id: str | None) -> JsonObject:
    """A message with all that the framework adds to it."""
    made = messages_from_dict([_named(message, message_id)])[0]
    filled: JsonObject = message_to_dict(made)
    return filled


def _messages(turns: Sequence[Turn]) -> list[BaseMessage]:
    return told(turns, _plain_message, _messages_of)


def _plain_message(turn: Turn) -> BaseMessage | None:
    """The message of a turn of ours that says nothing but text: as the long way gives
    it."""
    payload = turn.payload
    if payload is None or turn.payload_format != _FORMAT:
        return None
    named = turn.name is turn.model is turn.finish_reason is None
    if not (named and says_only_text(turn)):
        return None
    if is_with_id(payload, None):
        return maker_of(_SPEAKERS[turn.role])(turn.content or "", None)
    kept = json_of(turn, _FORMAT)
    return (
        maker_of(_SPEAKERS[turn.role])(turn.content or "", kept["id"])
        if has_id(kept)
        else None
    )


def _messages_of(turns: Sequence[Turn]) -> list[BaseMessage]:
    found: list[BaseMessage] = []
    for own, run in runs(turns, _own):
        given = [one.message for one in messages_of_turns(run)] if own is None else []
        found += messages_from_dict(given) if own is None else own
    return found


def _own(turn: Turn) -> list[BaseMessage] | None:
    """The message of a turn of ours, if it says anything; None where the payload is
    another's."""
    kept = json_of(turn, _FORMAT)
    before = turn.payload == NOTHING  # as it was written before ids were kept
    if before or has_id(kept):
        plain = message_of(turn)
        known = None if before else kept["id"]
        named = [] if plain is None else [_named(plain, known)]
        return list(messages_from_dict(named))
    if not isinstance(kept, dict) or kept.keys() - {MARK} != {"type", "data"}:
        return None
    if is_cut(turn):
        return None
    try:
        return list(messages_from_dict([kept]))
    except (ValueError, TypeError, KeyError, AttributeError):
        if MARK in kept:
            raise
        return None  # somebody else's, in the form of a message


def _named(message: JsonObject, message_id: str | None) -> JsonObject:
    return {**message, "data": {**message["data"], "id": message_id}}


def __dir__() -> list[str]:
    return sorted(__all__)
