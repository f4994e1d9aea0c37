"""When heads of before are taken for true, and when not."""

from __future__ import annotations

import pytest

from convstore.db.dialects.base import Stamp
from convstore.db.recent_heads import RecentHeads
from convstore.db.sessions import new_row
from convstore.db.unit import Head

KEY = ("default", "s-1")
BEFORE = Stamp(ended=4, version=2)


@pytest.fixture
def heads() -> RecentHeads:
    """Those of a unit that began at BEFORE."""
    heads = RecentHeads()
    heads.recall(BEFORE, [KEY])
    heads.remember(BEFORE, [(KEY, Head(new_row(KEY, 1)))])
    return heads


def test_heads_are_known_right_behind_the_commit(heads: RecentHeads) -> None:
    assert heads.recall(Stamp(5, 2), [KEY]).keys() == {KEY}


@pytest.mark.parametrize(
    "now",
    [
        pytest.param(Stamp(4, 2), id="not committed yet"),
        pytest.param(Stamp(6, 2), id="rolled back, or another commit between"),
        pytest.param(Stamp(7, 2), id="rolled back, and another commit"),
        pytest.param(Stamp(5, 3), id="committed by somebody else"),
    ],
)
def test_heads_of_another_moment_are_not_known(heads: RecentHeads, now: Stamp) -> None:
    assert heads.recall(now, [KEY]) == {}
    assert heads.recall(BEFORE.after_commit, [KEY]) == {}


def test_heads_of_a_unit_that_failed_are_not_known(heads: RecentHeads) -> None:
    heads.recall(Stamp(5, 2), [KEY])  # and never told how it ended

    assert heads.recall(Stamp(6, 2), [KEY]) == {}
