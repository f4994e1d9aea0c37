"""How far raters agree, on examples that others have worked out."""

from __future__ import annotations

import pytest

from convstore.vocabulary.agreement import (
    RaterAgreement,
    agreement,
    cohen,
    counted,
    kappas,
)
from convstore.vocabulary.codec import decode_json, dumps

# Krippendorff, "Computing Krippendorff's Alpha-Reliability" (2011), section C:
# four observers, twelve units, values missing; the nominal alpha is 0.743.
OBSERVED = {
    "a": (1, 2, 3, 3, 2, 1, 4, 1, 2, None, None, None),
    "b": (1, 2, 3, 3, 2, 2, 4, 1, 2, 5, None, 3),
    "c": (None, 3, 3, 3, 2, 3, 4, 2, 2, 5, 1, None),
    "d": (1, 2, 3, 3, 2, 4, 4, 1, 2, 5, 1, None),
}


def units(said: dict[str, tuple[object, ...]]) -> list[dict[str, object]]:
    count = len(next(iter(said.values())))
    return [
        {who: row[n] for who, row in said.items() if row[n] is not None}
        for n in range(count)
    ]


def test_alpha_is_that_of_its_author() -> None:
    found = agreement(units(OBSERVED))  # type: ignore[arg-type]

    assert found.units == 11
    assert found.alpha == pytest.approx(0.743, abs=5e-4)


def test_kappa_is_that_of_the_textbook() -> None:
    # Fifty proposals: both yes 20, both no 15, only one 5, only the other 10.
    cells = (("y", "y", 20), ("y", "n", 5), ("n", "y", 10), ("n", "n", 15))
    said = [{"a": one, "b": other} for one, other, n in cells for _ in range(n)]

    assert cohen(said, "a", "b") == pytest.approx(0.4)
    assert kappas(said) == {("a", "b"): pytest.approx(0.4)}
    assert agreement(said).percent == pytest.approx(0.7)
    assert agreement(said).kappa == pytest.approx(0.4)


def test_what_was_counted_apart_adds_up() -> None:
    said = units(OBSERVED)
    whole, parts = counted(said), counted(said[:5])

    parts.take(decode_json(dumps(counted(said[5:]).told())))

    assert parts == whole
    assert parts.agreement() == whole.agreement()


def test_what_cannot_be_told_is_none() -> None:
    assert agreement([]) == RaterAgreement(0, None, None)
    assert agreement([{"a": 1}]) == RaterAgreement(0, None, None)
    assert agreement([{"a": 1, "b": 1}]) == RaterAgreement(1, 1.0, None, pairs=1)
    assert cohen([{"a": 1}], "a", "b") is None
    assert cohen([{"a": 1, "b": 1}], "a", "b") is None


def test_who_differs_always_is_worse_than_chance() -> None:
    found = agreement([{"a": 1, "b": 2}, {"a": 2, "b": 1}])

    assert found.percent == 0
    assert found.alpha is not None
    assert found.alpha < 0
