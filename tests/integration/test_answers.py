"""Streamed answers: what was said is kept, however it ends."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from convstore import ConfigError, InvalidInputError, Store
from convstore.types import Conversation


@pytest.fixture
async def chat(store: Store) -> Conversation:
    chat = store.conversation("s-1", user_id="u-1")
    await chat.append(role="user", content="Hoeveel archieven zijn er?")
    return chat


async def said(chat: Conversation) -> list[tuple[str | None, str | None]]:
    turns = await chat.window()
    return [(t.content, t.finish_reason) for t in turns if t.role == "assistant"]


async def fail_half_way(chat: Conversation, **given: Any) -> None:
    async with chat.answer(**given) as answer:
        answer.write("Drie")
        raise ZeroDivisionError


async def test_an_answer_is_one_turn_when_its_block_ends(chat: Conversation) -> None:
    async with chat.answer(model="m-1", external_id="a-1") as answer:
        answer.write("Drie")
        answer.write(" archieven.")
        assert await said(chat) == []
        answer.finish("stop", tokens_out=3)

    assert answer.turn is not None
    assert (answer.turn.content, answer.turn.finish_reason) == (
        "Drie archieven.",
        "stop",
    )
    assert (answer.turn.model, answer.turn.tokens_out) == ("m-1", 3)
    assert await said(chat) == [("Drie archieven.", "stop")]


async def test_what_was_said_is_kept_when_the_model_fails(chat: Conversation) -> None:
    with pytest.raises(ZeroDivisionError):
        await fail_half_way(chat)

    assert await said(chat) == [("Drie", "interrupted")]


async def test_what_was_said_is_kept_when_the_task_is_cancelled(
    chat: Conversation,
) -> None:
    begun = asyncio.Event()

    async def stream() -> None:
        async with chat.answer() as answer:
            answer.write("Drie")
            begun.set()
            await asyncio.Event().wait()

    task = asyncio.create_task(stream())
    await begun.wait()
    while not task.done():  # as anyio does: at every turn of the loop
        task.cancel()
        await asyncio.sleep(0)

    assert task.cancelled()
    assert await said(chat) == [("Drie", "interrupted")]


async def test_what_was_said_is_kept_when_the_client_leaves(chat: Conversation) -> None:
    async def stream() -> AsyncIterator[str]:
        async with chat.answer() as answer:
            for piece in ("Drie", " archieven", "."):
                answer.write(piece)
                yield piece

    pieces = stream()
    assert await anext(pieces) == "Drie"
    await pieces.aclose()  # type: ignore[attr-defined]

    assert await said(chat) == [("Drie", "interrupted")]


async def test_an_answer_that_had_not_begun_leaves_nothing(chat: Conversation) -> None:
    with pytest.raises(ZeroDivisionError):
        async with chat.answer():
            raise ZeroDivisionError

    assert await said(chat) == []


async def test_a_repeated_answer_is_the_first_one(chat: Conversation) -> None:
    for _ in range(2):
        async with chat.answer(external_id="a-1") as answer:
            answer.write("Drie")

    assert await said(chat) == [("Drie", None)]


async def test_nothing_is_written_behind_the_end(chat: Conversation) -> None:
    async with chat.answer() as answer:
        answer.write("Drie")

    with pytest.raises(ConfigError, match="ended"):
        answer.write(" vier")


async def test_what_cannot_be_stored_is_told_with_the_first_error(
    chat: Conversation,
) -> None:
    with pytest.raises(InvalidInputError, match="name"):
        async with chat.answer(name="n" * 1_000) as answer:
            answer.write("Drie")

    with pytest.raises(ZeroDivisionError) as caught:
        await fail_half_way(chat, name="n" * 1_000)

    notes: list[Any] = getattr(caught.value, "__notes__", [])
    assert notes == ["the answer so far was not stored: invalid_input"]
    assert await said(chat) == []
