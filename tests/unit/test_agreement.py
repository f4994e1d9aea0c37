"""How far raters agree, on examples that others have worked out."""

from __future__ import annotations

import pytest

from convstore.vocabulary.agreement import RaterAgreement, counted
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
    found = counted(units(OBSERVED)).agreement()  # type: ignore[arg-type]

    assert found.units == 11
    assert found.alpha == pytest.approx(0.743, abs=5e-4)


def test_kappa_is_that_of_the_textbook() -> None:
    # Fifty proposals: both yes 20, both no 15, only one 5, only the other 10.
    cells = (("y", "y", 20), ("y", "n", 5), ("n", "y", 10), ("n", "n", 15))
    said = [{"a": one, "b": other} for one, other, n in cells for _ in range(n)]

    assert counted(said).kappas() == {("a", "b"): pytest.approx(0.4)}
    assert counted(said).agreement().percent == pytest.approx(0.7)
    assert counted(said).agreement().kappa == pytest.approx(0.4)


def test_what_was_counted_apart_adds_up() -> None:
    said = units(OBSERVED)
    whole, parts = counted(said), counted(said[:5])

    parts.take(decode_json(dumps(counted(said[5:]).told())))

    assert parts == whole
    assert parts.agreement() == whole.agreement()


def test_what_cannot_be_told_is_none() -> None:
    assert counted([]).agreement() == RaterAgreement(0, None, None)
    assert counted([{"a": 1}]).agreement() == RaterAgreement(0, None, None)
    assert counted([{"a": 1, "b": 1}]).agreement() == RaterAgreement(
        1, 1.0, None, pairs=1
    )
    assert counted([{"a": 1}]).kappas() == {}
    assert counted([{"a": 1, "b": 1}]).kappas() == {("a", "b"): None}


def test_who_differs_always_is_worse_than_chance() -> None:
    found = counted([{"a": 1, "b": 2}, {"a": 2, "b": 1}]).agreement()

    assert found.percent == 0
    assert found.alpha is not None
    assert found.alpha < 0
