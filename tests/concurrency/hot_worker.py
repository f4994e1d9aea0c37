"""A worker of the coherence test: reads and writes the same sessions as its like, and
reports each read that was older than the tier may serve.

Every append is noted in a log that all workers share, after it was acknowledged: what
the log holds from more than the bound ago, every read must show.
"""

# ruff: noqa: F821  (`report`, `INDEX` and `wait_for_all` come with the process)

import asyncio
import os
import random
import sys
import time
from dataclasses import asdict

from convstore import StoreConfig, open_store

URL, ARCHIVE, KIND, REDIS, LOG, SECONDS = sys.argv[1:]
SESSIONS = [f"s-{n}" for n in range(4)]
BOUND_S = 0.3


class Log:
    """What every worker had acknowledged, and when; read on from where it was left."""

    def __init__(self):
        self._file = os.open(LOG, os.O_RDWR | os.O_APPEND | os.O_CREAT)
        self._offset = 0
        self._waiting = []
        self._counts = dict.fromkeys(SESSIONS, 0)

    def add(self, session_id, seq):
        os.write(self._file, f"{time.monotonic()} {session_id} {seq}\n".encode())

    def acknowledged(self, until):
        """How many turns each session had by `until`."""
        read = os.pread(self._file, 1 << 20, self._offset)
        whole = read[: read.rfind(b"\n") + 1]
        self._offset += len(whole)
        self._waiting += [line.split() for line in whole.decode().splitlines()]
        later = []
        for at, session_id, seq in self._waiting:
            if float(at) > until:
                later.append((at, session_id, seq))
            elif int(seq) > self._counts[session_id]:
                self._counts[session_id] = int(seq)
        self._waiting = later
        return self._counts

    def age(self, session_id, newest, asked_at):
        """For how long the database had known more than what was read at `asked_at`."""
        missing = (
            float(at)
            for at, name, seq in self._waiting
            if name == session_id and int(seq) > newest and float(at) <= asked_at
        )
        return asked_at - min(missing, default=asked_at)


async def main():
    random.seed(INDEX)
    log = Log()
    cache = {"kind": KIND, "url": REDIS, "staleness_s": BOUND_S, "timeout_s": 0.1}
    cache["retry_after_s"] = 0.2
    config = StoreConfig(url=URL, archive_dir=ARCHIVE, cache=cache)
    faults, reads, writes, oldest = [], 0, 0, 0.0
    own = dict.fromkeys(SESSIONS, 0)
    seen = dict.fromkeys(SESSIONS, 0)
    async with open_store(config) as store:
        wait_for_all()
        end = time.monotonic() + float(SECONDS)
        while time.monotonic() < end:
            session_id = random.choice(SESSIONS)
            # Half of the sessions are only read here: nothing of this process's own
            # would show it what the others write.
            if random.random() < 0.1 and session_id in SESSIONS[INDEX % 2 :: 2]:
                turn = await store.turns.append(session_id, role="user", content="x")
                writes += 1
                own[session_id] = turn.seq
                log.add(session_id, turn.seq)
                continue
            # CLOCK_MONOTONIC is one clock for all processes of a machine.
            asked_at = time.monotonic()
            due = log.acknowledged(asked_at - BOUND_S)[session_id]
            own_due, seen_due = own[session_id], seen[session_id]
            window = await store.turns.window(session_id, limit=5)
            reads += 1
            newest = window[-1].seq if window else 0
            oldest = max(oldest, log.age(session_id, newest, asked_at))
            seqs = [turn.seq for turn in window]
            if seqs != list(range(newest - len(seqs) + 1, newest + 1)):
                faults.append(["gap", session_id, seqs])
            for kind, least in (("bound", due), ("own", own_due), ("seen", seen_due)):
                if newest < least:
                    faults.append([kind, session_id, newest, least])
            seen[session_id] = max(seen_due, newest)
            await asyncio.sleep(0)
        told = {"reads": reads, "writes": writes, "oldest_s": oldest}
        report({"faults": faults[:5], **told, **asdict(store.cache_stats())})


asyncio.run(main())
