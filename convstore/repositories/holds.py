"""The noun `holds`: legal holds, which block every path that destroys."""

from __future__ import annotations

from typing import TypeAlias

from convstore.db import holds as rows
from convstore.repositories.cursors import check_limit, decode_cursor, encode_cursor
from convstore.repositories.scope import Scope
from convstore.vocabulary.codec import check_int, check_text
from convstore.vocabulary.ids import check_id, check_optional_id
from convstore.vocabulary.records import LegalHold, Page

_MAX_REASON_BYTES = 4096

# Named here because inside the class `list` is the verb.
HoldList: TypeAlias = list[LegalHold]


class Holds:
    """Legal holds on the tenant's sessions."""

    def __init__(self, scope: Scope) -> None:
        self._scope = scope

    async def place(
        self, session_id: str, *, reason: str, actor_id: str | None = None
    ) -> LegalHold:
        """Put a session under hold, live, archived or deleted.

        Until every hold is released nothing of it is purged, deleted, erased or
        expired. Holds add up: each call is one of its own.
        """
        return await self._scope.runner.write(
            rows.PlaceHold(
                self._scope.key(check_id("session_id", session_id)),
                check_text("reason", reason, _MAX_REASON_BYTES),
                check_optional_id("actor_id", actor_id),
                self._scope.now(),
            )
        )

    async def release(
        self, session_id: str, *, number: int | None = None, actor_id: str | None = None
    ) -> HoldList:
        """End hold `number` of a session, or all that are in force; kept as history.

        Raises:
            HoldNotFoundError: No such hold is in force.
        """
        return await self._scope.runner.write(
            rows.ReleaseHold(
                self._scope.key(check_id("session_id", session_id)),
                None if number is None else check_int("number", number),
                check_optional_id("actor_id", actor_id),
                self._scope.now(),
            )
        )

    async def list(
        self,
        session_id: str | None = None,
        *,
        in_force: bool = False,
        limit: int = 100,
        cursor: str | None = None,
    ) -> Page[LegalHold]:
        """Holds of one session, or of the tenant by session, released ones included."""
        check_limit(self._scope.limits, limit)
        if session_id is not None:
            key = self._scope.key(check_id("session_id", session_id))
            holds = await self._scope.runner.read(lambda c: rows.of_session(c, key))
            return Page(
                tuple(h for h in holds if not in_force or h.released_at is None), None
            )
        after = ("", 0)
        if cursor is not None:
            last_id, number = decode_cursor(cursor, str, int)
            after = last_id, number
        found = await self._scope.runner.read(
            lambda connection: rows.of_tenant(
                connection,
                self._scope.tenant,
                after=after,
                limit=limit + 1,
                in_force=in_force,
            )
        )
        items = tuple(found[:limit])
        if len(found) <= limit:
            return Page(items, None)
        return Page(items, encode_cursor(items[-1].session_id, items[-1].number))
