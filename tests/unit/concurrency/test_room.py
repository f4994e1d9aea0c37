"""Room is given by size, to one thing at least, and comes back with the last holder."""

from __future__ import annotations

import asyncio

import pytest

from convstore.concurrency.room import Room


async def test_what_is_held_takes_room_until_the_last_lets_go() -> None:
    room = Room(10)
    with room.holding("a", 4):
        with room.holding("a", 4):
            assert await room.free() == 6
        assert await room.free() == 6
        with room.holding("b", 3):
            assert await room.free() == 3
    assert await room.free() == 10


async def test_who_finds_it_full_waits_until_some_is_free() -> None:
    room = Room(10)
    with room.holding("larger", 25):
        waiting = asyncio.ensure_future(room.free())
        for _ in range(3):
            await asyncio.sleep(0)
        assert not waiting.done()

    assert await waiting == 10


async def test_what_fails_gives_its_room_back() -> None:
    room = Room(10)
    with pytest.raises(KeyError), room.holding("a", 10):
        raise KeyError

    assert await room.free() == 10
