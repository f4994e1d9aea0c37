"""What an export counts: rows, losses by reason, and biases that a card must tell."""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from dataclasses import dataclass, field, fields
from typing import Any

from convstore.export.example import Dropped
from convstore.export.stages.entries import (
    LABEL_FALSE,
    LABEL_TRUE,
    LEFT,
    LONGER,
    PAIR,
    RIGHT,
    Waiting,
)
from convstore.vocabulary.agreement import Coincidences
from convstore.vocabulary.records import JsonObject

LENGTH_EDGES = (100, 400, 1_000, 2_000, 4_000, 8_000, 16_000, 32_000, 64_000)
"""Upper edges of the length classes, in characters."""

TOKEN_EDGES = (1_000, 2_000, 4_000, 8_000)


OTHERS = "others"
_MOST_NAMES = 200
"""Of labels: each may be another word, and people read the list."""


@dataclass(slots=True)
class Losses:
    """How often each reason kept something out.

    `faults` are wrong with the data; `choices` are filters, caps, duplicates and rules
    that rightly make no row.
    """

    faults: Counter[str] = field(default_factory=Counter)
    choices: Counter[str] = field(default_factory=Counter)

    def add(self, dropped: Dropped, times: int = 1) -> None:
        """Count one loss."""
        (self.faults if dropped.fault else self.choices)[dropped.reason] += times

    def table(self) -> dict[str, int]:
        """All reasons by name, in alphabetical order."""
        return dict(sorted((self.faults + self.choices).items()))


@dataclass(slots=True)
class Tally:
    """What was counted for one format while documents went by."""

    rows: int = 0
    losses: Losses = field(default_factory=Losses)
    redactions: Counter[str] = field(default_factory=Counter)
    pictured: int = 0
    unclear: Counter[str] = field(default_factory=Counter)
    agreement: Coincidences = field(default_factory=Coincidences)

    def note_unclear(self, name: str, times: int = 1) -> None:
        """Count feedback that says nothing to the rules; names beyond many as one."""
        known = name in self.unclear or len(self.unclear) < _MOST_NAMES
        self.unclear[name if known else OTHERS] += times

    def told(self) -> JsonObject:
        """The counts as JSON."""
        losses = self.losses
        return {
            "rows": self.rows,
            "faults": losses.faults,
            "choices": losses.choices,
            "redactions": self.redactions,
            "pictured": self.pictured,
            "unclear": self.unclear,
            "agreement": self.agreement.told(),
        }

    def take(self, told: JsonObject) -> None:
        """Add counts that were told as JSON."""
        self.rows += told["rows"]
        self.losses.faults.update(told["faults"])
        self.losses.choices.update(told["choices"])
        self.redactions.update(told["redactions"])
        self.pictured += told["pictured"]
        for name, times in told["unclear"].items():
            self.note_unclear(name, times)
        if "agreement" in told:  # not in the marks of an earlier release
            self.agreement.take(told["agreement"])

    def clear(self) -> None:
        """Count from nothing again; who holds the losses keeps them."""
        self.rows = self.pictured = 0
        losses = self.losses
        for counts in (losses.faults, losses.choices, self.redactions, self.unclear):
            counts.clear()
        self.agreement = Coincidences()


@dataclass(slots=True)
class Stats:
    """Counts over the rows that were written."""

    rows: int = 0
    splits: Counter[str] = field(default_factory=Counter)
    sizes: Counter[str] = field(default_factory=Counter)
    rules: Counter[int] = field(default_factory=Counter)
    languages: Counter[str] = field(default_factory=Counter)
    lengths: Counter[int] = field(default_factory=Counter)
    tokens: Counter[int] = field(default_factory=Counter)
    chars: int = 0
    longest: int = 0
    good: int = 0
    bad: int = 0
    pairs: int = 0
    longer: int = 0
    left: int = 0
    right: int = 0

    def add(self, row: Waiting, split: str) -> None:
        """Count one row."""
        self.rows += 1
        self.splits[split] += 1
        self.sizes[split] += len(row.data)
        self.rules[row.rule] += 1
        self.languages[row.language] += 1
        self.lengths[bisect_left(LENGTH_EDGES, row.chars)] += 1
        self.chars += row.chars
        self.longest = max(self.longest, row.chars)
        self.tokens[bisect_left(TOKEN_EDGES, row.tokens)] += 1
        flags = row.flags
        if not flags:
            return
        self.good += bool(flags & LABEL_TRUE)
        self.bad += bool(flags & LABEL_FALSE)
        self.pairs += bool(flags & PAIR)
        self.longer += bool(flags & LONGER)
        self.left += bool(flags & LEFT)
        self.right += bool(flags & RIGHT)

    def merge(self, other: Stats) -> None:
        """Add what was counted over other rows."""
        for each in fields(self):
            mine, theirs = getattr(self, each.name), getattr(other, each.name)
            if isinstance(mine, Counter):
                mine.update(theirs)
            else:
                both = max(mine, theirs) if each.name == "longest" else mine + theirs
                setattr(self, each.name, both)

    def told(self) -> JsonObject:
        """The counts as JSON."""
        values = {each.name: getattr(self, each.name) for each in fields(self)}
        return {
            name: list(value.items()) if isinstance(value, Counter) else value
            for name, value in values.items()
        }

    @classmethod
    def of(cls, told: JsonObject) -> Stats:
        """The counts that were `told`."""
        read: dict[str, Any] = {
            name: Counter(dict(value)) if isinstance(value, list) else value
            for name, value in told.items()
        }
        return cls(**read)

    def over_tokens(self, limit: int) -> int:
        """Rows over 1,000, 2,000, 4,000 or 8,000 tokens, counted or estimated.

        Of a pair the longer side counts, which is what trainers compare with a bound.
        """
        edge = TOKEN_EDGES.index(limit)
        return sum(n for i, n in self.tokens.items() if i > edge)
