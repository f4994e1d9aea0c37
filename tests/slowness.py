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


def _named(item: pytest.Item, mark: pytest.Mark) -> bool:
    """Whether the mark names this case: by its id, in which `*` is anything."""
    _, _, case = item.name.removesuffix("]").partition("[")
    return any(fnmatchcase(case, name) for name in mark.args)
