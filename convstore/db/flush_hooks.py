"""The flush hooks that there are; see `flushed` for what one is told and when."""

from __future__ import annotations

from convstore.db.flushed import FlushHook
from convstore.db.labels import LabelHook

HOOKS: tuple[FlushHook, ...] = (LabelHook(),)
"""In the order in which they are asked."""
