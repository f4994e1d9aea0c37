"""Chat messages of LlamaIndex, kept in a store.

    memory = Memory.from_defaults(
        session_id="s-1", chat_store=ConvstoreChatStore(store, user_id="u-1")
    )

A key is a session, a message a turn. What another framework or the application itself
said in the session is read as messages, too. Needs the extra `llama-index`.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any, Final, NamedTuple

from convstore.blocking.wrapping import AnyStore, awaited
from convstore.messages.llama_marks import Step, marks_of, places_of, with_more
from convstore.messages.llama_messages import (
    FORMAT,
    grouped,
    kept,
    message_of,
    turn_of,
)
from convstore.messages.llama_text import maker_of
from convstore.messages.neutral import (
    again,
    fitting_id,
    is_hashed,
    plain_text,
    unsaved,
)
from convstore.messages.own import Group
from convstore.messages.plain import is_plain, told
from convstore.vocabulary import errors
from convstore.vocabulary.extras import needed
from convstore.vocabulary.records import (
    InteractionInput,
    JsonObject,
    Session,
    Turn,
    TurnInput,
)

with needed("llama-index", "the adapter of LlamaIndex"):
    from llama_index.core.base.llms.types import ChatMessage, MessageRole, TextBlock
    from llama_index.core.bridge.pydantic import PrivateAttr
    from llama_index.core.storage.chat_store import base_db
    from llama_index.core.storage.chat_store.base_db import MessageStatus


NAME: Final = "llama-index"
"""Of what is kept beside a session: `archived`, ranges of the numbers of turns, first
and last; `of`, the session whose numbers these are, and `places`, where they are on its
branch, for a fork, which has other numbers; `key`, as JSON text, where a session cannot
be called as the key is."""

_ACTIVE, _ARCHIVED = MessageStatus.ACTIVE, MessageStatus.ARCHIVED
_SPEAKERS: Final = {
    MessageRole.USER: "user",
    MessageRole.ASSISTANT: "assistant",
    MessageRole.SYSTEM: "system",
}

_ROLES: Final = {word: role for role, word in _SPEAKERS.items()}

__all__ = ["ConvstoreChatStore"]

_PAGE = 500


class ConvstoreChatStore(base_db.AsyncDBChatStore):
    """A chat store of the framework over the sessions of a store.

    Safe to share between tasks, and with `convstore.blocking`'s `awaitable` store
    between threads and event loops: the synchronous methods of `Memory` run loops of
    their own and need that. It is not serialised: a `Memory` that is has to be given it
    again.

    Args:
        store: An open `convstore.Store`, of the tenant that is meant, or one of
            `convstore.blocking.open_store`, which serves any event loop.
        user_id: Whose sessions they are. With it, a session of nobody becomes this
            user's with the first message, one of another user reads as an empty one
            and refuses what is added.
    """

    user_id: str | None = None
    _store: Any = PrivateAttr()

    def __init__(self, store: AnyStore, *, user_id: str | None = None) -> None:
        super().__init__()
        self.user_id = user_id
        self._store = awaited(store)

    async def get_messages(
        self,
        key: str,
        status: MessageStatus | None = _ACTIVE,
        limit: int | None = None,
        offset: int | None = None,
    ) -> list[ChatMessage]:
        """Messages with a status, or with any, oldest first; at most `limit` of them
        after the first `offset`."""
        start = max(offset or 0, 0)
        end = None if limit is None or limit < 0 else start + limit
        turns = await self._unmarked(key)
        if turns is not None:
            turns = turns if status in (None, _ACTIVE) else []
            return told(turns, _plain_message, _messages)[start:end]
        seen = await self._look(key)
        chosen = [g for g in seen.groups if status in (None, seen.status(g))]
        return _told(chosen)[start:end]

    async def count_messages(
        self, key: str, status: MessageStatus | None = _ACTIVE
    ) -> int:
        """How many messages have a status, or any."""
        seen = await self._look(key)
        groups = [g for g in seen.groups if status in (None, seen.status(g))]
        return sum(len(group.messages) for group in groups)

    async def add_message(
        self, key: str, message: ChatMessage, status: MessageStatus = _ACTIVE
    ) -> None:
        """As `add_messages`, of one."""
        await self.add_messages(key, [message], status)

    async def add_messages(
        self,
        key: str,
        messages: Sequence[ChatMessage],
        status: MessageStatus = _ACTIVE,
    ) -> None:
        """Add messages at the end: all of them in one commit, or none.

        Raises:
            TypeError: A message cannot be written as JSON; nothing was added.
            SessionNotFoundError: The session is another user's.
        """
        turns = [_turn(message) for message in messages]
        if not turns:
            return
        session_id = fitting_id(key)
        if status is _ACTIVE and not is_hashed(session_id):
            chat = self._store.conversation(session_id, user_id=self.user_id)
            await chat.append_many(turns)
        elif status is _ACTIVE:
            await self._apply(key, turns=turns)
        else:
            await self._change(key, lambda _: _Plan(turns=turns, status=status))

    async def set_messages(
        self,
        key: str,
        messages: Sequence[ChatMessage],
        status: MessageStatus = _ACTIVE,
    ) -> None:
        """Have these messages, and no others, in one commit. Those that are there
        already, from the first on, stay where they are."""
        given = list(messages)

        def plan(seen: _Seen) -> _Plan:
            same = _same(seen, given, status)
            turns = [_turn(message) for message in given[same:]]
            rest = seen.groups[same:]
            if not rest:
                return _Plan(turns=turns, status=status)
            acts = [seen.left("compact" if given else "clear")]
            return _Plan(turns, rest[0].turns[0].parent_seq or 0, acts, status)

        if given or (await self._look(key)).groups:
            await self._change(key, plan)

    async def delete_message(self, key: str, idx: int) -> ChatMessage | None:
        """Take a message off, by the number of its turn; None where it is not there."""
        gone = await self._remove(
            key, lambda seen: [g for g in seen.groups if g.turns[-1].seq == idx]
        )
        return gone[0] if gone else None

    async def delete_messages(
        self, key: str, status: MessageStatus | None = None
    ) -> None:
        """Take off all messages with a status, or all. Their turns stay, on a branch
        that is no longer active."""
        await self._remove(
            key,
            lambda seen: [g for g in seen.groups if status in (None, seen.status(g))],
        )

    async def delete_oldest_messages(self, key: str, n: int) -> list[ChatMessage]:
        """Take the oldest `n` active messages off, and give them."""
        return await self._remove(key, lambda seen: seen.oldest(n))

    async def archive_oldest_messages(self, key: str, n: int) -> list[ChatMessage]:
        """Have the oldest `n` active messages be archived, and give them. They stay in
        the session's history."""
        chosen: list[Group] = []

        def plan(seen: _Seen) -> _Plan | None:
            chosen[:] = seen.oldest(n)
            seqs = [turn.seq for group in chosen for turn in group.turns]
            return _Plan(archive=seqs) if seqs else None

        await self._change(key, plan)
        return _told(chosen)

    async def get_keys(self) -> list[str]:
        """The keys of all sessions that say something; of the user's, if there is one.

        Others' are among them, as any session can be read.
        """
        keys: list[str] = []
        cursor: str | None = None
        while True:
            page = await self._store.sessions.list(
                user_id=self.user_id, limit=_PAGE, cursor=cursor
            )
            found = [session.id for session in page.items if session.head_seq]
            hashed = [session_id for session_id in found if is_hashed(session_id)]
            states = await self._store.sessions.adapter_states(hashed, NAME)
            names = {i: json.loads(s["key"]) for i, s in states.items() if "key" in s}
            keys += [names.get(session_id, session_id) for session_id in found]
            if (cursor := page.next_cursor) is None:
                return keys

    @classmethod
    def class_name(cls) -> str:
        """The name of the class."""
        return "ConvstoreChatStore"

    async def _unmarked(self, key: str) -> list[Turn] | None:
        """The turns of a session of which nothing is marked; None of any other."""
        chat = self._store.conversation(fitting_id(key), user_id=self.user_id)
        with suppress(errors.SessionNotFoundError, errors.SessionDeletedError):
            turns, state = await chat.branch(), await chat.adapter_state(NAME)
            if not (state or {}).get("archived"):
                return list(turns)
        return None

    async def _look(self, key: str) -> _Seen:
        """What is there. The version is read first, so that a change on top of what
        was seen is refused if anything has moved since; and marks last: they are only
        ever added to, so that older turns have theirs."""
        session_id = fitting_id(key)
        session = await self._store.sessions.find(session_id)
        if session is None:
            return _Seen(None, [], [])
        chat = self._store.conversation(session_id, user_id=self.user_id)
        try:
            turns = await chat.branch()
            state = await chat.adapter_state(NAME)
        except errors.SessionNotFoundError:
            return _Seen(None, [], [])
        return _Seen(session, grouped(turns), marks_of(state or {}, session, turns))

    async def _remove(
        self, key: str, choose: Callable[[_Seen], Sequence[Group]]
    ) -> list[ChatMessage]:
        chosen: list[Group] = []

        def plan(seen: _Seen) -> _Plan | None:
            chosen[:] = choose(seen)
            if not chosen:
                return None
            gone = {group.turns[0].seq for group in chosen}
            start = min(gone)
            at = [group.turns[0].seq for group in seen.groups].index(start)
            rest = [g for g in seen.groups[at:] if g.turns[0].seq not in gone]
            turns = [turn for group in rest for turn in group.turns]
            first = seen.session.turn_count + 1 if seen.session else 1
            archived = [n for n, t in enumerate(turns, first) if seen.is_archived(t)]
            emptied = not rest and at == 0
            return _Plan(
                [again(turn) for turn in turns],
                chosen[0].turns[0].parent_seq or 0,
                [seen.left("clear" if emptied else "compact")],
                archive=archived,
            )

        await self._change(key, plan)
        return _told(chosen)

    async def _change(self, key: str, plan: Callable[[_Seen], _Plan | None]) -> None:
        """Carry out what is planned for what is there, and plan it anew where that has
        moved meanwhile."""
        while True:
            seen = await self._look(key)
            planned = plan(seen)
            if planned is None:
                return
            marked = list(planned.archive)
            if planned.status is _ARCHIVED:
                first = seen.session.turn_count + 1 if seen.session else 1
                marked += range(first, first + len(planned.turns))
            state: JsonObject = {}
            if marked:
                ranges = with_more(seen.archived, marked)
                places = places_of(ranges, seen.path_after(planned))
                of = fitting_id(key)
                state = {"archived": ranges, "of": of, "places": places}
            with suppress(errors.VersionConflictError):
                await self._apply(
                    key,
                    state,
                    turns=planned.turns,
                    switch=planned.switch,
                    interactions=planned.acts,
                    expected_version=seen.session.version if seen.session else 0,
                )
                return

    async def _apply(
        self, key: str, state: JsonObject | None = None, **given: Any
    ) -> None:
        session_id = fitting_id(key)
        named = {"key": json.dumps(key)} if is_hashed(session_id) else {}
        kept_state = {**(state or {}), **named}
        await self._store.sessions.apply(
            session_id,
            create=True,
            user_id=self.user_id,
            adapter_state={NAME: kept_state} if kept_state else None,
            **given,
        )


class _Plan(NamedTuple):
    """Turns to add after `switch`, if that is given, with a status; acts that say why;
    turns to mark as archived, by their numbers."""

    turns: Sequence[TurnInput] = ()
    switch: int | None = None
    acts: Sequence[InteractionInput] = ()
    status: MessageStatus = _ACTIVE
    archive: Sequence[int] = ()


class _Seen(NamedTuple):
    """A session as it was read; None where there is none."""

    session: Session | None
    groups: list[Group]
    archived: list[list[int]]

    def path_after(self, planned: _Plan) -> list[Step]:
        """The branch once what is planned was done."""
        turns = [turn for group in self.groups for turn in group.turns]
        switch = planned.switch
        kept = [turn for turn in turns if switch is None or turn.seq <= switch]
        first = self.session.turn_count + 1 if self.session else 1
        return [
            *(Step(turn.seq, turn.created_at.isoformat()) for turn in kept),
            *(Step(seq, None) for seq, _ in enumerate(planned.turns, first)),
        ]

    def is_archived(self, turn: Turn) -> bool:
        return any(first <= turn.seq <= last for first, last in self.archived)

    def status(self, group: Group) -> MessageStatus:
        return _ARCHIVED if self.is_archived(group.turns[-1]) else _ACTIVE

    def oldest(self, n: int) -> list[Group]:
        """The oldest active groups that hold `n` messages, or a few more where others
        said several at once."""
        chosen: list[Group] = []
        for group in self.groups:
            if sum(len(each.messages) for each in chosen) >= n:
                break
            if group.messages and self.status(group) is _ACTIVE:
                chosen.append(group)
        return chosen

    def left(self, action: str) -> InteractionInput:
        """Why the branch is left: on its tip, by code, so that no export takes it for
        a rejected answer."""
        tip = self.groups[-1].turns[-1].seq
        return InteractionInput(action, turn_seq=tip, actor_kind="code")


def _turn(message: ChatMessage) -> TurnInput:
    return _plain_turn(message) or _whole_turn(message)


def _whole_turn(message: ChatMessage) -> TurnInput:
    native = message.model_dump(mode="json")
    turn = turn_of(native)
    plain = message_of(unsaved(turn))
    same = plain is not None and _filled(plain) == native
    return kept(turn, None if same else native)


def _plain_turn(message: ChatMessage) -> TurnInput | None:
    """The turn of a message that is nothing but text, as the long way gives it."""
    if type(message) is not ChatMessage or len(message.blocks) != 1:
        return None
    block = message.blocks[0]
    if type(block) is not TextBlock or message.additional_kwargs:
        return None
    role, text = _SPEAKERS.get(message.role), block.text
    if role is None or not text or plain_text(text) != text:
        return None
    return kept(TurnInput(role, text), None)


def _filled(message: JsonObject) -> JsonObject:
    """A message with all that the framework adds to it."""
    filled: JsonObject = ChatMessage.model_validate(message).model_dump(mode="json")
    return filled


def _plain_message(turn: Turn) -> ChatMessage | None:
    """The message of a turn that is nothing but text, as the long way gives it."""
    if not is_plain(turn, FORMAT):
        return None
    return maker_of(ChatMessage)(_ROLES[turn.role], turn.content or "")


def _messages(turns: Sequence[Turn]) -> list[ChatMessage]:
    return _told(grouped(turns))


def _told(groups: Sequence[Group]) -> list[ChatMessage]:
    return [
        ChatMessage.model_validate(message)
        for group in groups
        for message in group.messages
    ]


def _same(seen: _Seen, given: Sequence[ChatMessage], status: MessageStatus) -> int:
    """How many of the first messages are there already, with the status."""
    count = 0
    for group, message in zip(seen.groups, given, strict=False):
        told = [_filled(each) for each in group.messages]
        if seen.status(group) is not status or told != [
            message.model_dump(mode="json")
        ]:
            break
        count += 1
    return count


def __dir__() -> list[str]:
    return sorted(__all__)
