"""Who makes the rows: this process, or others beside it.

The rules are pure functions of one session, and most of an export's time is spent in
reading and in them. Workers are processes of their own. Of a store that can be opened
twice they get splits, read these themselves, and this process does nothing but wait;
of any other source they get sessions as the lines of JSON that an archive holds, and
while they have enough to do, this process makes rows too. They answer with packed rows
and counts. Batches are given in the order in which they came, so that nothing depends
on who made them. Until the first worker is there, this process does its work.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import ExitStack
from dataclasses import replace
from itertools import chain, islice
from pathlib import Path
from queue import SimpleQueue
from threading import Event
from typing import NamedTuple, TypeVar

from convstore.export.dataset.files import DataSet
from convstore.export.dataset.parts import Part, WrittenPart
from convstore.export.privacy.quarantine import reports_of
from convstore.export.stages.entries import Packed, cut_packed
from convstore.export.stages.gather import Gatherer
from convstore.export.stages.making import Counts, Rows, made, made_of
from convstore.export.stages.reading_splits import SplitReader
from convstore.export.stages.requests import (
    DOCUMENTS,
    DONE,
    PARTS,
    SPLIT,
    SYSTEM,
    PartsRequest,
    WorkerPlan,
    read_frame,
    split_answer,
    split_written,
    told,
    write_frame,
)
from convstore.export.stages.splits import Split
from convstore.export.stages.spool import Spool
from convstore.export.stages.starting import Pipes, Started
from convstore.export.stages.workspace import state_of
from convstore.vocabulary.documents import encode_document
from convstore.vocabulary.errors import WorkerLostError
from convstore.vocabulary.records import SessionDocument

T = TypeVar("T")

ALONE = 128
"""Sessions that are done before a process is worth its start."""

BATCH_DOCUMENTS = 64
BATCH_BYTES = 1024 * 1024
"""JSON of a batch; a session larger than this is a batch of its own."""

_AHEAD = 2
"""Batches that wait for each worker, so that none of them waits for us."""

_MOST = 16
"""Batches that wait for one before them: what is done while a worker starts."""

_BLOCK = 8
"""Parts of one request at most: their rows are read once, and what lies between two
requests twice."""

_PATIENCE_S = 0.5


class Batch(NamedTuple):
    """The rows of some sessions; read once.

    `states` are those of what is done with this batch, and empty while something is
    done by half.
    """

    states: Sequence[bytes]
    documents: int
    rows: Iterable[Packed]
    reports: Sequence[bytes]


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
    listing = gatherer.options.quarantine
    for document in islice(source, ALONE) if workers else source:
        reports = tuple(reports_of(document)) if listing else ()
        rows = gatherer.packed(document)
        yield Batch((state_of(document),), 1, rows, reports)
    more = next(source, None)
    if more is not None:
        with WorkerPool(gatherer) as pool:
            yield from pool.gathered(chain([more], source))


def gathered_here(
    gatherer: Gatherer, splits: Iterable[Split]
) -> Generator[Batch, None, None]:
    """The rows of these splits, in order, read and made by whoever takes them; counts
    go to the gatherer's tallies.

    Close it when it is left early.
    """
    listing = gatherer.options.quarantine
    with SplitReader() as reader:
        for split in splits:
            for document in reader.documents(split):
                reports = tuple(reports_of(document)) if listing else ()
                yield Batch((), 1, gatherer.packed(document), reports)
            yield Batch((split.fingerprint,), 0, (), ())


class WorkerPool:
    """The workers of one export; a context that ends them all."""

    def __init__(self, gatherer: Gatherer) -> None:
        names = [fmt.name for fmt in gatherer.formats]
        plan = told(WorkerPlan(names, gatherer.options.told()))
        self._gatherer = gatherer
        self._idle: SimpleQueue[_Worker] = SimpleQueue()
        self._there = Event()
        count = gatherer.options.workers
        self._most_asked = _AHEAD * count
        self._started = Started(count)
        self._threads = ThreadPoolExecutor(count, "convstore-export")
        for pipes in self._started.pipes:
            self._threads.submit(self._welcome, _Worker(pipes), plan)

    def _welcome(self, worker: _Worker, plan: bytes) -> None:
        """Wait for a worker. One that does not come is found lost once it is asked."""
        worker.begin(plan)
        self._idle.put(worker)
        self._there.set()

    @property
    def is_starting(self) -> bool:
        """Whether no worker is there yet."""
        return not self._there.is_set()

    def __enter__(self) -> WorkerPool:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End the workers, whatever they are at: they hold nothing."""
        self._started.end()
        self._threads.shutdown(cancel_futures=True)

    def gathered(self, documents: Iterable[SessionDocument]) -> Iterator[Batch]:
        """The rows of these sessions, in order."""
        waiting: deque[tuple[list[SessionDocument], Future[Rows]]] = deque()
        for batch, lines in _batches(documents):
            asked = sum(not future.done() for _, future in waiting)
            if asked < self._most_asked and not self.is_starting:
                answer = self._threads.submit(self._rows, DOCUMENTS, lines)
            else:
                answer = _known(made(self._gatherer, iter(batch)))
            waiting.append((batch, answer))
            while waiting and (waiting[0][1].done() or len(waiting) > _MOST):
                yield self._answered(*waiting.popleft())
        while waiting:
            yield self._answered(*waiting.popleft())

    def gathered_splits(self, splits: Iterable[Split]) -> Generator[Batch, None, None]:
        """The rows of these splits, in order; once there are workers, they read them.

        Close it when it is left early.
        """
        left = iter(splits)
        if self.is_starting:
            yield from self._read_here(left)
        waiting: deque[tuple[Split, Future[Rows]]] = deque()
        for split in left:
            waiting.append((split, self._ask_for(split)))
            while waiting and (waiting[0][1].done() or len(waiting) > self._most_asked):
                yield from self._whole(*waiting.popleft(), self._ask_for)
        while waiting:
            yield from self._whole(*waiting.popleft(), self._ask_for)

    def _read_here(self, splits: Iterator[Split]) -> Generator[Batch, None, None]:
        """The rows of the next splits, as long as nobody else is there to read them."""
        with SplitReader() as reader:

            def read(split: Split) -> Future[Rows]:
                return _known(made_of(self._gatherer, reader, split))

            for split in splits:
                yield from self._whole(split, read(split), read)
                if not self.is_starting:
                    return

    def _whole(
        self, split: Split, answer: Future[Rows], ask: Callable[[Split], Future[Rows]]
    ) -> Iterator[Batch]:
        """All rows of a split, in as many batches as they are too much for one."""
        rows = answer.result()
        while rows.left:
            rest = ask(split.of(rows.left))
            yield self._batch((), rows)
            rows = rest.result()
        yield self._batch((split.fingerprint,), rows)

    def written(
        self, requests: Iterable[PartsRequest], step: Callable[[int], None]
    ) -> Iterator[WrittenPart]:
        """The parts that workers write; `step` is told of their rows, and asked now
        and then whether to go on."""
        asked = [
            self._threads.submit(self._asked, PARTS, told(each), split_written)
            for each in requests
        ]
        for future in asked:
            while not wait([future], _PATIENCE_S).done:
                step(0)
            for part in future.result():
                step(part.rows)
                yield part

    def _ask_for(self, split: Split) -> Future[Rows]:
        return self._threads.submit(self._rows, SPLIT, told(split))

    def _rows(self, kind: bytes, request: bytes) -> Rows:
        return self._asked(kind, request, split_answer)

    def _asked(self, kind: bytes, request: bytes, read: Callable[[bytes], T]) -> T:
        worker = self._idle.get()
        try:
            return read(worker.ask(kind + request))
        finally:
            self._idle.put(worker)

    def _answered(
        self, documents: list[SessionDocument], answer: Future[Rows]
    ) -> Batch:
        return self._batch([state_of(each) for each in documents], answer.result())

    def _batch(self, states: Sequence[bytes], rows: Rows) -> Batch:
        counts: Counts = rows.counts
        for name, counted in counts.tallies.items():
            self._gatherer.tallies[name].take(counted)
        found = cut_packed(rows.packed)
        return Batch(states, counts.documents, found, counts.reports)


def requests_of(
    parts: Iterable[Part],
    folder: Path,
    rows: Sequence[Spool],
    data: DataSet,
    workers: int,
) -> list[PartsRequest]:
    """What to ask of workers to have these parts written.

    The ids of the rows go into files of `folder`, one for a split; `rows` are those of
    the splits, in their order.
    """
    found: dict[str, list[tuple[Part, tuple[int, int]]]] = {}
    with ExitStack() as files:
        ids = {
            name: files.enter_context((folder / f"ids.{name}").open("wb"))
            for name in data.options.splits
        }
        for part in parts:
            start = ids[part.split].tell()
            ids[part.split].write(part.ids)
            place = (start, ids[part.split].tell())
            found.setdefault(part.split, []).append((replace(part, ids=b""), place))
    asked = []
    for name, spool in zip(data.options.splits, rows, strict=True):
        some = found.get(name, [])
        block = min(_BLOCK, -(-len(some) // workers)) or 1
        for at in range(0, len(some), block):
            mine, places = zip(*some[at : at + block], strict=True)
            asked.append(
                PartsRequest(
                    list(mine),
                    str(folder / f"ids.{name}"),
                    list(places),
                    str(spool.folder),
                    str(data.root),
                )
            )
    return asked


def _known(rows: Rows) -> Future[Rows]:
    answer: Future[Rows] = Future()
    answer.set_result(rows)
    return answer


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

    def __init__(self, pipes: Pipes) -> None:
        self._out, self._in = pipes

    def begin(self, plan: bytes) -> None:
        """Tell it what the export is, and wait until it is there, or has ended."""
        self._answer(plan)

    def ask(self, request: bytes) -> bytes:
        answer = self._answer(request)
        if answer is None:
            raise WorkerLostError("a worker of the export ended before it was done")
        if answer[:1] != DONE:
            problem = answer[1:].decode()
            if problem.startswith(SYSTEM):
                number = int(problem.removeprefix(SYSTEM))
                raise OSError(number, os.strerror(number))
            raise WorkerLostError(f"a worker of the export failed: {problem}")
        return answer[1:]

    def _answer(self, request: bytes) -> bytes | None:
        try:
            write_frame(self._out, request)
            return read_frame(self._in)
        except (OSError, ValueError):
            return None
