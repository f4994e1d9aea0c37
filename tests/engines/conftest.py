"""Exports on engines are run where the engines are: a stage of their own in CI."""

from __future__ import annotations

from tests.frameworks import is_here

collect_ignore = [] if is_here("pyspark") or is_here("ray") else ["test_pages.py"]
