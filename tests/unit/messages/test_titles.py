"""Titles: one line of 35 characters that never ends within what people see as one."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from convstore.messages.titles import TITLE_CHARS, cut_at, title_of

FLAG = "\U0001f1f3\U0001f1f1"
FAMILY = "\U0001f468\u200d\U0001f469\u200d\U0001f467"
SCOTLAND = "\U0001f3f4\U000e0067\U000e0062\U000e0073\U000e0063\U000e0074\U000e007f"
SEEN_AS_ONE = [
    "x",
    FLAG,
    FAMILY,
    SCOTLAND,
    "e\u0301",
    "\U0001f44d\U0001f3fd",
    "\u2764\ufe0f",
    "\u1112\u1161\u11ab",
    "\u0915\u094d\u0937\u093f",
    "1\ufe0f\u20e3",
]


@pytest.mark.parametrize("seen", SEEN_AS_ONE)
def test_a_title_is_cut_between_what_people_see(seen: str) -> None:
    for before in range(8):
        title = title_of("x" * before + seen * 40)

        assert title is not None
        assert title.endswith("…")
        told = title.removesuffix("…")[before:]
        assert told == seen * (len(told) // len(seen))
        assert TITLE_CHARS - len(seen) < before + len(told) <= TITLE_CHARS


@given(st.lists(st.sampled_from(SEEN_AS_ONE), min_size=36, max_size=60))
def test_a_title_of_any_of_them_is_some_of_the_first(seen: list[str]) -> None:
    # A flag beside a flag is two flags, but marks would join what comes before.
    title = title_of("".join(seen))

    assert title is not None
    beginnings = {"".join(seen[:n]) + "…" for n in range(1, len(seen))}
    assert title in beginnings


def test_one_character_with_a_crowd_of_marks_is_not_cut() -> None:
    crowd = "Z" + "\u0301" * 60

    assert title_of(crowd + " and more") == crowd + "…"


def test_a_title_that_a_record_gives_is_cut_likewise() -> None:
    assert cut_at("ab" + FLAG, 3) == "ab"
    assert cut_at("abc", 5) == "abc"
    assert cut_at("Z" + "\u0301" * 9, 3) == "Z\u0301\u0301"


@given(st.text())
def test_no_text_makes_an_empty_or_long_title(said: str) -> None:
    title = title_of(said)

    assert title is None or (title.strip() and "\n" not in title)
