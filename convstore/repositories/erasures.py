"""The noun `erasures`: the receipts of what was destroyed on request."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import Any

from convstore.db import erasures as rows
from convstore.repositories.cursors import check_limit, keyed_page
from convstore.repositories.scope import Scope
from convstore.vocabulary.clock import from_micros
from convstore.vocabulary.errors import ErasureNotFoundError
from convstore.vocabulary.ids import check_id
from convstore.vocabulary.records import Page
from convstore.vocabulary.reports import ErasureReceipt


class Erasures:
    """Receipts of the tenant's erasures. None holds anything of what was said."""

    def __init__(self, scope: Scope) -> None:
        self._scope = scope

    async def get(self, erasure_id: str) -> ErasureReceipt:
        """One receipt. Of an erasure that has not ended yet `done_at` is None, and the
        counts are those of so far.

        Raises:
            ErasureNotFoundError: The tenant has none with this id.
        """
        check_id("erasure_id", erasure_id)
        found = await self._scope.runner.read(
            lambda c: rows.find(c, self._scope.tenant, erasure_id)
        )
        if found is None:
            raise ErasureNotFoundError(erasure_id)
        return receipt_of(found)

    async def list(
        self, *, limit: int = 100, cursor: str | None = None
    ) -> Page[ErasureReceipt]:
        """Receipts, the newest erasure first.

        Args:
            cursor: `next_cursor` of the page before, or `previous_cursor` of the one
                behind.
        """
        check_limit(self._scope.limits, limit)

        async def read(
            place: tuple[str] | None, back: bool, most: int
        ) -> list[ErasureReceipt]:
            at = None if place is None else place[0]
            found = await self._scope.runner.read(
                lambda c: rows.of_tenant(
                    c, self._scope.tenant, place=at, limit=most, back=back
                )
            )
            return [receipt_of(erasure) for erasure in found]

        return await keyed_page(cursor, (str,), limit, read, lambda r: (r.erasure_id,))


def receipt_of(erasure: rows.StoredErasure) -> ErasureReceipt:
    """The receipt as it was given, or as far as the erasure has come."""
    return receipt_from(
        erasure.receipt,
        erasure_id=erasure.erasure_id,
        tenant_id=erasure.tenant_id,
        subject=erasure.subject,
        requested_at=from_micros(erasure.requested_at),
        done_at=erasure.done_at,
        session_ids=erasure.session_ids,
    )


def receipt_from(
    told: Mapping[str, Any], *, done_at: int | None, **known: Any
) -> ErasureReceipt:
    """A receipt of what was kept of it as JSON, and what is known besides."""
    kept = {
        name: tuple(value) if isinstance(value, list) else value
        for name, value in told.items()
    }
    nothing = {"rows_deleted": {}, "segments_rewritten": (), "shards_rewritten": 0}
    at = None if done_at is None else from_micros(done_at)
    whole: dict[str, Any] = {**nothing, **kept, **known, "done_at": at}
    # One of a newer release may tell more than this one knows of.
    names = {field.name for field in fields(ErasureReceipt)}
    return ErasureReceipt(**{name: whole[name] for name in whole.keys() & names})
