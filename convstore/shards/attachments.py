"""The noun `attachments` over several databases: put in the home's, and brought to the
shard of the session that names it."""

from __future__ import annotations

from collections.abc import Collection

from convstore.repositories import attachments
from convstore.shards.reach import Reach
from convstore.shards.routed import OverReach, routed
from convstore.vocabulary.attachments import Attachment


@routed("attachments")
class Attachments(OverReach, attachments.Attachments):
    """Attachments: where they were put, and with the sessions that name them.

    The one in the home database goes a day after it was put; those beside sessions are
    of these.
    """

    def __init__(self, reach: Reach) -> None:
        super().__init__(reach)
        self._scope = reach.scope

    async def _kept(self, names: Collection[str]) -> dict[str, Attachment]:
        return await self._reach.attachments(names)
