"""The noun `users`: whose sessions a tenant has."""

from __future__ import annotations

from convstore.db import overviews
from convstore.repositories.cursors import (
    check_limit,
    decode_cursor,
    encode_cursor,
    keyed_page,
)
from convstore.repositories.scope import Scope
from convstore.vocabulary.clock import from_micros
from convstore.vocabulary.overviews import TenantSummary, UserSummary
from convstore.vocabulary.records import Page


class Users:
    """Users of the tenant: everybody who owns a live or archived session."""

    def __init__(self, scope: Scope) -> None:
        self._scope = scope

    async def list(
        self, *, limit: int = 100, cursor: str | None = None
    ) -> Page[UserSummary]:
        """Users by id, a page at a time; reads as many sessions as these have.

        Args:
            cursor: `next_cursor` of the page before, or `previous_cursor` of the one
                behind.
        """
        check_limit(self._scope.limits, limit)

        async def read(
            place: tuple[str] | None, back: bool, most: int
        ) -> list[UserSummary]:
            after = "" if place is None else place[0]
            found = await self._scope.runner.read(
                lambda c: overviews.users(c, self._scope.tenant, after, most, back=back)
            )
            return [
                UserSummary(user_id, count, from_micros(at))
                for user_id, count, at in found
            ]

        return await keyed_page(cursor, (str,), limit, read, lambda u: (u.user_id,))


async def tenants(scope: Scope, limit: int, cursor: str | None) -> Page[TenantSummary]:
    """Every tenant by id, a page at a time."""
    check_limit(scope.limits, limit)
    after = "" if cursor is None else decode_cursor(cursor, str)[0]
    found = await scope.runner.read(
        lambda c: overviews.tenants(c, after, limit + 1), snapshot=True
    )
    items = tuple(
        TenantSummary(name, counts, None if at is None else from_micros(at))
        for name, counts, at in found[:limit]
    )
    more = len(found) > limit
    return Page(items, encode_cursor(items[-1].tenant_id) if more else None)
