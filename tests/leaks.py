"""What a test leaves open is told by that test, not by a later one."""

from __future__ import annotations

import gc
from collections.abc import Iterator

import pytest


def pytest_collection_finish() -> None:
    """Let garbage be looked for in what tests make, and not in the tests themselves.

    Ten thousand of them, and the libraries that they import, are objects by the million
    that stay to the end. To walk them takes longer than most tests do, and happens
    after each that looks for leaks.
    """
    set_aside()


def set_aside() -> None:
    """What there is now stays: it is walked no more."""
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="module", autouse=True)
def little_to_walk() -> None:
    """What other modules have left for good is not walked after each test here."""
    set_aside()


@pytest.fixture(autouse=True)
def leaks_told() -> Iterator[None]:
    """Collect garbage after the test: what was left open warns, and fails it here."""
    yield
    gc.collect()
