"""Which cases of a test are slow, where it is a matter of the case.

A test that is told by one of its cases, and takes long in each, runs with that case
every time and with the others where `slow` tests run.
"""

from __future__ import annotations

from collections.abc import Iterable
from fnmatch import fnmatchcase

import pytest


def mark_slow(items: Iterable[pytest.Item]) -> None:
    """Mark the cases that `mostly_slow` does not name as `slow`."""
    for item in items:
        if any(not _named(item, mark) for mark in item.iter_markers("mostly_slow")):
            item.add_marker("slow")


def check_cases(items: Iterable[pytest.Item]) -> None:
    """Refuse a `mostly_slow` that names a case which is not there: renamed, it would
    leave every run. `items` are all cases of a function.

    Raises:
        UsageError: Names the test and the case.
    """
    items = list(items)
    marks = (mark for item in items for mark in item.iter_markers("mostly_slow"))
    for name in dict.fromkeys(name for mark in marks for name in mark.args):
        if not any(fnmatchcase(_case(item), name) for item in items):
            told = f"{items[0].nodeid.partition('[')[0]}: no case is called {name}"
            raise pytest.UsageError(f"{told}, which mostly_slow names")


def _named(item: pytest.Item, mark: pytest.Mark) -> bool:
    """Whether the mark names this case: by its id, in which `*` is anything."""
    return any(fnmatchcase(_case(item), name) for name in mark.args)


def _case(item: pytest.Item) -> str:
    return item.name.removesuffix("]").partition("[")[2]
