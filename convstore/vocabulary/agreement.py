"""How far people agree who judged the same things: percent, Cohen, Krippendorff.

Judgements are words, without an order between them. Every measure takes *units*: for
each thing that was judged, who said what.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Iterable, Mapping
from dataclasses import dataclass
from itertools import combinations, permutations

Unit = Mapping[str, Hashable]
"""What each person said of one thing."""


@dataclass(frozen=True, slots=True)
class Agreement:
    """How far people agree; None where nothing was judged by two.

    Attributes:
        units: Things that at least two people judged.
        percent: Share of pairs of judgements of one thing that are equal, 0 to 1.
        alpha: Krippendorff's alpha for words: 1 is perfect, 0 is what chance gives,
            below is worse. None too where nobody ever said anything else.
    """

    units: int
    percent: float | None
    alpha: float | None


def agreement(units: Iterable[Unit]) -> Agreement:
    """Over any number of people, of whom not each judged each thing.

    A thing that many judged counts for more: its every judgement counts once.
    """
    pairs: Counter[tuple[Hashable, Hashable]] = Counter()
    weights: dict[tuple[Hashable, Hashable], float] = {}
    count = 0
    for unit in units:
        said = list(unit.values())
        if len(said) < 2:
            continue
        count += 1
        for pair in permutations(said, 2):
            pairs[pair] += 1
            weights[pair] = weights.get(pair, 0.0) + 1 / (len(said) - 1)
    if not count:
        return Agreement(0, None, None)
    equal = sum(n for (one, other), n in pairs.items() if one == other)
    return Agreement(count, equal / pairs.total(), _alpha(weights))


def _alpha(coincidences: Mapping[tuple[Hashable, Hashable], float]) -> float | None:
    total = sum(coincidences.values())
    by_value: dict[Hashable, float] = {}
    for (one, _), weight in coincidences.items():
        by_value[one] = by_value.get(one, 0.0) + weight
    differ = sum(w for (one, other), w in coincidences.items() if one != other)
    expected = total * total - sum(weight * weight for weight in by_value.values())
    if expected == 0:
        return None
    return 1 - (total - 1) * differ / expected


def cohen(units: Iterable[Unit], one: str, other: str) -> float | None:
    """Cohen's kappa of two people over what both judged.

    None where they judged nothing together, or both always said one and the same.
    """
    said = [(u[one], u[other]) for u in units if one in u and other in u]
    if not said:
        return None
    equal = sum(a == b for a, b in said) / len(said)
    first, second = Counter(a for a, _ in said), Counter(b for _, b in said)
    chance = sum(first[value] * second[value] for value in first) / len(said) ** 2
    return None if chance == 1 else (equal - chance) / (1 - chance)


def kappas(units: Iterable[Unit]) -> dict[tuple[str, str], float | None]:
    """Cohen's kappa of each two people who judged something together, by name."""
    known = list(units)
    together = {pair for unit in known for pair in combinations(sorted(unit), 2)}
    return {pair: cohen(known, *pair) for pair in sorted(together)}
