"""What reads JSON straight into a kind of record, made once for each kind.

msgspec 0.22 and 0.23 look at the fields of a kind when it is first read, and meanwhile
show what they have of it to every other thread: two that begin together end the process
with a segmentation fault. So the first reading of a kind is prepared by one thread.
"""

from __future__ import annotations

from threading import Lock
from typing import Any, TypeVar

from msgspec.json import Decoder

T = TypeVar("T")

_FIRST = Lock()
_MADE: dict[type, Decoder[Any]] = {}


def decoder_of(kind: type[T]) -> Decoder[T]:
    """Reads JSON into values of this kind; the same one in every thread."""
    found = _MADE.get(kind)
    if found is None:
        with _FIRST:
            found = _MADE.get(kind)
            if found is None:
                found = _MADE[kind] = Decoder(kind)
    return found
