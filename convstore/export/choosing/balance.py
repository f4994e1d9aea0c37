"""Pairs whose chosen answer is longer, and the others, brought to a stated share.

Length is the best known confounder of preference data: a reward model that sees longer
answers win learns to count. Which pairs go is decided by `row_id`, a hash.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from convstore.export.dataset.statistics import Losses
from convstore.export.example import Dropped
from convstore.export.stages.entries import LONGER, flags_of

Record = tuple[bytes, bytes]


def balanced(
    records: Iterable[Record],
    again: Iterable[Record],
    share: float,
    losses: Losses,
) -> Iterator[Record]:
    """The records without the surplus of one side.

    Args:
        records: Example id and row, in order; read once, for counting.
        again: The same records, to be given out.
        share: Most of all pairs that either side may be, 0.5 to 1.
        losses: Counts what goes under `length-balance`.
    """
    longer = others = 0
    for _, record in records:
        if flags_of(record) & LONGER:
            longer += 1
        else:
            others += 1
    surplus_is_longer = longer > others
    room = int(min(longer, others) * share / (1 - share) + 1e-9)
    for row_id, record in again:
        if bool(flags_of(record) & LONGER) == surplus_is_longer:
            if not room:
                losses.add(Dropped("length-balance", fault=False))
                continue
            room -= 1
        yield row_id, record
