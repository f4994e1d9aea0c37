"""The program of workers: sessions come in, packed rows go out. See `starting`.

Ends when its input ends, which it does when the export is killed.
"""

from __future__ import annotations

import gc
import os
import signal
import sys
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import IO, NoReturn

from convstore.export.choosing.keys import KEY_BYTES
from convstore.export.dataset.parts import WrittenPart, write_rows
from convstore.export.formats import pick_formats
from convstore.export.options import ExportOptions
from convstore.export.stages.entries import cut_waiting
from convstore.export.stages.gather import Gatherer
from convstore.export.stages.making import made, made_of
from convstore.export.stages.reading_splits import SplitReader
from convstore.export.stages.requests import (
    DONE,
    FAILED,
    PARTS,
    SPLIT,
    SYSTEM,
    PartsRequest,
    WorkerPlan,
    join_answer,
    join_written,
    read_frame,
    understood,
    write_frame,
)
from convstore.export.stages.splits import Split
from convstore.export.stages.spool import Spool
from convstore.export.writers.parquet import load_pyarrow_alone
from convstore.vocabulary.documents import decode_document
from convstore.vocabulary.errors import (
    NewerFormatError,
    RowCorruptError,
    SegmentCorruptError,
    UnavailableError,
)

_GARBAGE = (50_000, 20, 50)
"""Collect a seventieth as often: rows and documents hold no circles."""

_SPEAKING = (NewerFormatError, RowCorruptError, SegmentCorruptError, UnavailableError)
"""Errors whose words name a session or a place, and nothing that was said."""


def main() -> None:
    """Be one worker, by standard input and output; or several, each a process of its
    own, by the pipes whose ends are the arguments."""
    # Ctrl+C reaches the whole group; the export ends its workers by itself.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    gc.freeze()
    gc.set_threshold(*_GARBAGE)
    gc.enable()
    ends = [int(each) for each in sys.argv[1:]]
    if ends:
        _fork([(ends[i], ends[i + 1]) for i in range(0, len(ends), 2)])
        return
    # What a library prints must not be taken for an answer.
    with os.fdopen(os.dup(1), "wb") as outgoing:
        os.dup2(2, 1)
        _serve(sys.stdin.buffer, outgoing)


def _fork(pipes: Sequence[tuple[int, int]]) -> None:
    """Have a child for each of the pipes, until the input ends."""
    children = []
    for place, ends in enumerate(pipes):
        child = os.fork()
        if child == 0:
            for others in pipes[place + 1 :]:
                _close(*others)
            _be_child(*ends)
        children.append(child)
        _close(*ends)
    sys.stdin.buffer.read()
    for child in children:
        # Not waited for so far, so no other process has its number.
        os.kill(child, signal.SIGKILL)
    for child in children:
        os.waitpid(child, 0)


def _close(*ends: int) -> None:
    for end in ends:
        os.close(end)


def _be_child(asked: int, telling: int) -> NoReturn:
    status = 1
    try:
        os.dup2(2, 1)
        with os.fdopen(asked, "rb") as incoming, os.fdopen(telling, "wb") as outgoing:
            _serve(incoming, outgoing)
        status = 0
    finally:
        # Whatever happened: what is above belongs to the parent.
        os._exit(status)


def _serve(incoming: IO[bytes], outgoing: IO[bytes]) -> None:
    """Say that it is there, and answer every message."""
    first = read_frame(incoming)
    if first is None:
        return
    plan = understood(first, WorkerPlan)
    gatherer = Gatherer(pick_formats(plan.formats), ExportOptions.of(plan.options))
    write_frame(outgoing, DONE)
    with SplitReader() as reader:
        while (request := read_frame(incoming)) is not None:
            write_frame(outgoing, _answer(gatherer, reader, request))


def _answer(gatherer: Gatherer, reader: SplitReader, request: bytes) -> bytes:
    kind, body = request[:1], request[1:]
    try:
        if kind == PARTS:
            if gatherer.options.file_type == "parquet":
                load_pyarrow_alone()
            asked = understood(body, PartsRequest)
            return DONE + join_written(_written(gatherer, asked))
        if kind == SPLIT:
            split = understood(body, Split)
            return DONE + join_answer(made_of(gatherer, reader, split))
        documents = map(decode_document, body.split(b"\n"))
        return DONE + join_answer(made(gatherer, documents))
    except _SPEAKING as error:
        return FAILED + f"{type(error).__name__}: {error}".encode()
    except OSError as error:
        return FAILED + f"{SYSTEM}{error.errno or 0}".encode()
    except Exception as error:  # noqa: BLE001 - told to the export, which raises it
        # By its kind alone: its words may be what people said.
        return FAILED + type(error).__name__.encode()


def _written(gatherer: Gatherer, asked: PartsRequest) -> Iterator[WrittenPart]:
    """The parts, from rows that are read once, by one part after the other."""
    ids = [_ids(Path(asked.ids), *place) for place in asked.places]
    spool = Spool.found(Path(asked.rows))
    first = next((each[:KEY_BYTES] for each in ids if each), b"")
    rows = (record for _, record in spool.sorted(cut_waiting, first))
    formats = {fmt.name: fmt for fmt in gatherer.formats}
    for part, mine in zip(asked.parts, ids, strict=True):
        whole, fmt = replace(part, ids=mine), formats[part.format]
        yield write_rows(rows, whole, Path(asked.root), fmt, gatherer.options)


def _ids(path: Path, start: int, end: int) -> bytes:
    with path.open("rb") as file:
        file.seek(start)
        return file.read(end - start)
