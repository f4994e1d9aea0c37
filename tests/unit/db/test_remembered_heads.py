"""What is kept of heads, and how much of it."""

from __future__ import annotations

from typing import Any

import pytest

from convstore.db import remembered_heads
from convstore.db.remembered_heads import RememberedHeads
from convstore.db.sessions import new_row
from convstore.db.unit import Head, Key


def _head(session_id: str, **changes: Any) -> tuple[Key, Head]:
    key = ("default", session_id)
    return key, Head(new_row(key, 1) | changes)


def test_the_newest_are_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(remembered_heads, "MOST", 2)
    heads = RememberedHeads()
    heads.remember(_head(name) for name in "abc")
    heads.remember([_head("b", version=7)])
    heads.remember([_head("d")])

    known = heads.recall([("default", name) for name in "abcd"])

    assert {key[1]: row["version"] for key, row in known.items()} == {"b": 7, "d": 1}


@pytest.mark.parametrize("changes", [{"state": "archived"}, {"metadata": "x" * 5_000}])
def test_what_is_not_worth_it_is_not_remembered(changes: dict[str, Any]) -> None:
    heads = RememberedHeads()
    heads.remember([_head("a")])

    heads.remember([_head("a", **changes)])

    assert heads.recall([("default", "a")]) == {}


def test_what_is_remembered_does_not_change_with_the_head() -> None:
    heads = RememberedHeads()
    key, head = _head("a")
    heads.remember([(key, head)])

    head.touch(99)

    assert heads.recall([key])[key]["version"] == 1
