"""Pairs whose chosen answer is longer, and the others, brought to a stated share.

Length is the best known confounder of preference data: a reward model that sees longer
answers win learns to count. Which pairs go is decided by `row_id`, a hash.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from convstore.export.dataset.statistics import Losses
from convstore.export.example import Dropped
from convstore.export.stages.entries import LONGER, Staying


def balanced(
    rows: Iterable[Staying],
    again: Iterable[Staying],
    share: float,
    losses: Losses,
) -> Iterator[Staying]:
    """The rows without the surplus of one side.

    Args:
        rows: Those that stay so far, in order; read once, for counting.
        again: The same rows, to be given out.
        share: Most of all pairs that either side may be, 0.5 to 1.
        losses: Counts what goes under `length-balance`.
    """
    longer = others = 0
    for _, _, flags, _ in rows:
        if flags & LONGER:
            longer += 1
        else:
            others += 1
    surplus_is_longer = longer > others
    room = int(min(longer, others) * share / (1 - share) + 1e-9)
    for row in again:
        if bool(row[2] & LONGER) == surplus_is_longer:
            if not room:
                losses.add(Dropped("length-balance", fault=False))
                continue
            room -= 1
        yield row
