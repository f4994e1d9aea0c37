"""Limits: every one bounds something, and every one is explained."""

from dataclasses import fields

import pytest

from convstore import Limits, StoreConfig


def test_every_limit_says_what_it_bounds() -> None:
    assert Limits.__doc__ is not None
    for field in fields(Limits):
        assert f"\n        {field.name}: " in Limits.__doc__


@pytest.mark.parametrize("field", fields(Limits), ids=lambda field: field.name)
def test_every_limit_is_positive_and_can_be_set(field: object) -> None:
    name = field.name  # type: ignore[attr-defined]

    assert getattr(Limits(), name) > 0
    config = StoreConfig(limits={name: 7})  # type: ignore[arg-type]
    assert getattr(config.limits, name) == 7
