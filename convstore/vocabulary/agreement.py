"""How far people agree who judged the same things: percent, Cohen, Krippendorff.

Judgements are words, without an order between them. Every measure takes *units*: for
each thing that was judged, who said what. What is counted of them can be added up:
units need not be held, and many workers may count.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Iterable, Mapping
from dataclasses import dataclass, field
from itertools import combinations, permutations

from convstore.vocabulary.feedback import is_judgement, offered
from convstore.vocabulary.judgements import Reading
from convstore.vocabulary.records import Interaction, Json, JsonObject

Unit = Mapping[str, str]
"""What each person said of one thing."""
OTHERS = "others"
_MOST_WORDS = 100
_MOST_PAIRS = 2_000
"""Of people: with more, kappa is of those who were seen first."""


@dataclass(frozen=True, slots=True)
class RaterAgreement:
    """How far people agree; None where nothing was judged by two.

    Attributes:
        units: Things that at least two people judged.
        percent: Share of pairs of judgements of one thing that are equal, 0 to 1.
        alpha: Krippendorff's alpha for words: 1 is perfect, 0 is what chance gives,
            below is worse. None too where nobody ever said anything else.
        kappa: Cohen's kappa, the mean over each two people, weighted by what both
            judged. None too where no two ever said anything else.
        pairs: How many twos of people that is of.
    """

    units: int
    percent: float | None
    alpha: float | None
    kappa: float | None = None
    pairs: int = 0


@dataclass(slots=True)
class Coincidences:
    """What is counted of units: who said what together, and how often.

    A thing that many judged counts for more: its every judgement counts once.
    """

    units: int = 0
    words: Counter[tuple[int, str, str]] = field(default_factory=Counter)
    together: dict[tuple[str, str], Counter[tuple[str, str]]] = field(
        default_factory=dict
    )

    def add(self, unit: Unit) -> None:
        """Count what was said of one thing."""
        if len(unit) < 2:
            return
        self.units += 1
        for pair in permutations(unit.values(), 2):
            self.words[len(unit), *pair] += 1
        for one, other in combinations(sorted(unit), 2):
            self._add_pair((one, other), (unit[one], unit[other]), 1)

    def told(self) -> JsonObject:
        """The counts as JSON."""
        return {
            "units": self.units,
            "words": [[*key, n] for key, n in sorted(self.words.items())],
            "together": [
                [*people, *said, n]
                for people, counts in sorted(self.together.items())
                for said, n in sorted(counts.items())
            ],
        }

    def take(self, told: Mapping[str, Json]) -> None:
        """Add counts that were told as JSON."""
        self.units += told["units"]
        for raters, one, other, n in told["words"]:
            self.words[raters, one, other] += n
        for one, other, first, second, n in told["together"]:
            self._add_pair((one, other), (first, second), n)

    def _add_pair(
        self, people: tuple[str, str], said: tuple[str, str], times: int
    ) -> None:
        if people not in self.together and len(self.together) >= _MOST_PAIRS:
            return
        self.together.setdefault(people, Counter())[said] += times

    def agreement(self) -> RaterAgreement:
        """How far they agree, over all that was counted: any number of people, of whom
        not each judged each thing."""
        if not self.units:
            return RaterAgreement(0, None, None)
        weights: dict[tuple[str, str], float] = {}
        equal = 0
        for (raters, one, other), n in sorted(self.words.items()):
            equal += n if one == other else 0
            weight = weights.get((one, other), 0.0)
            weights[one, other] = weight + n / (raters - 1)
        known = [
            (kappa, self.together[people].total())
            for people, kappa in self.kappas().items()
            if kappa is not None
        ]
        weight = sum(n for _, n in known)
        return RaterAgreement(
            self.units,
            equal / self.words.total(),
            _alpha(weights),
            sum(kappa * n for kappa, n in known) / weight if weight else None,
            len(self.together),
        )

    def kappas(self) -> dict[tuple[str, str], float | None]:
        """Cohen's kappa of each two people who judged something together, by name.

        None where both always said one and the same.
        """
        return {
            people: _kappa(counts) for people, counts in sorted(self.together.items())
        }


def counted(units: Iterable[Unit]) -> Coincidences:
    """All that is counted of units."""
    found = Coincidences()
    for unit in units:
        found.add(unit)
    return found


def units_of(standing: Iterable[Interaction], reading: Reading) -> list[dict[str, str]]:
    """What people said of each thing, of acts that stand: what their label means, or
    the label where it means nothing to us; of a choice which of the answers it was.

    Words beyond a hundred are one, `others`: labels may be free text.
    """
    said: dict[Hashable, dict[str, str]] = {}
    words: set[str] = set()
    for act in standing:
        if act.actor_kind != "human" or act.actor_id is None or not is_judgement(act):
            continue
        word = _word(act, reading)
        if word is None:
            continue
        if word not in words and len(words) >= _MOST_WORDS:
            word = OTHERS
        words.add(word)
        between = offered(act.choice)
        place = (act.session_id, act.turn_seq, act.node_id, act.action, between)
        said.setdefault(place, {})[act.actor_id] = word
    return list(said.values())


def _word(act: Interaction, reading: Reading) -> str | None:
    if act.choice is None:
        return reading.meaning(act.feedback) or act.feedback
    if act.choice.chosen is None:
        return "neither"
    # Turns of other sessions have other numbers: the earlier answer, or a later one.
    place = (offered(act.choice) or ()).index(act.choice.chosen)
    return f"answer {place + 1}"


def _alpha(coincidences: Mapping[tuple[str, str], float]) -> float | None:
    total = sum(coincidences.values())
    by_value: dict[str, float] = {}
    for (one, _), weight in coincidences.items():
        by_value[one] = by_value.get(one, 0.0) + weight
    differ = sum(w for (one, other), w in coincidences.items() if one != other)
    expected = total * total - sum(weight * weight for weight in by_value.values())
    if expected <= 0 or len(by_value) < 2:
        return None
    return 1 - (total - 1) * differ / expected


def _kappa(said: Counter[tuple[str, str]]) -> float | None:
    total = said.total()
    equal = sum(n for (one, other), n in said.items() if one == other) / total
    first, second = Counter[str](), Counter[str]()
    for (one, other), n in said.items():
        first[one] += n
        second[other] += n
    chance = sum(n * second[word] for word, n in first.items()) / total**2
    return None if chance == 1 else (equal - chance) / (1 - chance)
