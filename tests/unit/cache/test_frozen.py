"""Shared records refuse to change, and otherwise are what they were."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from typing import Any

import pytest

from convstore.cache.frozen import frozen, frozen_value
from convstore.testing.cache_suite import session, turn
from convstore.vocabulary.codec import dumps

VALUE = {"b": [1, {"c": [None, "é"]}], "a": {}}


def test_a_frozen_record_equals_the_one_given() -> None:
    assert frozen(turn(2)) == turn(2)
    assert frozen(session(3)) == session(3)
    assert dumps(frozen(session(3))) == dumps(session(3))


def test_frozen_json_encodes_and_compares_as_plain_json() -> None:
    value = frozen_value(VALUE)

    assert value == VALUE
    assert json.dumps(value) == json.dumps(VALUE)
    assert isinstance(value, dict)
    assert isinstance(value["b"], list)


CHANGES: list[Callable[[Any], object]] = [
    lambda v: v.update(x=1),
    lambda v: v.pop("a"),
    lambda v: v.popitem(),
    lambda v: v.clear(),
    lambda v: v.setdefault("x", 1),
    lambda v: v.__setitem__("a", 1),
    lambda v: v.__delitem__("a"),
    lambda v: v.__ior__({"x": 1}),
    lambda v: v["b"].append(1),
    lambda v: v["b"].extend([1]),
    lambda v: v["b"].insert(0, 1),
    lambda v: v["b"].pop(),
    lambda v: v["b"].remove(1),
    lambda v: v["b"].sort(),
    lambda v: v["b"].reverse(),
    lambda v: v["b"].clear(),
    lambda v: v["b"].__setitem__(0, 2),
    lambda v: v["b"].__delitem__(0),
    lambda v: v["b"].__iadd__([1]),
    lambda v: v["b"].__imul__(2),
    lambda v: v["b"][1]["c"].append(1),
]


@pytest.mark.parametrize("number", range(len(CHANGES)))
def test_no_way_of_changing_it_works(number: int) -> None:
    value = frozen_value(VALUE)

    with pytest.raises(TypeError, match="read-only"):
        CHANGES[number](value)
    assert value == VALUE


def test_copies_are_plain_and_can_be_changed() -> None:
    value = frozen_value(VALUE)
    deep, shallow, dumped = copy.deepcopy(value), copy.copy(value), value.copy()

    deep["b"][1]["c"].append("more")
    shallow["x"] = dumped["x"] = 1

    assert type(deep) is type(shallow) is type(dumped) is dict
    assert value == VALUE
