"""How far long work is: one type for every job that tells it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TypeAlias


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a job is.

    Attributes:
        phase: What is being done now, as a verb: `archive`, `verify`, `import`, …
        unit: What is counted, in the plural: `sessions`, `rows`, `segments`, …
        done: How many are done.
        total: How many there will be; None where nobody knows yet.
        counts: What else has been counted so far, by name.
    """

    phase: str
    unit: str
    done: int
    total: int | None = None
    counts: Mapping[str, int] = field(default_factory=dict)


OnProgress: TypeAlias = Callable[[Progress], None]
"""Told now and then. Must be quick and must not raise, but to stop the job."""
