"""The language of a text, where none was stored: the extra `lang` (py3langid)."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from importlib import import_module
from importlib.metadata import version
from typing import Any

from convstore.vocabulary.errors import MissingExtraError

LEAST_CHARS = 20
"""Shorter texts are guesses: they stay without a language."""
_READ_CHARS = 2_000


def language_detector() -> Callable[[str], str]:
    """A function from text to a two-letter code, empty for short texts.

    Raises:
        MissingExtraError: py3langid is not installed.
    """
    try:
        module: Any = import_module("py3langid")
    except ImportError:
        raise MissingExtraError("language detection", "lang") from None

    @lru_cache(maxsize=10_000)
    def detect(text: str) -> str:
        if len(text) < LEAST_CHARS:
            return ""
        return str(module.classify(text[:_READ_CHARS])[0])

    return detect


def detector_version() -> str:
    """Which detector it is, for the manifest."""
    return f"py3langid {version('py3langid')}"
