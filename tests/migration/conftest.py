"""Engines of applications are opened here too: what stays open fails its test."""

from __future__ import annotations

import pytest

from tests.leaks import leaks_told, little_to_walk

__all__ = ["leaks_told", "little_to_walk"]  # Fixtures that pytest finds here.


@pytest.fixture(autouse=True)
def really_migrated(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each file here has all migrations run."""
    from convstore.db import migrate
    from tests import migrated

    monkeypatch.setattr(migrate, "upgrade_on", migrated.upgrade_on)
