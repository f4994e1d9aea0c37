"""The laboratory: what happens to a store whose processes are killed, and to one into
which many write at once.

It forks, so it is run in a process of its own, which has opened nothing:
`python -m convstore.testing`, or `run` below.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Final

from convstore.errors import ConfigError
from convstore.testing.chat_reports import CrashReport, RaceReport
from convstore.testing.chat_store import ChatKey, ChatStore, Opener
from convstore.testing.chat_verdict import Notes, Verdict, judge, text_of
from convstore.testing.chat_worker import Line, Worker

SESSIONS: Final = tuple(ChatKey("t-1", f"u-{n}", f"s-{n}") for n in range(4))
"""Those that a process writes to until it is killed, all at once."""
CONTESTED: Final = ChatKey("t-1", "u-1", "contested")
_MOST_S: Final = 3_600


def crash(opener: Opener, where: str, *, kills: int = 20, seed: int = 7) -> CrashReport:
    """Kill a writing process again and again, then read what is there.

    Each process opens the store, which the one before had no chance to close, and
    writes to four sessions at once, two messages a call. It is killed after so many
    words of its own as `seed` deals.
    """
    chosen, notes, failed = random.Random(seed), Notes(), Counter[str]()
    for life in range(kills):
        words = chosen.randint(6, 60)

        async def write(line: Line, life: int = life) -> None:
            await _write(opener, where, line, life)

        _hear(Worker(write), notes, failed, until=words)

    async def look(line: Line) -> None:
        await _look(opener, where, line)

    found, goes_on = _read(Worker(look), failed)
    verdict = _judged(notes, found)
    return CrashReport(kills, verdict, dict(notes.refusals), dict(failed), goes_on)


def race(
    opener: Opener, where: str, *, writers: int = 30, processes: int = 3, calls: int = 4
) -> RaceReport:
    """Let processes open an empty place at once; then let writers write to one session
    at once, while somebody reads it."""
    unopened = _open_at_once(opener, where, processes)
    notes, failed = Notes(), Counter[str]()

    async def begin(line: Line) -> None:
        async with opener(where) as store:
            await _append(store, CONTESTED, "contested/first", ["first"], line)

    _hear(Worker(begin), notes, failed)

    async def watch(line: Line) -> None:
        await _watch(opener, where, line)

    watcher = Worker(watch)
    watcher.word()
    _write_at_once(opener, where, notes, failed, (writers, processes, calls))
    watcher.bid()
    reads = moved = 0
    for word in watcher.words():
        failed.update([word["failed"]] if "failed" in word else [])
        reads, moved = word.get("reads", reads), word.get("moved", moved)
    failed.update(["hung"] if watcher.end() else [])

    async def look(line: Line) -> None:
        async with opener(where) as store:
            texts = await store.history(CONTESTED)
            line.tell(session=CONTESTED.session_id, texts=texts)

    found, _ = _read(Worker(look), failed)
    verdict = _judged(notes, found)
    return RaceReport(
        writers=writers,
        processes=processes,
        verdict=verdict,
        refusals=dict(notes.refusals),
        failed=dict(failed),
        unopened=dict(unopened),
        reads=reads,
        moved=moved,
    )


def _read(reader: Worker, failed: Counter[str]) -> tuple[dict[str, list[str]], bool]:
    """What a reader tells of each session, and whether the store could be gone on
    with."""
    found: dict[str, list[str]] = {}
    goes_on = False
    for word in reader.words():
        if "failed" in word:
            failed[word["failed"]] += 1
        elif "session" in word:
            found[word["session"]] = word["texts"]
        goes_on = goes_on or word.get("goes_on", False)
    failed.update(["hung"] if reader.end() else [])
    return found, goes_on


def _judged(notes: Notes, found: dict[str, list[str]]) -> Verdict:
    """Of what could be read: where a reader failed, nothing is called lost."""
    verdicts = (judge(notes.of(name), texts) for name, texts in found.items())
    return sum(verdicts, Verdict())


def _hear(
    worker: Worker, notes: Notes, failed: Counter[str], until: int | None = None
) -> None:
    """Note what a worker tells until it ends; kill it after `until` words."""
    for number, word in enumerate(worker.words(), 1):
        if "failed" in word:
            failed[word["failed"]] += 1
        elif "names" in word:
            notes.note(word["stream"], word["names"], word["state"])
        if number == until:
            worker.kill()
    failed.update(["hung"] if worker.end() else [])


async def _append(
    store: ChatStore, key: ChatKey, stream: str, names: list[str], line: Line
) -> None:
    def tell(state: str) -> None:
        line.tell(stream=stream, names=names, state=state)

    tell("tried")
    try:
        await store.append(key, [text_of(name) for name in names])
    # A store's own errors are its refusals: they are counted by their names.
    except Exception as error:  # noqa: BLE001
        tell(type(error).__name__)
    else:
        tell("done")


async def _write(opener: Opener, where: str, line: Line, life: int) -> None:
    """Write until the process is killed."""
    async with opener(where) as store:

        async def fill(key: ChatKey) -> None:
            stream = f"{key.session_id}/{life}"
            for number in range(10_000):
                names = [f"{key.session_id}.{life}.{number}.{part}" for part in "ab"]
                await _append(store, key, stream, names, line)

        await asyncio.gather(*map(fill, SESSIONS))


async def _look(opener: Opener, where: str, line: Line) -> None:
    """Tell what is there, and whether it can be gone on with."""
    async with opener(where) as store:
        for key in SESSIONS:
            line.tell(session=key.session_id, texts=await store.history(key))
        before = await store.history(SESSIONS[0])
        await store.append(SESSIONS[0], ["And on."])
        after = await store.history(SESSIONS[0])
        line.tell(goes_on=after == [*before, "And on."])


def _open_at_once(opener: Opener, where: str, processes: int) -> Counter[str]:
    """The errors of processes that find nothing there and make it, all at once."""
    failed: Counter[str] = Counter()

    def opening(number: int) -> Callable[[Line], Any]:
        async def work(line: Line) -> None:
            line.tell(ready=True)
            await line.bidden()
            async with opener(where) as store:
                await store.append(ChatKey("t-1", "u-1", f"own-{number}"), ["Here."])

        return work

    workers = [Worker(opening(number)) for number in range(processes)]
    for worker in workers:
        worker.word()
    for worker in workers:
        worker.bid()
    for worker in workers:
        _hear(worker, Notes(), failed)
    return failed


def _write_at_once(
    opener: Opener,
    where: str,
    notes: Notes,
    failed: Counter[str],
    sizes: tuple[int, int, int],
) -> None:
    """Processes whose writers share one session, each with its part of the writers."""
    writers, processes, calls = sizes

    def writing(process: int) -> Callable[[Line], Any]:
        own = range(process, writers, processes)

        async def work(line: Line) -> None:
            async with opener(where) as store:
                line.tell(ready=True)
                await line.bidden()
                await asyncio.gather(*(_share(store, n, calls, line) for n in own))

        return work

    workers = [Worker(writing(process)) for process in range(processes)]
    for worker in workers:
        first = worker.word()
        if first is not None and "failed" in first:
            failed[first["failed"]] += 1
    for worker in workers:
        worker.bid()
    for worker in workers:
        _hear(worker, notes, failed)


async def _share(store: ChatStore, writer: int, calls: int, line: Line) -> None:
    for number in range(calls):
        names = [f"{writer}.{number}.{part}" for part in "ab"]
        await _append(store, CONTESTED, f"contested/{writer}", names, line)


async def _watch(opener: Opener, where: str, line: Line) -> None:
    """Read over and over: what was read once should begin what is read next."""
    line.tell(ready=True)
    bidden = asyncio.create_task(line.bidden())
    reads, moved, last = 0, 0, list[str]()
    async with opener(where) as store:
        while not bidden.done():
            # A read that is refused has shown nothing.
            with suppress(Exception):
                read = await store.history(CONTESTED)
                moved += read[: len(last)] != last
                last, reads = read, reads + 1
            await asyncio.sleep(0)
        read = await store.history(CONTESTED)
        moved += read[: len(last)] != last
        line.tell(reads=reads + 1, moved=moved)


def run(trial: str, opener: str, where: str, **options: int) -> dict[str, Any]:
    """Run a trial in a process of its own: `crash` or `race`, as a report in JSON.

    Raises:
        ConfigError: It could not be run at all; what it said is in the message.
    """
    asked = [f"--{name}={value}" for name, value in options.items()]
    command = [sys.executable, "-m", "convstore.testing", trial, opener, where, *asked]
    # What a caller can import, it can, too.
    paths = os.pathsep.join(path or os.getcwd() for path in sys.path)
    with subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        env=os.environ | {"PYTHONPATH": paths},
    ) as process:
        try:
            told, errors = process.communicate(timeout=_MOST_S)
        finally:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
    lines = told.splitlines()
    if not lines or process.returncode not in (0, 1):
        raise ConfigError(f"{trial} of {opener}: {errors[-2_000:]}")
    report: dict[str, Any] = json.loads(lines[-1])
    return report
