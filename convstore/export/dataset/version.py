"""Which exporter wrote a row."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version


def _installed() -> str:
    try:
        return version("convstore")
    except PackageNotFoundError:
        return "0"


EXPORTER = _installed()
