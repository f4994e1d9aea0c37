"""What stands still although it should run, told where people look first."""

from __future__ import annotations

from typing import Any

from convstore.web.visit import Visit


async def warnings_of(visit: Visit) -> list[Any]:
    """The findings that are not well: what is wrong, and what to do."""
    return [found for found in await visit.store.health() if not found.ok]
