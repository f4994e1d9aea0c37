"""What every shard says, added up as one report."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields
from typing import Any, TypeVar

T = TypeVar("T")
Rule = Callable[[list[Any]], Any]


def folded(kind: type[T], reports: Sequence[Any], **rules: Rule) -> T:
    """One report of several: numbers are added, lists joined, the first text stands,
    and True is what all of them say. `rules` say otherwise of a field."""
    values = {}
    for name in _names(kind):
        told = [getattr(report, name) for report in reports]
        values[name] = rules.get(name, _fold)(told)
    return kind(**values)


def added(told: Sequence[Mapping[str, int]]) -> dict[str, int]:
    """The numbers of all, by name."""
    total: Counter[str] = Counter()
    for each in told:
        total.update(each)
    return dict(total)


def newest(told: list[Any]) -> Any:
    """The latest time that anybody names."""
    return max((each for each in told if each is not None), default=None)


def oldest(told: list[Any]) -> Any:
    """The earliest time that anybody names."""
    return min((each for each in told if each is not None), default=None)


def first(told: list[Any]) -> Any:
    """What the first one names that names something."""
    return next((each for each in told if each is not None), None)


def _names(kind: Any) -> Sequence[str]:
    own: Sequence[str] = getattr(kind, "__struct_fields__", ())
    return own or [field.name for field in fields(kind) if field.init]


def _fold(told: list[Any]) -> Any:
    kinds = {type(each) for each in told if each is not None}
    if bool in kinds:
        return all(told)
    if kinds and kinds <= {int, float}:
        return sum(told)
    if kinds == {dict}:
        return added(told)
    if kinds and kinds <= {list, tuple}:
        joined = [one for each in told for one in each]
        return joined if list in kinds else tuple(joined)
    return first(told)
