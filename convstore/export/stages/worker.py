"""The program of one worker: sessions come in, packed rows go out. See `workers`.

Ends when its input ends, which it does when the export is killed.
"""

from __future__ import annotations

import gc
import os
import signal
import sys

from convstore.export.formats import pick_formats
from convstore.export.options import ExportOptions
from convstore.export.stages.entries import join_packed
from convstore.export.stages.gather import Gatherer
from convstore.export.stages.workers import FAILED, join_answer, read_frame, write_frame
from convstore.vocabulary.codec import decode_json
from convstore.vocabulary.documents import decode_document

_GARBAGE = (50_000, 20, 50)
"""Collect a seventieth as often: rows and documents hold no circles."""


def main() -> None:
    """Answer every message of standard input on standard output."""
    # Ctrl+C reaches the whole group; the export ends its workers by itself.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    incoming = sys.stdin.buffer
    # What a library prints must not be taken for an answer.
    with os.fdopen(os.dup(1), "wb") as outgoing:
        os.dup2(2, 1)
        plan = read_frame(incoming)
        if plan is None:
            return
        told = decode_json(plan)
        formats = pick_formats(told["formats"])
        gatherer = Gatherer(formats, ExportOptions.of(told["options"]))
        gc.freeze()
        gc.set_threshold(*_GARBAGE)
        while (lines := read_frame(incoming)) is not None:
            write_frame(outgoing, _answer(gatherer, lines))


def _answer(gatherer: Gatherer, lines: bytes) -> bytes:
    try:
        counts, rows = gatherer.counted(map(decode_document, lines.split(b"\n")))
        return join_answer(counts, join_packed(rows))
    except Exception as error:  # noqa: BLE001 - told to the export, which raises it
        # By its kind alone: its words may be what people said.
        return FAILED + type(error).__name__.encode()


if __name__ == "__main__":
    main()
