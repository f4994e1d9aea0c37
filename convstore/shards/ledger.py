"""The noun `ledger` over several databases: what is spent lies where it was charged."""

from __future__ import annotations

from collections import Counter
from datetime import date
from typing import Any

from convstore.repositories import ledger
from convstore.shards.merging import by, merged
from convstore.shards.reach import Reach
from convstore.shards.routed import OverReach, routed
from convstore.vocabulary.errors import LimitExceededError
from convstore.vocabulary.records import (
    CostBy,
    CostReport,
    CostRow,
    LedgerEntry,
    LedgerStats,
    Page,
)


@routed("ledger")
class Ledger(OverReach, ledger.Ledger):
    """Ledger entries, each with its session; totals over all shards."""

    async def check_budget(self, session_id: str) -> None:
        """As of one database; a user's and a tenant's budget against all shards' sum.

        Raises:
            ShardUnavailableError: A shard is away, and with it what was spent there.
        """
        await check_budget(
            self._reach, session_id, lambda face: face.ledger.check_budget(session_id)
        )

    async def cost(self, *, user_id: str | None = None) -> int:
        """What was spent in all shards, in millionths of a US dollar."""
        return sum(
            await self._reach.everywhere(lambda face: face.ledger.cost(user_id=user_id))
        )

    async def report(
        self,
        by: CostBy = "day",
        *,
        user_id: str | None = None,
        since: date | None = None,
        until: date | None = None,
        limit: int = 100,
    ) -> CostReport:
        """What was charged in all shards, as of one database.

        Where a shard leaves rows out, so may this, and the sums of models and users
        that it has may be too low: `complete` is False then.
        """
        told = await self._reach.everywhere(
            lambda face: face.ledger.report(
                by, user_id=user_id, since=since, until=until, limit=limit
            )
        )
        sums: Counter[str] = Counter()
        for each in told:
            sums.update({row.name: row.cost_micros for row in each.rows})
        if by == "day":
            found = sorted(sums.items(), reverse=True)
        else:
            found = sorted(sums.items(), key=lambda one: (-one[1], one[0]))
        return CostReport(
            by,
            tuple(CostRow(*one) for one in found[:limit]),
            sum(each.total_micros for each in told),
            all(each.complete for each in told) and len(found) <= limit,
        )

    async def list(
        self, *, limit: int = 100, cursor: str | None = None
    ) -> Page[LedgerEntry]:
        """Entries of all shards by session id."""
        pages = await self._reach.everywhere(
            lambda face: face.ledger.list(limit=limit, cursor=cursor)
        )
        return merged(pages, limit, by("session_id"), (str,))

    async def stats(self, *, limit: int = 100) -> LedgerStats:
        """How many entries there are, and the first of them by session id."""
        told = await self._reach.everywhere(lambda face: face.ledger.stats(limit=limit))
        some = sorted(
            (one for each in told for one in each.sessions), key=lambda e: e.session_id
        )
        return LedgerStats(sum(each.count for each in told), tuple(some[:limit]))

    async def clear(self, session_id: str | None = None) -> int:
        """Forget the entry of a session, or those of all shards; how many."""
        if session_id is not None:
            return await self._reach.on(
                session_id, lambda face: face.ledger.clear(session_id)
            )
        return sum(await self._reach.everywhere(lambda face: face.ledger.clear()))


async def check_budget(reach: Reach, session_id: str, check: Any) -> None:
    """See `Ledger.check_budget`; `check` asks one database's face."""
    policy = reach.scope.ledger
    # What one shard alone has spent beyond a budget is beyond it in all.
    await reach.on(session_id, check)
    limits = (policy.user_budget_micros, policy.tenant_budget_micros)
    if limits == (None, None):
        return
    session = await reach.on(session_id, lambda face: face.sessions.find(session_id))
    owner = None if session is None else session.user_id
    asked = (
        ("user_budget_micros", limits[0], owner),
        ("tenant_budget_micros", limits[1], None),
    )
    for name, allowed, user_id in asked:
        if allowed is None or (name == "user_budget_micros" and user_id is None):
            continue
        spent = sum(
            await reach.everywhere(
                lambda face, u=user_id: face.ledger.cost(user_id=u)  # type: ignore[misc]
            )
        )
        if spent >= allowed:
            raise LimitExceededError(name, allowed, spent)
