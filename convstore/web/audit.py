"""Who looked at whose words, and who did what: told before the answer goes out."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TypeAlias

from convstore.vocabulary.codec import dumps


@dataclass(frozen=True, slots=True)
class Event:
    """One request of somebody who got in. Nothing of what was said is in it.

    Attributes:
        at: When it was answered.
        actor_id: Who.
        tenant_id: Whose conversations.
        act: `GET /conversation`, `POST /erase` and so on.
        session_ids: Whose words the answer shows, or what was acted upon.
        user_id: The user that it is about, where it names one.
        problem: The code of the error, where nothing was shown or done.
    """

    at: datetime
    actor_id: str
    tenant_id: str
    act: str
    session_ids: tuple[str, ...]
    user_id: str | None = None
    problem: str | None = None


Audit: TypeAlias = Callable[[Event], "Awaitable[None] | None"]
"""Is told each event. What it raises ends the request: nothing is shown unnoted."""


class AuditFile:
    """An `audit` for `app`: a line of JSON for each event, at the end of a file.

    Args:
        path: Of the file, which only its owner reads; made where there is none.
    """

    def __init__(self, path: Path) -> None:
        self._path = path

    async def __call__(self, event: Event) -> None:
        """Note it; it is on the disk when this returns."""
        told = {name: getattr(event, name) for name in Event.__slots__}
        await asyncio.to_thread(self._append, dumps(told) + b"\n")

    def _append(self, line: bytes) -> None:
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT
        descriptor = os.open(self._path, flags, 0o600)
        try:
            # In one write, so that lines of several processes do not mix.
            if os.write(descriptor, line) != len(line):
                raise OSError(28, "the audit file takes no more")
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
