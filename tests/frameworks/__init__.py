"""Tests of adapters, and of frameworks on them."""

from __future__ import annotations

from importlib.util import find_spec


def is_here(package: str) -> bool:
    """Whether it can be imported; to look for one in another imports that."""
    try:
        return find_spec(package) is not None
    except ImportError:
        return False
