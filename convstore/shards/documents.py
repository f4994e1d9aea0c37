"""Whole sessions of all shards in the order of their ids."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import AsyncExitStack, aclosing
from heapq import heapify, heappop, heapreplace
from typing import Any

from convstore.shards.reach import Reach
from convstore.vocabulary.records import SessionDocument


async def documents(
    reach: Reach, session_ids: Sequence[str] | None, given: dict[str, Any]
) -> AsyncIterator[SessionDocument]:
    """Documents of all shards by session id: of each shard one is held, beside the
    page that it is of.

    Raises:
        ShardUnavailableError: A shard is away; the stream ends there, and is no whole.
    """
    asked = _parts(reach, session_ids)
    async with AsyncExitStack() as stack:
        streams = {}
        for number in asked:
            stream = _of_shard(reach, number, {**given, "session_ids": asked[number]})
            streams[number] = await stack.enter_async_context(aclosing(stream))
        first = await asyncio.gather(
            *(anext(stream, None) for stream in streams.values())
        )
        held = [
            (document.session.id, number, document)
            for number, document in zip(streams, first, strict=True)
            if document is not None
        ]
        heapify(held)
        while held:
            _, number, document = held[0]
            yield document
            following = await anext(streams[number], None)
            if following is None:
                heappop(held)
            else:
                heapreplace(held, (following.session.id, number, following))


def _parts(
    reach: Reach, session_ids: Sequence[str] | None
) -> dict[int, list[str] | None]:
    """Of which sessions each shard is asked; None is all."""
    if session_ids is None:
        return dict.fromkeys(range(len(reach.shards)))
    parts: dict[int, list[str] | None] = {}
    for session_id in session_ids:
        some = parts.setdefault(reach.number(session_id), [])
        assert some is not None
        some.append(session_id)
    return parts


async def _of_shard(
    reach: Reach, number: int, given: dict[str, Any]
) -> AsyncGenerator[SessionDocument]:
    shard = reach.shards[number]
    face = await shard.face(reach.tenant)
    with shard.named:
        async with aclosing(face.documents(**given)) as stream:  # type: ignore[type-var]
            async for document in stream:
                yield document
