"""A list is cut into its items wherever the pieces of the source happen to end."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from convstore.errors import LimitExceededError
from convstore.imports.items import Item, ends_list, split_items

LEAF = st.none() | st.booleans() | st.integers() | st.text('a"\\[]{},: \n', max_size=9)
VALUE = st.recursive(
    LEAF,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.text('k"]', max_size=2), inner, max_size=3)
    ),
    max_leaves=8,
)


@given(st.lists(VALUE, max_size=5), st.integers(1, 9), st.sampled_from([None, 1]))
def test_any_list_comes_apart_into_its_items(
    values: list[object], step: int, indent: int | None
) -> None:
    data = json.dumps(values, indent=indent).encode()[1:]
    pieces = (data[at : at + step] for at in range(0, len(data), step))

    found = list(split_items(pieces, 10_000))

    assert [json.loads(item.data or b"") for item in found] == values
    assert all(item.whole for item in found)
    assert ends_list(data)


@given(st.binary(max_size=60), st.integers(1, 9))
def test_any_bytes_are_cut_without_losing_one(data: bytes, step: int) -> None:
    pieces = (data[at : at + step] for at in range(0, len(data), step))

    found = list(split_items(pieces, 10_000))

    assert sum(item.size_bytes for item in found) <= len(data)


def test_an_item_that_is_too_long_is_told_and_passed_over() -> None:
    data = json.dumps([1, ["x"] * 100, 2]).encode()[1:]

    for cut in range(len(data)):
        found = list(split_items(iter([data[:cut], data[cut:]]), 20))

        assert found == [Item(b"1", 1), Item(None, 501), Item(b" 2", 2)], cut


def test_brackets_in_a_string_are_passed_over_wherever_it_is_cut() -> None:
    values = [["a, [b] \\", '"]{,', "\\\\"], "], [", 'c"\\"]', [{"]}": "{["}]]
    data = json.dumps(values).encode()[1:]

    for cut in range(len(data)):
        found = list(split_items(iter([data[:cut], data[cut:]]), 100))

        assert [json.loads(item.data or b"") for item in found] == values, cut


def test_a_text_without_an_end_is_refused_before_it_fills_memory() -> None:
    pieces = iter([b'"' + b"x" * 100] + [b"x" * 100] * 5)

    with pytest.raises(LimitExceededError, match="max_line_bytes"):
        list(split_items(pieces, 200))
