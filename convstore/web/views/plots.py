"""Counts as bars, each a share of the largest."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Bar:
    """A name, its count, and how long it is drawn, of a hundred."""

    name: str
    count: int
    share: float


def bars(counts: Mapping[str, int]) -> list[Bar]:
    """The counts in their order, as bars; what is not nothing is never invisible."""
    most = max(counts.values(), default=0) or 1
    return [
        Bar(name, count, max(1.0, round(100 * count / most, 1)) if count else 0.0)
        for name, count in counts.items()
    ]
