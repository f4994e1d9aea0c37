"""Exports on engines are run where the engines are: a stage of their own in CI."""

from __future__ import annotations

from tests.frameworks import is_here

_HERE = any(is_here(name) for name in ("pyspark", "ray"))
collect_ignore = [] if _HERE else ["test_pages.py", "test_elsewhere.py"]
