"""Kills processes that write through adapters, and checks what they leave.

    python -m tests.frameworks.killed URL ARCHIVE KILLS SEED

Workers are forked from a process that has imported the frameworks and opened nothing.
Each writes with every framework that is installed, all at once, while what it writes to
is archived and purged; it tells what it is about to write, and what was acknowledged,
and is killed after so many words, whatever it is doing then. Prints a report as JSON.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import signal
import sys
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any

from convstore import StoreConfig, open_store
from tests.crash.invariants import check as check_invariants
from tests.frameworks.writers import writers_here

Line = dict[str, Any]
Tell = Callable[[Line], None]
WRITERS = dict(writers_here())


async def write(config: StoreConfig, run: int, tell: Tell) -> None:
    """Write under one name after another, until it is killed."""
    async with open_store(config) as store:
        writers = {name: made(store) for name, made in WRITERS.items()}

        async def write_once(framework: str, names: list[str]) -> None:
            tell({"framework": framework, "names": names, "done": False})
            await writers[framework].write(names)
            tell({"framework": framework, "names": names, "done": True})

        for number in range(10_000):
            writing = [
                write_once(name, [f"{name}-{run}-{number}-{part}" for part in "ab"])
                for name in writers
            ]
            # Every other time in the midst of it all goes to the archive.
            if number % 2:
                await asyncio.gather(*writing, store.run_retention(older_than_s=0))
            else:
                await asyncio.gather(*writing)


async def look(config: StoreConfig, tell: Tell) -> None:
    """Tell what each framework reads back, and what does not fit together."""
    async with open_store(config) as store:
        for name, made in WRITERS.items():
            names, wrong = await made(store).read()
            tell({"framework": name, "names": names, "wrong": wrong})


def check(told: Sequence[Line], framework: str, names: list[str]) -> list[str]:
    """What was acknowledged and is not there, in its order; what is there in part."""
    wrong = []
    own = [line for line in told if line["framework"] == framework]
    done = [n for line in own if line["done"] for n in line["names"]]
    known = set(done)
    if [name for name in names if name in known] != done:
        wrong.append("what was acknowledged is lost, or out of order")
    if len(set(names)) != len(names):
        wrong.append("something is there twice")
    for line in own:
        there = sum(name in names for name in line["names"])
        if WRITERS[framework].whole and there not in (0, len(line["names"])):
            wrong.append("something is there in part")
    return wrong


def forked(work: Callable[[Tell], Awaitable[None]]) -> Any:
    """The process that does the work, and where it is heard."""
    heard, told = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(heard)

        def tell(line: Line) -> None:
            os.write(told, json.dumps(line).encode() + b"\n")

        status = 1
        try:
            asyncio.run(work(tell))  # type: ignore[arg-type]
            status = 0
        finally:
            os._exit(status)
    os.close(told)
    return pid, os.fdopen(heard, "rb")


def kill_one(config: StoreConfig, run: int, words: int) -> list[Line]:
    """Let a worker say so many words, and kill it; all that it said."""
    pid, heard = forked(lambda tell: write(config, run, tell))
    lines = []
    for number, word in enumerate(heard, 1):
        lines.append(json.loads(word))
        if number == words:
            os.kill(pid, signal.SIGKILL)
    _, status = os.waitpid(pid, 0)
    assert os.WIFSIGNALED(status), "a worker ended by itself"
    return lines


def main(url: str, archive: Path, kills: int, seed: int) -> None:
    config = StoreConfig(url=url, archive_dir=archive)
    chosen, told = random.Random(seed), list[Line]()
    share = 2 * len(WRITERS)
    for run in range(kills):
        # Of each so much that all have been acknowledged something.
        told += kill_one(config, run, chosen.randint(share + 1, 4 * share))
    wrong = check_invariants(url, archive)
    pid, heard = forked(lambda tell: look(config, tell))
    found = {}
    for word in heard:
        line = json.loads(word)
        name = line["framework"]
        found[name] = len(line["names"])
        faults = line["wrong"] + check(told, name, line["names"])
        wrong += [f"{name}: {text}" for text in faults]
    _, status = os.waitpid(pid, 0)
    assert status == 0, "what is left could not be read"
    wrong += check_invariants(url, archive)
    acknowledged = sum(line["done"] for line in told)
    report = {"wrong": wrong, "found": found, "acknowledged": acknowledged}
    print(json.dumps(report))


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4]))
