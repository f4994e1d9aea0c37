"""Engines of applications are opened here too: what stays open fails its test."""

from __future__ import annotations

from tests.leaks import leaks_told

__all__ = ["leaks_told"]  # A fixture that pytest finds here.
