"""What is said of an adapter to the suite that tests it."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Iterable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

import pytest

from convstore.types import Store, StoreConfig, TurnInput

OWNER: Final = "ann"
"""The user whose sessions the adapter keeps in these tests."""

QUESTION: Final = "Weather in Utrecht and Zwolle?"
WEATHER: Final = "weather"
CITIES: Final = {"c-1": "Utrecht", "c-2": "Zwolle"}
"""Of each call of the tool `weather` the id, and its only argument, `city`."""
RESULTS: Final = {"c-1": "rain", "c-2": "sun"}
ANSWER: Final = "Rain in Utrecht, sun in Zwolle."

# Long before this many somebody else has lost a race as often as there are others.
_MOST_TRIES = 1_000


def calls() -> list[dict[str, Any]]:
    """The two calls, as parts of a turn or `tool_calls` of a message."""
    return [
        {
            "id": call_id,
            "type": "function",
            "function": {"name": WEATHER, "arguments": json.dumps({"city": city})},
        }
        for call_id, city in CITIES.items()
    ]


class FrameworkUnderTest:
    """An adapter, as its suite calls it.

    `pops`, `clears` and `limits` say what the framework can do beside adding and
    reading: what it cannot is skipped. `shares` says whether several may add to one
    session at once. `tools` says whether calls of tools and their results are turns;
    where a framework shows them beside the conversation, they are not. `conflicts` are
    the errors by which the adapter says that somebody else was first; the caller then
    tries again.
    """

    pops = False
    clears = False
    limits = False
    shares = True
    tools = True
    conflicts: tuple[type[Exception], ...] = ()

    def talk(self) -> list[Any]:
        """The framework's own messages of one talk: the user asks `QUESTION`, the
        assistant makes both calls of `CITIES` at once, both give `RESULTS`, and the
        assistant says `ANSWER`."""
        raise NotImplementedError("say how messages of the framework look")

    def odd(self) -> list[Any]:
        """Messages that are hard to keep: NUL, bytes, long numbers. None by default."""
        return []

    def asked(self, text: str) -> Any:
        """What the user says, as a message of the framework."""
        raise NotImplementedError("say how a message of the user looks")

    async def add(self, store: Store, session_id: str, messages: Sequence[Any]) -> None:
        """Add messages to a session of `OWNER`, as the framework does after a run; the
        session may not be there yet."""
        raise NotImplementedError("say how messages are added")

    async def read(self, store: Store, session_id: str) -> list[Any]:
        """All messages of a session, oldest first; none of one that is not there. One
        that was deleted or erased may be refused as such."""
        raise NotImplementedError("say how messages are read")

    async def newest(self, store: Store, session_id: str, limit: int) -> list[Any]:
        """The newest messages, for what `limits`."""
        raise NotImplementedError("say how the newest messages are read")

    async def pop(self, store: Store, session_id: str) -> Any:
        """Take the newest message off and give it, or None, for what `pops`."""
        raise NotImplementedError("say how a message is taken off")

    async def clear(self, store: Store, session_id: str) -> None:
        """Begin anew, for what `clears`."""
        raise NotImplementedError("say how a session is emptied")

    async def delete(self, store: Store, session_id: str) -> None:
        """Delete a session as the framework does, if it does."""
        await store.sessions.delete(self.session_of(session_id))

    async def late(
        self, store: Store, session_id: str, messages: Sequence[Any]
    ) -> Callable[[], Awaitable[None]]:
        """What a run that has read the session does when it ends."""

        async def end() -> None:
            await self.add(store, session_id, messages)

        return end

    def plain(self, message: Any) -> Any:
        """A message as it is compared: without what the framework draws anew."""
        return message

    def told(self, message: Any) -> str:
        """A text in which all that a message says can be found."""
        return repr(message)

    def session_of(self, session_id: str) -> str:
        """The store's session of one of the framework's."""
        return session_id

    def texts(self, url: str) -> Iterable[str | bytes]:
        """Every value of every table, where that can be looked at; else nothing."""
        return ()

    @pytest.fixture
    def url(self, tmp_path: Path) -> str:
        """Where the store of a test is; name a fresh PostgreSQL to try that, too."""
        return f"sqlite:///{tmp_path}/store.db"

    @pytest.fixture
    def config(self, url: str, tmp_path: Path) -> StoreConfig:
        return StoreConfig(url=url, archive_dir=str(tmp_path / "archive"))

    # What the tests share

    def roles(self) -> list[str]:
        """Of the turns of the talk."""
        called = ["assistant", "tool", "tool"] if self.tools else []
        return ["user", *called, "assistant"]

    def plain_all(self, messages: Iterable[Any]) -> list[Any]:
        return [self.plain(message) for message in messages]

    async def add_at_last(self, store: Store, session_id: str, message: Any) -> None:
        for _ in range(_MOST_TRIES):
            with suppress(*self.conflicts):
                return await self.add(store, session_id, [message])
        raise AssertionError("whoever tries again never comes to pass")

    async def clear_at_last(self, store: Store, session_id: str) -> None:
        for _ in range(_MOST_TRIES):
            with suppress(*self.conflicts):
                return await self.clear(store, session_id)
        raise AssertionError("whoever tries again never comes to pass")

    async def branched(self, store: Store, session_id: str, count: int) -> None:
        """A session of so many turns, the last of them on a branch."""
        chat = store.conversation(self.session_of(session_id), user_id=OWNER)
        roles = ("user", "assistant")
        turns = [
            TurnInput(roles[number % 2], f"turn {number}") for number in range(count)
        ]
        for start in range(0, count, 500):
            await chat.append_many(turns[start : start + 500])
        await chat.pop()
        await chat.append(role="assistant", content="Another.")
