"""A ranking of answers as choices between them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from convstore.imports.extras import external_id
from convstore.vocabulary.records import Choice, InteractionInput


def ranking(turns: Sequence[int], number: int = 1) -> Iterator[InteractionInput]:
    """One `rank` interaction for each turn but the worst: it was put before the rest.

    Args:
        turns: The turns by `seq`, best first.
        number: The place of the first interaction in its session.
    """
    for place, seq in enumerate(turns[:-1]):
        yield InteractionInput(
            action="rank",
            choice=Choice(seq, tuple(turns[place + 1 :])),
            metadata={"rank": place, "of": len(turns)},
            external_id=external_id(number + place),
        )
