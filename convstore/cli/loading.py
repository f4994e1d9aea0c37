"""Parts of a command are loaded without looking for garbage among them."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Event

_alone = Event()


def be_the_program() -> None:
    """Say that this process is a command and nothing else."""
    _alone.set()


@contextmanager
def loading() -> Iterator[None]:
    """While modules are imported and a store is opened: nearly all that is made then
    stays, and going through it again and again is a fifth of a command's start.

    In a program that is a command and nothing else it is set aside for good: the next
    look for garbage would go through all of it after all.
    """
    collects = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if _alone.is_set():
            gc.freeze()
        if collects:
            gc.enable()
