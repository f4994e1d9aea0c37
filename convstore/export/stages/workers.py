"""Who makes the rows: this process, or others beside it that it feeds.

The rules are pure functions of one session, and most of an export's time is spent in
them. Workers are processes of their own that get sessions as the lines of JSON that an
archive holds, and answer with packed rows and counts. They know no database, and no
file but a redaction cache if there is one. While they have enough to do, this process
makes rows too. Batches are given in the order in which they came, so that nothing
depends on who made them.

They are started as programs and not through `multiprocessing`: that would run the
caller's main module again, and pickle what it sends.
"""

from __future__ import annotations

import os
import struct
import subprocess
import sys
from collections import deque
from collections.abc import Generator, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from itertools import chain, islice
from queue import SimpleQueue
from typing import IO, NamedTuple

from convstore.export.stages.entries import Packed, cut_packed
from convstore.export.stages.gather import Gatherer
from convstore.vocabulary.codec import decode_json, dumps
from convstore.vocabulary.documents import encode_document
from convstore.vocabulary.errors import ConfigError, WorkerLostError
from convstore.vocabulary.records import JsonObject, SessionDocument

ALONE = 128
"""Sessions that are done before a process is worth its start."""

BATCH_DOCUMENTS = 64
BATCH_BYTES = 1024 * 1024
"""JSON of a batch; a session larger than this is a batch of its own."""

_AHEAD = 2
"""Batches that wait for each worker, so that none of them waits for us."""

_MOST = 16
"""Batches that wait for one before them: what is done while a worker starts."""

_PIPE_BYTES = 1024 * 1024
"""Room for a batch, where the system lets it be chosen: else a thread that has the
interpreter is waited for at each sixteenth of one."""

_SIZE = struct.Struct("<Q")
DONE, FAILED = b"\0", b"\1"


class Batch(NamedTuple):
    """Sessions, and the rows that they gave; the rows are read once."""

    documents: Sequence[SessionDocument]
    rows: Iterable[Packed]


def gathered(
    gatherer: Gatherer, documents: Iterable[SessionDocument]
) -> Generator[Batch, None, None]:
    """The rows of all sessions, in order; counts go to the gatherer's tallies.

    Close it when it is left early: it ends the workers.

    Raises:
        WorkerLostError: A worker ended before its work was done.
        ConfigError: Workers are wanted, and there is no interpreter to start.
    """
    source = iter(documents)
    workers = gatherer.options.workers
    for document in islice(source, ALONE) if workers else source:
        yield Batch((document,), gatherer.packed(document))
    more = next(source, None)
    if more is not None:
        with WorkerPool(gatherer) as pool:
            yield from pool.gathered(chain([more], source))


Answer = tuple[dict[str, JsonObject], Iterable[Packed]]
"""What was counted for a batch, by format, and its rows."""


class WorkerPool:
    """The workers of one export; a context that ends them all."""

    def __init__(self, gatherer: Gatherer) -> None:
        names = [fmt.name for fmt in gatherer.formats]
        plan = dumps({"formats": names, "options": gatherer.options.told()})
        self._gatherer = gatherer
        self._workers: list[_Worker] = []
        self._idle: SimpleQueue[_Worker] = SimpleQueue()
        count = gatherer.options.workers
        self._threads = ThreadPoolExecutor(count, "convstore-export")
        self._most_asked = _AHEAD * count
        try:
            for _ in range(count):
                self._workers.append(_Worker(plan))
                self._idle.put(self._workers[-1])
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> WorkerPool:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End the workers, whatever they are at: they hold nothing."""
        for worker in self._workers:
            worker.end()
        self._threads.shutdown(cancel_futures=True)

    def gathered(self, documents: Iterable[SessionDocument]) -> Iterator[Batch]:
        """The rows of these sessions, in order."""
        waiting: deque[tuple[list[SessionDocument], Future[Answer]]] = deque()
        for batch, lines in _batches(documents):
            asked = sum(not future.done() for _, future in waiting)
            if asked < self._most_asked:
                answer = self._threads.submit(self._ask, lines)
            else:
                answer = Future()
                answer.set_result(self._gatherer.counted(batch))
            waiting.append((batch, answer))
            while waiting and (waiting[0][1].done() or len(waiting) > _MOST):
                yield self._answered(*waiting.popleft())
        while waiting:
            yield self._answered(*waiting.popleft())

    def _ask(self, lines: bytes) -> Answer:
        worker = self._idle.get()
        try:
            return split_answer(worker.ask(lines))
        finally:
            self._idle.put(worker)

    def _answered(
        self, documents: list[SessionDocument], answer: Future[Answer]
    ) -> Batch:
        counts, rows = answer.result()
        for name, told in counts.items():
            self._gatherer.tallies[name].take(told)
        return Batch(documents, rows)


def _batches(
    documents: Iterable[SessionDocument],
) -> Iterator[tuple[list[SessionDocument], bytes]]:
    batch: list[SessionDocument] = []
    lines: list[bytes] = []
    size = 0
    for document in documents:
        batch.append(document)
        lines.append(encode_document(document))
        size += len(lines[-1])
        if size >= BATCH_BYTES or len(batch) >= BATCH_DOCUMENTS:
            yield batch, b"\n".join(lines)
            batch, lines, size = [], [], 0
    if batch:
        yield batch, b"\n".join(lines)


class _Worker:
    """One process; asked one thing at a time."""

    def __init__(self, plan: bytes) -> None:
        if not sys.executable:
            raise ConfigError("workers: this program has no Python to start; take 0")
        # Where this process found its packages, and not the folder it stands in.
        path = os.pathsep.join(os.path.abspath(part) for part in sys.path)
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-m", "convstore.export.stages.worker"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            pipesize=_PIPE_BYTES,
            env={**os.environ, "PYTHONPATH": path},
        )
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._in, self._out = self._process.stdin, self._process.stdout
        try:
            write_frame(self._in, plan)
        except OSError:
            self.end()
            raise WorkerLostError("a worker of the export did not start") from None

    def ask(self, lines: bytes) -> bytes:
        try:
            write_frame(self._in, lines)
            answer = read_frame(self._out)
        except (OSError, ValueError):
            answer = None
        if answer is None:
            raise WorkerLostError("a worker of the export ended before it was done")
        if answer[:1] != DONE:
            raise WorkerLostError(
                f"a worker of the export failed: {answer[1:].decode()}"
            )
        return answer[1:]

    def end(self) -> None:
        self._process.kill()
        self._process.wait()
        for pipe in (self._in, self._out):
            # What it was not sent any more, it need not know.
            with suppress(BrokenPipeError):
                pipe.close()


def write_frame(pipe: IO[bytes], data: bytes) -> None:
    """Send one message: its length, and its bytes."""
    pipe.write(_SIZE.pack(len(data)))
    pipe.write(data)
    pipe.flush()


def read_frame(pipe: IO[bytes]) -> bytes | None:
    """Receive one message; None if the other side ended before it was whole."""
    head = pipe.read(_SIZE.size)
    if len(head) < _SIZE.size:
        return None
    (size,) = _SIZE.unpack(head)
    data = pipe.read(size)
    return data if len(data) == size else None


def join_answer(counts: JsonObject, rows: bytes) -> bytes:
    """What a worker answers: counts by format, and the rows."""
    told = dumps(counts)
    return b"".join((DONE, _SIZE.pack(len(told)), told, rows))


def split_answer(answer: bytes) -> Answer:
    """The counts and rows of an answer."""
    (size,) = _SIZE.unpack_from(answer)
    end = _SIZE.size + size
    return decode_json(answer[_SIZE.size : end]), cut_packed(answer[end:])
