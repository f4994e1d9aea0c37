"""What a test leaves open is told by that test, not by a later one."""

from __future__ import annotations

import gc
from collections.abc import Iterator

import pytest


@pytest.fixture(autouse=True)
def leaks_told() -> Iterator[None]:
    """Collect garbage after the test: what was left open warns, and fails it here."""
    yield
    gc.collect()
