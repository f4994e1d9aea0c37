"""Which objects of ours have to be wrapped, because they must be awaited."""

from __future__ import annotations

import inspect
from functools import cache
from typing import Any


def is_asynchronous(value: object) -> bool:
    """Whether an object of ours has verbs that must be waited for, or nouns that do."""
    kind: Any = type(value)
    if not kind.__module__.startswith("convstore."):
        return False
    nouns = [v for k, v in getattr(value, "__dict__", {}).items() if k[0] != "_"]
    return _has_verbs(kind) or any(map(is_asynchronous, nouns))


@cache
def _has_verbs(kind: type) -> bool:
    return any(
        inspect.iscoroutinefunction(verb) or inspect.isasyncgenfunction(verb)
        for name, verb in inspect.getmembers(kind)
        if not name.startswith("_")
    )
