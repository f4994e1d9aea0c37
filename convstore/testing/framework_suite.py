"""The tests that every adapter of an agent framework passes: subclass, say how your
adapter is called, run pytest.

class TestMyFramework(FrameworkSuite):
    def talk(self):
        return [Asked(QUESTION), Called(WEATHER, CITIES), ..., Said(ANSWER)]

    def asked(self, text):
        return Asked(text)

    async def add(self, store, session_id, messages):
        await MyHistory(store, user_id=OWNER).extend(session_id, messages)

    async def read(self, store, session_id):
        return await MyHistory(store, user_id=OWNER).messages(session_id)

Nothing else is needed of pytest: the tests are plain functions, each with event loops
of its own.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeVar

import pytest

import convstore
from convstore import blocking
from convstore.testing.framework_under_test import (
    ANSWER,
    CITIES,
    OWNER,
    QUESTION,
    RESULTS,
    WEATHER,
    FrameworkUnderTest,
    calls,
)
from convstore.types import Store, StoreConfig

__all__ = [
    "ANSWER",
    "CITIES",
    "OWNER",
    "QUESTION",
    "RESULTS",
    "WEATHER",
    "FrameworkSuite",
    "calls",
]

T = TypeVar("T")

_MANY = 2_000


class FrameworkSuite(FrameworkUnderTest):
    """What must hold of an adapter, whichever framework it serves, as tests."""

    def test_messages_come_back_equal_and_in_order(self, config: StoreConfig) -> None:
        async def work(store: Store) -> None:
            given = [*self.talk(), *self.odd()]
            await self.add(store, "s", given)
            assert self.plain_all(await self.read(store, "s")) == self.plain_all(given)
            await self.add(store, "s", [self.asked("And tomorrow?")])
            more = [*given, self.asked("And tomorrow?")]
            assert self.plain_all(await self.read(store, "s")) == self.plain_all(more)
            assert await self.read(store, "another") == []

        _run(config, work)

    def test_the_turns_say_what_the_messages_say(self, config: StoreConfig) -> None:
        async def work(store: Store) -> None:
            await self.add(store, "s", self.talk())
            history = await store.turns.history(self.session_of("s"), limit=100)
            told = [message for message in history if message["role"] != "system"]
            assert [message["role"] for message in told] == self.roles()
            assert _text(told[0]) == QUESTION
            assert _text(told[-1]) == ANSWER
            if not self.tools:
                return
            assert _called(told[1]) == [
                (call_id, WEATHER, {"city": city}) for call_id, city in CITIES.items()
            ]
            results = {message["tool_call_id"]: _text(message) for message in told[2:4]}
            assert results == RESULTS

        _run(config, work)

    def test_a_message_that_is_hard_to_keep_is_never_refused(
        self, config: StoreConfig
    ) -> None:
        if not self.odd():
            pytest.skip("no such messages are given")

        async def work(store: Store) -> None:
            for number, message in enumerate(self.odd()):
                await self.add(store, f"s-{number}", [message])
                read = await self.read(store, f"s-{number}")
                assert self.plain_all(read) == self.plain_all([message])

        _run(config, work)

    def test_what_another_wrote_is_read_and_gone_on_with(
        self, config: StoreConfig
    ) -> None:
        async def work(store: Store) -> None:
            chat = store.conversation(self.session_of("s"), user_id=OWNER)
            await chat.append(role="user", content=QUESTION)
            await chat.append(role="assistant", content="Looking.", parts=calls())
            for call_id, result in RESULTS.items():
                await chat.append(role="tool", content=result, tool_call_id=call_id)
            await chat.append(role="assistant", content=ANSWER)

            seen = "\n".join(map(self.told, await self.read(store, "s")))
            for word in (QUESTION, "Looking.", *CITIES, *CITIES.values(), ANSWER):
                assert word in seen, word
            await self.add(store, "s", [self.asked("And tomorrow?")])

            last = (await self.read(store, "s"))[-1]
            assert self.plain(last) == self.plain(self.asked("And tomorrow?"))
            turns = await store.turns.branch(self.session_of("s"))
            assert [turn.role for turn in turns][:5] == [
                *("user", "assistant", "tool", "tool", "assistant")
            ]
            assert turns[-1].content == "And tomorrow?"
            assert [turn.parent_seq for turn in turns] == [
                None,
                *(turn.seq for turn in turns[:-1]),
            ]

        _run(config, work)

    def test_a_cancelled_change_is_whole_or_was_not(self, config: StoreConfig) -> None:
        async def work(store: Store) -> None:
            for number in (0, 1, 2, 3, 5, 8, 13, 21):
                session_id = f"s-{number}"
                kept = self.asked("Kept?")
                adding = asyncio.ensure_future(self.add(store, session_id, [kept]))
                for _ in range(number):
                    await asyncio.sleep(0)
                adding.cancel()
                await asyncio.sleep(0)
                adding.cancel()
                with suppress(asyncio.CancelledError):
                    await adding
                await self.add_at_last(store, session_id, self.asked("Next."))
                told = self.plain_all(await self.read(store, session_id))
                said = [self.plain(kept), self.plain(self.asked("Next."))]
                assert told in (said, said[1:]), number

        _run(config, work)

    def test_five_threads_with_loops_of_their_own_lose_nothing(
        self, config: StoreConfig
    ) -> None:
        async def talk(store: Store, number: int) -> None:
            for turn in range(3):
                shared = "shared" if self.shares else f"alone-{number}"
                await self.add_at_last(store, shared, self.asked(f"{number}.{turn}."))
                await self.add_at_last(store, f"own-{number}", self.asked(f"{turn}"))

        with blocking.open_store(config) as opened:
            store = opened.awaitable

            def loop(number: int) -> None:
                asyncio.run(talk(store, number))

            with ThreadPoolExecutor(5) as pool:
                list(pool.map(loop, range(5)))
            names = ["shared"] if self.shares else [f"alone-{n}" for n in range(5)]
            told = [
                self.told(message)
                for name in names
                for message in asyncio.run(self.read(store, name))
            ]
            own = asyncio.run(self.read(store, "own-3"))
        assert len(told) == 15
        for number in range(5):
            mine = [
                text for text in told if any(f"{number}.{n}." in text for n in "012")
            ]
            assert [
                f"{number}.{n}." in text for n, text in zip("012", mine, strict=True)
            ]
        assert self.plain_all(own) == self.plain_all([self.asked(n) for n in "012"])

    def test_twenty_who_pop_get_twenty_messages(self, config: StoreConfig) -> None:
        if not self.pops:
            pytest.skip("the framework takes no message off")

        async def work(store: Store) -> None:
            said = [self.asked(f"message {number}.") for number in range(20)]
            await self.add(store, "s", said)
            popped = await asyncio.gather(*[self.pop(store, "s") for _ in range(21)])
            given = [self.told(one) for one in popped if one is not None]
            assert sorted(given) == sorted(map(self.told, said))
            assert await self.read(store, "s") == []

        _run(config, work)

    def test_clearing_among_twenty_who_add_leaves_nothing_half(
        self, config: StoreConfig
    ) -> None:
        if not self.clears:
            pytest.skip("the framework empties no session")

        async def work(store: Store) -> None:
            await self.add(store, "s", self.talk())
            said = [self.asked(f"message {number}.") for number in range(20)]
            adding = [self.add_at_last(store, "s", message) for message in said]
            await asyncio.gather(
                *adding[:10], self.clear_at_last(store, "s"), *adding[10:]
            )
            left = [self.told(one) for one in await self.read(store, "s")]
            assert len(set(left)) == len(left)
            assert set(left) <= set(map(self.told, said))
            await self.clear_at_last(store, "s")
            assert await self.read(store, "s") == []
            await self.add(store, "s", [said[0]])
            assert self.plain_all(await self.read(store, "s")) == self.plain_all(
                said[:1]
            )

        _run(config, work)

    def test_what_comes_late_brings_nothing_deleted_back(
        self, config: StoreConfig
    ) -> None:
        async def work(store: Store) -> None:
            await self.add(store, "s", self.talk())
            late = self.asked("Late.")
            end = await self.late(store, "s", [late])
            await self.delete(store, "s")
            with suppress(convstore.SessionDeletedError):
                assert await self.read(store, "s") == []
            with suppress(convstore.ConvstoreError, *self.conflicts):
                await end()
            with suppress(convstore.SessionDeletedError):
                told = self.plain_all(await self.read(store, "s"))
                assert told in ([], self.plain_all([late]))

        _run(config, work)

    def test_a_held_conversation_stays_and_goes_on(self, config: StoreConfig) -> None:
        async def work(store: Store) -> None:
            await self.add(store, "s", self.talk())
            before = self.plain_all(await self.read(store, "s"))
            session_id = self.session_of("s")
            await store.holds.place(session_id, reason="case 7", actor_id="legal")
            with pytest.raises(convstore.LegalHoldError):
                await self.delete(store, "s")
            assert self.plain_all(await self.read(store, "s")) == before
            more = self.asked("And tomorrow?")
            await self.add(store, "s", [more])
            told = self.plain_all(await self.read(store, "s"))
            assert told == [*before, self.plain(more)]

        _run(config, work)

    def test_an_archived_conversation_is_read_and_goes_on(
        self, config: StoreConfig
    ) -> None:
        async def work(store: Store) -> None:
            given = [*self.talk(), *self.odd()]
            await self.add(store, "s", given)
            report = await store.run_retention(older_than_s=0)
            assert report.purged >= 1
            assert self.plain_all(await self.read(store, "s")) == self.plain_all(given)
            more = self.asked("And tomorrow?")
            await self.add(store, "s", [more])
            told = self.plain_all(await self.read(store, "s"))
            assert told == self.plain_all([*given, more])

        _run(config, work)

    def test_nothing_of_an_erased_user_is_left(
        self, config: StoreConfig, url: str
    ) -> None:
        secret = "Zwartewaterland"

        async def work(store: Store) -> None:
            for session_id in ("kept", "archived"):
                await self.add(store, session_id, [self.asked(f"In {secret}?")])
                await self.add(store, session_id, self.talk())
                if session_id == "kept":
                    await store.run_retention(older_than_s=0)
            await store.erase(user_id=OWNER)
            for session_id in ("kept", "archived"):
                with suppress(convstore.SessionErasedError):
                    assert await self.read(store, session_id) == []
                with pytest.raises(convstore.SessionErasedError):
                    await self.add(store, session_id, [self.asked("Back?")])
            documents = store.documents(include_archived=True)
            assert [one async for one in documents] == []
            items = await store.items.list(limit=100)
            assert secret not in repr(items)

        _run(config, work)
        for value in self.texts(url):
            data = value.encode() if isinstance(value, str) else value
            assert secret.encode() not in data

    def test_both_calls_are_one_message_of_an_export(
        self, config: StoreConfig, tmp_path: Path
    ) -> None:
        async def work(store: Store) -> None:
            await self.add(store, "s", self.talk())
            await store.export("messages", to=tmp_path / "out", undefined_tools="infer")

        _run(config, work)
        (row,) = [
            json.loads(line)
            for path in (tmp_path / "out" / "data").iterdir()
            for line in path.read_text("utf-8").splitlines()
        ]
        told = [one for one in row["messages"] if one["role"] != "system"]
        assert [message["role"] for message in told] == self.roles()
        if self.tools:
            assert len(told[1]["tool_calls"]) == 2

    def test_the_newest_of_many_cost_no_more_than_they_are(
        self, config: StoreConfig
    ) -> None:
        if not self.limits:
            pytest.skip("the framework reads all messages")

        async def work(store: Store) -> None:
            await self.branched(store, "s", _MANY)
            assert len(await self.newest(store, "s", 20)) == 20
            few = await _cost(lambda: self.newest(store, "s", 20))
            whole = await _cost(lambda: self.read(store, "s"))
            assert few < whole / 4

        _run(config, work)

    def test_taking_one_of_many_off_costs_no_more_than_it_is(
        self, config: StoreConfig
    ) -> None:
        if not self.pops:
            pytest.skip("the framework takes no message off")

        async def work(store: Store) -> None:
            await self.branched(store, "s", _MANY)
            one = await _cost(lambda: self.pop(store, "s"))
            whole = await _cost(lambda: self.read(store, "s"))
            # Reading them all is little more than the rows; this is five statements.
            assert one < whole / 2

        _run(config, work)


def _run(config: StoreConfig, work: Callable[[Store], Awaitable[T]]) -> T:
    async def opened() -> T:
        async with convstore.open_store(config) as store:
            return await work(store)

    return asyncio.run(opened())


async def _cost(call: Callable[[], Awaitable[object]]) -> float:
    """Processor seconds of a call: the least of some."""
    took = []
    for _ in range(5):
        begin = time.process_time()
        await call()
        took.append(time.process_time() - begin)
    return min(took)


def _text(message: Any) -> str:
    content = message.get("content") or ""
    if isinstance(content, str):
        return content
    return "".join(part.get("text", "") for part in content)


def _called(message: Any) -> list[tuple[str, str, Any]]:
    return [
        (
            call["id"],
            call["function"]["name"],
            json.loads(call["function"]["arguments"]),
        )
        for call in message["tool_calls"]
    ]
