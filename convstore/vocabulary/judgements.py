"""What the judgements among the acts upon a session say: good or bad, and how much."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from functools import lru_cache
from math import isfinite
from operator import attrgetter
from typing import Protocol

from convstore.vocabulary.errors import InvalidInputError
from convstore.vocabulary.feedback import RATING_ACTIONS
from convstore.vocabulary.policy import FeedbackPolicy
from convstore.vocabulary.record import names_of
from convstore.vocabulary.records import (
    Interaction,
    Json,
    Judgement,
    Meaning,
)

Scale = tuple[float, float]

_act = attrgetter(*names_of(Interaction))

# Between letters they only part words; before a number, or alone, they mean something.
_PARTING = re.compile(r"(?<=[^\W_])[\s_-]+(?=[^\W_])")
# The tone of a hand, and the wish for a coloured or a plain picture.
_DRESS = re.compile("[\U0001f3fb-\U0001f3ff\ufe0e\ufe0f]")


class Judging(Protocol):
    """As much of an act as says what its judgement means."""

    @property
    def action(self) -> str: ...
    @property
    def surface(self) -> str | None: ...
    @property
    def feedback(self) -> str | None: ...
    @property
    def score(self) -> float | None: ...
    @property
    def metadata(self) -> Mapping[str, Json]: ...


class Reading:
    """Reads labels and scores as a policy says.

    Raises:
        InvalidInputError: A scale is none, or a word has two meanings; names it.
    """

    def __init__(self, policy: FeedbackPolicy) -> None:
        self._words: dict[str, Meaning] = {}
        self._note("positive", "good", policy.positive)
        self._note("negative", "bad", policy.negative)
        self._note("neutral", "neutral", policy.neutral)
        self._scale = _scale_of("scale", policy.scale)
        self._scales = {
            name: _scale_of(f"scales.{name}", scale)
            for name, scale in policy.scales.items()
        }

    def _note(self, field: str, meaning: Meaning, words: Iterable[str]) -> None:
        for word in words:
            if self._words.setdefault(_plain(word), meaning) != meaning:
                raise InvalidInputError(field, f"{word!a} has another meaning, too")

    def meaning(self, label: str | None) -> Meaning | None:
        """What a label says; None for an unknown one, and for none."""
        if label is None:
            return None
        return self._words.get(_plain(label))

    def scale(self, act: Judging) -> Scale | None:
        """The scale of an act's score; None where the act names one that is none."""
        if "scale" in act.metadata:
            return _pair(act.metadata["scale"])
        scales = self._scales
        found = None if act.surface is None else scales.get(act.surface)
        return found or scales.get(act.action) or self._scale

    def rating(self, act: Judging) -> float | None:
        """The score, brought to 0 to 1; None where there is none on its scale."""
        scale = None if act.score is None else self.scale(act)
        if scale is None or act.score is None:
            return None
        low, high = scale
        rating = (act.score - low) / (high - low)
        return rating if 0 <= rating <= 1 else None

    def judgement(self, act: Interaction) -> Judgement:
        """An act with what it says."""
        return Judgement(*(*_act(act), self.meaning(act.feedback), self.rating(act)))

    def not_understood(self, act: Judging) -> list[str]:
        """What of a rating says nothing to us, by name; empty where all is clear.

        Other acts have words of their own: only what is given as a rating is named.
        """
        if act.action not in RATING_ACTIONS:
            return []
        names = []
        if act.feedback is not None and self.meaning(act.feedback) is None:
            names.append(f"label {act.feedback}")
        if act.score is not None and self.rating(act) is None:
            scale = self.scale(act)
            names.append(
                "score on a malformed scale"
                if scale is None
                else f"score outside {scale[0]:g}..{scale[1]:g}"
            )
        return names


@lru_cache(maxsize=1_024)  # few words, asked for with each act
def _plain(word: str) -> str:
    return _PARTING.sub("", _DRESS.sub("", word.strip())).casefold()


def _pair(value: Json) -> Scale | None:
    if not isinstance(value, list | tuple) or len(value) != 2:
        return None
    if not all(type(end) in (int, float) for end in value) or value[0] == value[1]:
        return None
    return float(value[0]), float(value[1])


def _scale_of(field: str, value: Json) -> Scale:
    scale = _pair(value)
    if scale is None or not all(map(isfinite, scale)):
        raise InvalidInputError(field, "must be two different numbers, worst and best")
    return scale
