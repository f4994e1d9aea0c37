"""The example backend under a thousand conversations at once, over real HTTP."""

from __future__ import annotations

import asyncio
import json
import os
import socket
import sys
import tempfile
import time
from collections.abc import Iterable
from typing import Any

from benchmarks.bench import Bench, Figures, Goal, Row
from benchmarks.contestants import Target

TURNS = 3
_START_S = 120
_WARM_UP = 20
_HELLO = b'{"text": "hello", "message_id": "m-0"}'


async def load(
    target: list[Any], conversations: int, turns: int, workers: int
) -> Figures:
    """Every conversation says `turns` things, one after the other; all at once."""
    from convstore.db.migrate import upgrade

    url = Target(*target).url
    await asyncio.to_thread(upgrade, url)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with tempfile.TemporaryDirectory() as home:
        server = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "examples.chat_backend", "--url", url),
            *("--home", home, "--port", str(port), "--workers", str(workers)),
            env={**os.environ, "CONVSTORE_POOL_SIZE": "10"},
        )
        try:
            await _until_ready(port)
            began = time.perf_counter()
            done = await asyncio.gather(
                *(_talk(port, number, turns) for number in range(conversations))
            )
            wall = time.perf_counter() - began
        finally:
            server.terminate()
            await server.wait()
    taken = sorted(ms for each, _ in done for ms in each)
    return {
        "turns_per_s": round(len(taken) / wall),
        "p50_ms": round(taken[len(taken) // 2]),
        "p99_ms": round(taken[int(len(taken) * 0.99)]),
        "errors": sum(errors for _, errors in done),
        "lost": await _lost(url, conversations, turns),
    }


async def _talk(port: int, number: int, turns: int) -> tuple[list[float], int]:
    taken, errors = [], 0
    for turn in range(turns):
        body = {"text": f"{number}.{turn}", "message_id": f"m-{turn}"}
        began = time.perf_counter()
        answer = await _post(port, number, json.dumps(body).encode())
        taken.append((time.perf_counter() - began) * 1000)
        errors += b"event: done" not in answer
    return taken, errors


async def _post(port: int, number: int, body: bytes) -> bytes:
    """One request on a connection of its own, read to its end.

    By hand: an HTTP client takes more of the two cores than the server leaves.
    """
    try:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
    except OSError:
        return b""
    head = (
        "POST /chat HTTP/1.1\r\nHost: bench\r\nConnection: close\r\n"
        f"X-Session-ID: s-{number}\r\nX-User-ID: u-{number}\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    try:
        writer.write(head.encode() + body)
        return await reader.read(-1)
    except OSError:
        return b""
    finally:
        writer.close()


async def _until_ready(port: int) -> None:
    """Return when every worker has had time to answer once.

    The port is open before the workers are there: only an answer tells.
    """
    deadline = time.monotonic() + _START_S
    answers = 0
    while answers < _WARM_UP:
        answers += b"event: done" in await _post(port, -1 - answers, _HELLO)
        if time.monotonic() > deadline:
            raise TimeoutError("the example did not come up")
        await asyncio.sleep(0.05)


async def _lost(url: str, conversations: int, turns: int) -> int:
    """Turns that are not where they must be: each question, then its answer."""
    from convstore import open_store

    lost = 0
    async with open_store(url) as store:
        for number in range(conversations):
            found = await store.turns.window(f"s-{number}", limit=2 * turns + 10)
            asked = [turn.content for turn in found[0::2]]
            roles = [turn.role for turn in found]
            if roles != ["user", "assistant"] * turns:
                lost += abs(2 * turns - len(found)) or 1
            lost += asked != [f"{number}.{turn}" for turn in range(turns)]
    return lost


def measure(bench: Bench) -> Iterable[Row]:
    """No error and no lost turn; how fast is told and not judged."""
    for database in bench.databases:
        workers = 2 if database == "PostgreSQL" else 1
        conversations = bench.scaled(1000, 100)
        figures = bench.run(
            f"{__name__}:load",
            database,
            conversations=conversations,
            turns=TURNS,
            workers=workers,
        )
        told = (
            "{errors} errors, {lost} lost; {turns_per_s} turns/s, "
            "p50 {p50_ms} ms, p99 {p99_ms} ms".format(**figures)
        )
        yield Row(
            f"example backend, {conversations:,} conversations at once, "
            f"{workers} worker{'s' * (workers > 1)}",
            database,
            "no error, no lost turn",
            told,
            figures["errors"] == figures["lost"] == 0,
            figures,
        )


GOAL = Goal("chat_backend", measure)
