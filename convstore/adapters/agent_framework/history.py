"""History of Microsoft's Agent Framework, kept in a store.

    agent = Agent(client, context_providers=[ConvstoreHistory(store, user_id="u-1")])

Each message is a turn, each result of a tool one. What another framework or the
application itself said in the session is read as messages, too. Needs the extra
`agent-framework`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache
from typing import TYPE_CHECKING, Any, Final

from convstore.blocking.wrapping import AnyStore, awaited
from convstore.messages.agent_messages import (
    FORMAT,
    kept,
    message_of,
    messages_of,
    turns_of,
)
from convstore.messages.copies import mould
from convstore.messages.neutral import fitting_id, plain_text, unsaved
from convstore.messages.plain import is_plain, told
from convstore.vocabulary.errors import SessionNotFoundError
from convstore.vocabulary.extras import needed
from convstore.vocabulary.records import JsonObject, Turn, TurnInput

with needed("agent-framework", "the adapter of Agent Framework"):
    from agent_framework import Content, HistoryProvider, Message

if TYPE_CHECKING:
    from convstore.store import Conversation

SOURCE_ID: Final = "convstore"
_SPEAKERS: Final = frozenset({"user", "assistant", "system"})

__all__ = ["ConvstoreHistory"]


class ConvstoreHistory(HistoryProvider):
    """A `HistoryProvider` of the framework over the sessions of a store.

    Safe to share between agents and tasks, and over a store of `convstore.blocking`
    between threads and event loops.

    Args:
        store: An open `convstore.Store`, of the tenant that is meant, or one of
            `convstore.blocking.open_store`, which serves any event loop.
        source_id: By which the framework tells this provider from others.
        user_id: Whose sessions they are. With it, a session of nobody becomes this
            user's with the first message, and one of another user is not found.
        options: Those of `HistoryProvider`: `load_messages=False` is a log that no
            agent reads, `store_inputs`, `store_outputs` and so on say what is kept.
    """

    def __init__(
        self,
        store: AnyStore,
        source_id: str = SOURCE_ID,
        *,
        user_id: str | None = None,
        **options: Any,
    ) -> None:
        super().__init__(source_id, **options)
        self._store = awaited(store)
        self._user_id = user_id

    async def get_messages(
        self,
        session_id: str | None,
        *,
        state: dict[str, Any] | None = None,
        **kwargs: Any,
    ) -> list[Message]:
        """The messages of the active branch, oldest first; none without a session."""
        if not session_id:
            return []
        try:
            turns = await self._chat(session_id).branch()
        except SessionNotFoundError:
            return []
        return told(turns, _plain_message, _messages)

    async def save_messages(
        self,
        session_id: str | None,
        messages: Sequence[Message],
        *,
        state: dict[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        """Add messages: all of them in one commit, or none. Nothing without a session.

        Raises:
            TypeError: A message cannot be written as JSON; nothing was added.
        """
        turns = [turn for message in messages for turn in _turns(message)]
        if session_id and turns:
            await self._chat(session_id).append_many(turns)

    def _chat(self, session_id: str) -> Conversation:
        return self._store.conversation(fitting_id(session_id), user_id=self._user_id)


def _turns(message: Message) -> list[TurnInput]:
    return _plain_turns(message) or _whole_turns(message)


def _whole_turns(message: Message) -> list[TurnInput]:
    native = message.to_dict()
    turns = turns_of(native)
    plain = message_of(unsaved(turns[0])) if len(turns) == 1 else None
    return kept(turns, None if plain and _filled(plain) == native else native)


def _plain_turns(message: Message) -> list[TurnInput] | None:
    """The turn of a message that is nothing but text, as the long way gives it."""
    if type(message) is not Message or message.role not in _SPEAKERS:
        return None
    if len(message.contents) != 1 or type(message.contents[0]) is not Content:
        return None
    text = message.contents[0].text
    if type(text) is not str or not text or plain_text(text) != text:
        return None
    made = Message(message.role, [text])
    same = _told(made) == _told(message)
    same = same and _told(made.contents[0]) == _told(message.contents[0])
    return kept([TurnInput(message.role, text)], None) if same else None


def _plain_message(turn: Turn) -> Message | None:
    """The message of a turn that is nothing but text, as the long way gives it."""
    if not is_plain(turn, FORMAT):
        return None
    message, content = _moulds()
    return message({"role": turn.role, "contents": [content({"text": turn.content})]})


@cache
def _moulds() -> tuple[Callable[..., Message], Callable[..., Content]]:
    first = Message("user", ["-"])
    return mould(first), mould(first.contents[0])


def _messages(turns: Sequence[Turn]) -> list[Message]:
    return [Message.from_dict(message) for message in messages_of(turns)]


def _told(one: Message | Content) -> dict[str, Any]:
    """What is told of it: contents by themselves, and a service's own object never."""
    return {**one.__dict__, "contents": None, "raw_representation": None}


def _filled(message: JsonObject) -> JsonObject:
    """A message with all that the framework adds to it."""
    filled: JsonObject = Message.from_dict(message).to_dict()
    return filled


def __dir__() -> list[str]:
    return sorted(__all__)
