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
        """Count one row; of many of one split see `RowCounter`."""
        counter = RowCounter()
        counter.add(row)
        self.merge(counter.stats(split))

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


class RowCounter:
    """Counts rows of one split. Most are alike in all that is counted by name: how many
    are alike is one look-up a row, and told apart at the end."""

    def __init__(self) -> None:
        self._alike: Counter[tuple[int, str, int, int, int]] = Counter()
        self._size = self._chars = self._longest = 0

    def add(self, row: Waiting) -> None:
        """Count one row."""
        _, _, rule, flags, chars, tokens, language, data, _ = row
        length, amount = (
            bisect_left(LENGTH_EDGES, chars),
            bisect_left(TOKEN_EDGES, tokens),
        )
        self._alike[rule, language, flags, length, amount] += 1
        self._size += len(data)
        self._chars += chars
        self._longest = max(self._longest, chars)

    def stats(self, split: str) -> Stats:
        """What was counted."""
        stats = Stats(chars=self._chars, longest=self._longest)
        for (rule, language, flags, length, amount), times in self._alike.items():
            stats.rows += times
            stats.rules[rule] += times
            stats.languages[language] += times
            stats.lengths[length] += times
            stats.tokens[amount] += times
            stats.good += times * bool(flags & LABEL_TRUE)
            stats.bad += times * bool(flags & LABEL_FALSE)
            stats.pairs += times * bool(flags & PAIR)
            stats.longer += times * bool(flags & LONGER)
            stats.left += times * bool(flags & LEFT)
            stats.right += times * bool(flags & RIGHT)
        if stats.rows:
            stats.splits[split], stats.sizes[split] = stats.rows, self._size
        return stats
