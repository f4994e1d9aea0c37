"""Feeds the plan from the database: candidates in pages, decisions in flat memory."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Callable
from typing import Any

from convstore.archive.context import Context
from convstore.db import session_counts, staleness
from convstore.db.engine import Connection
from convstore.db.unit import Key
from convstore.retention.plan import (
    Decision,
    SessionSummary,
    archive_cutoff,
    cap_quota,
    decide,
    oldest_cutoff,
)
from convstore.vocabulary.clock import from_micros, to_micros
from convstore.vocabulary.codec import decode_json

PAGE = 1_000
"""Candidates of one query."""

IN_ORDER = 20_000
"""Candidates of one quarter hour that are put in order by their exact activity."""

_START = (-1, "", "")
Row = dict[str, Any]
Page = Callable[[Connection, tuple[int, str, str]], list[Row]]


class Planner:
    """Decides about candidates as they are read; keeps no list of them."""

    def __init__(self, context: Context) -> None:
        self._context = context

    async def decisions(
        self, older_than_s: float | None, tenant: str | None
    ) -> AsyncIterator[Decision]:
        """Every candidate once: those past their own expiry, then by age, then by cap,
        then archives that are due."""
        async for decision in self._live(older_than_s, tenant):
            yield decision
        context = self._context
        now = context.clock.now()
        cutoff = archive_cutoff(context.policy, now, tenant_id=tenant)
        if cutoff is not None:
            async for rows in self._archived(to_micros(cutoff), tenant):
                for row in rows:
                    yield decide(context.policy, now, _summary(row))

    async def batches(
        self,
        older_than_s: float | None,
        tenant: str | None,
        size: int,
        reasons: Counter[str],
    ) -> AsyncIterator[tuple[str, list[Decision]]]:
        """What is to be archived, in batches of one tenant each."""
        gathered: dict[str, list[Decision]] = defaultdict(list)
        async for decision in self._live(older_than_s, tenant):
            reasons[decision.reason] += 1
            if decision.action != "archive":
                continue
            owner = decision.session.tenant_id
            gathered[owner].append(decision)
            if len(gathered[owner]) >= size:
                yield owner, gathered.pop(owner)
            elif sum(map(len, gathered.values())) >= 4 * size:
                # Many small tenants: the fullest goes, so that memory stays bounded.
                fullest = max(gathered, key=lambda name: len(gathered[name]))
                yield fullest, gathered.pop(fullest)
        for owner, left in gathered.items():
            yield owner, left

    async def expired_archives(
        self, cutoff: int, tenant: str | None, reasons: Counter[str] | None = None
    ) -> AsyncIterator[dict[Key, int]]:
        """Archived sessions whose archive is due, with their versions, in pages."""
        context = self._context
        now = context.clock.now()
        async for rows in self._archived(cutoff, tenant):
            decisions = [decide(context.policy, now, _summary(row)) for row in rows]
            if reasons is not None:
                reasons.update(decision.reason for decision in decisions)
            due = {
                (session.tenant_id, session.session_id): session.version
                for session in (
                    decision.session
                    for decision in decisions
                    if decision.action == "expire_archive"
                )
            }
            if due:
                yield due

    async def _live(
        self, older_than_s: float | None, tenant: str | None
    ) -> AsyncIterator[Decision]:
        context = self._context
        now, policy = context.clock.now(), context.policy
        micros = to_micros(now)
        gone: Counter[str] = Counter()
        # Counted before the first batch goes: the cap is of one moment.
        counts = (
            {}
            if policy.max_sessions is None
            else await context.read(session_counts.live)
        )
        expiring: Page = lambda c, after: staleness.expired(  # noqa: E731
            c, now=micros, after=after, limit=PAGE
        )
        async for row in self._pages(expiring, "expires_at"):
            if tenant in (None, row["tenant_id"]):
                decision = decide(policy, now, _summary(row), older_than_s=older_than_s)
                gone[row["tenant_id"]] += decision.action == "archive"
                yield decision
        cutoff = to_micros(
            oldest_cutoff(policy, now, tenant_id=tenant, older_than_s=older_than_s)
        )
        aging: Page = lambda c, after: staleness.candidates(  # noqa: E731
            c,
            # By a clock that ran ahead some were active after now: all are by now.
            cutoff=None if cutoff >= micros else cutoff,
            after=after,
            limit=PAGE,
            tenant=tenant,
        )
        async for row in _by_activity(self._pages(aging, "activity_bucket")):
            if _past_expiry(row, micros):
                continue  # decided above
            decision = decide(policy, now, _summary(row), older_than_s=older_than_s)
            gone[row["tenant_id"]] += decision.action == "archive"
            yield decision
        async for decision in self._over_cap(cutoff, counts, gone, tenant):
            yield decision

    async def _over_cap(
        self,
        cutoff: int,
        counts: dict[str, int],
        gone: Counter[str],
        tenant: str | None,
    ) -> AsyncIterator[Decision]:
        context = self._context
        now, policy = context.clock.now(), context.policy
        for owner, count in counts.items():
            left = cap_quota(policy, count) - gone[owner]
            if left <= 0 or tenant not in (None, owner):
                continue
            younger: Page = lambda c, after, o=owner: staleness.candidates(  # type: ignore[misc] # noqa: E731
                c, cutoff=None, after=after, limit=PAGE, tenant=o, younger_than=cutoff
            )
            # From the front, where old ones lie that were imported of late.
            pages = self._pages(younger, "activity_bucket")
            async for row in _by_activity(pages):
                if left <= 0:
                    break
                if _past_expiry(row, to_micros(now)):
                    continue  # decided before
                decision = decide(policy, now, _summary(row), over_cap=True)
                left -= decision.action == "archive"
                yield decision

    async def _pages(
        self, page: Page, position: str, start: tuple[int, str, str] = _START
    ) -> AsyncIterator[Row]:
        after = start
        while True:
            rows = await self._context.read(lambda c, a=after: page(c, a))  # type: ignore[misc]
            for row in rows:
                yield row
            if len(rows) < PAGE:
                return
            last = rows[-1]
            after = (last[position], last["tenant_id"], last["session_id"])

    async def _archived(
        self, cutoff: int, tenant: str | None
    ) -> AsyncIterator[list[Row]]:
        after = _START
        while True:
            rows = await self._context.read(
                lambda c, a=after: staleness.archived_before(  # type: ignore[misc]
                    c, cutoff=cutoff, after=a, limit=PAGE
                )
            )
            wanted = [row for row in rows if tenant in (None, row["tenant_id"])]
            if wanted:
                yield wanted
            if len(rows) < PAGE:
                return
            last = rows[-1]
            after = (last["archived_at"], last["tenant_id"], last["session_id"])


async def _by_activity(rows: AsyncIterator[Row]) -> AsyncIterator[Row]:
    """Rows that come by bucket of activity, by its exact time; of a bucket that holds
    very many, a part at a time."""
    bucket: list[Row] = []
    async for row in rows:
        other = bucket and row["activity_bucket"] != bucket[0]["activity_bucket"]
        if other or len(bucket) == IN_ORDER:
            for each in sorted(bucket, key=_activity):
                yield each
            bucket = []
        bucket.append(row)
    for each in sorted(bucket, key=_activity):
        yield each


def _used(row: Row) -> int:
    """When the session was last of use: active, or imported if that is later."""
    active: int = row["last_activity_at"]
    return max(active, row["imported_at"] or 0)


def _activity(row: Row) -> tuple[int, str, str]:
    return row["last_activity_at"], row["tenant_id"], row["session_id"]


def _past_expiry(row: Row, now: int) -> bool:
    return row["expires_at"] is not None and row["expires_at"] <= now


def _summary(row: Row) -> SessionSummary:
    return SessionSummary(
        tenant_id=row["tenant_id"],
        session_id=row["session_id"],
        version=row["version"],
        last_activity_at=from_micros(_used(row)),
        expires_at=row["expires_at"] and from_micros(row["expires_at"]),
        tags=() if row["tags"] == "[]" else tuple(decode_json(row["tags"])),
        hold_count=row["hold_count"],
        state=row["state"],
        archived_at=row["archived_at"] and from_micros(row["archived_at"]),
        turn_count=row["turn_count"],
    )
