"""The noun `ledger`: which model serves a session, how it escalates, what it costs."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from datetime import date, timedelta

from convstore.db import ledger as rows
from convstore.db.engine import Connection
from convstore.repositories.cursors import check_limit, decode_cursor, encode_cursor
from convstore.repositories.ledger_changes import (
    Use,
    adding,
    changing,
    expiry,
    is_expired,
)
from convstore.repositories.scope import Scope
from convstore.vocabulary.clock import to_micros
from convstore.vocabulary.errors import (
    InvalidInputError,
    LedgerEntryNotFoundError,
    LegalHoldError,
    LimitExceededError,
)
from convstore.vocabulary.ids import check_id, check_optional_id
from convstore.vocabulary.policy import LedgerPolicy
from convstore.vocabulary.records import (
    CostBy,
    CostReport,
    CostRow,
    LedgerEntry,
    LedgerStats,
    LedgerSummary,
    Page,
    Session,
)


class Ledger:
    """Ledger entries of the scope's sessions; each change is atomic and durable."""

    def __init__(self, scope: Scope) -> None:
        self._scope = scope

    async def get(self, session_id: str) -> LedgerEntry:
        """The entry of a session.

        Raises:
            LedgerEntryNotFoundError: There is none, or it has expired.
        """
        entry = await self.find(session_id)
        if entry is None:
            raise LedgerEntryNotFoundError(session_id)
        return entry

    async def find(self, session_id: str) -> LedgerEntry | None:
        """As `get`, with None where there is none. An expired entry is none."""
        entry = await self._stored(session_id)
        return None if entry is None or is_expired(self._scope, entry) else entry

    async def pin(
        self,
        session_id: str,
        *,
        model: str,
        tier: str | None = None,
        user_explicit: bool = False,
    ) -> LedgerEntry:
        """Bind a session to a model and tier.

        A pin that the user chose (`user_explicit`) stays for the session's life: later
        pins that are not the user's leave it as it is, and give back what is pinned.
        Expired, it reads as absent, and the next use of the entry brings it back.
        """
        check_id("model", model)
        check_optional_id("tier", tier)

        def use(entry: LedgerEntry) -> LedgerEntry:
            if entry.user_explicit and not user_explicit:
                return entry
            return replace(entry, model=model, tier=tier, user_explicit=user_explicit)

        return await self._use(session_id, use)

    async def touch(self, session_id: str) -> LedgerEntry:
        """Extend the timeout and count a request."""
        return await self._use(
            session_id, lambda e: replace(e, request_count=e.request_count + 1)
        )

    async def escalate(self, session_id: str) -> LedgerEntry:
        """One tier up; the top stays, and so does what the user chose."""
        return await self._use(session_id, self._up)

    async def record_request(self, session_id: str, content_hash: str) -> int:
        """Count a request; how many in a row were repeats of the one before.

        At `max_strikes` the session escalates and the count begins again; that call
        still returns the number reached.
        """
        check_id("content_hash", content_hash)
        policy, reached = self._policy, 0

        def use(entry: LedgerEntry) -> LedgerEntry:
            nonlocal reached
            repeated = entry.recent_hashes[-1:] == (content_hash,)
            reached = entry.strikes + 1 if repeated else 0
            recent = (*entry.recent_hashes, content_hash)[-policy.window :]
            entry = replace(
                entry,
                recent_hashes=recent,
                strikes=reached,
                request_count=entry.request_count + 1,
            )
            if reached < policy.max_strikes:
                return entry
            return replace(self._up(entry), strikes=0)

        await self._use(session_id, use)
        return reached

    async def add_cost(self, session_id: str, *, micros: int) -> LedgerEntry:
        """Add millionths of a US dollar; exact under any concurrency.

        What was spent is always counted: ask `check_budget` before spending.

        Raises:
            InvalidInputError: More than a thousand million dollars at once: what no
                model costs must not bring a sum beyond 64 bits.
        """
        changed = await self._scope.write(
            adding(self._scope, session_id, "micros", micros)
        )
        assert changed is not None
        return changed

    async def check_budget(self, session_id: str) -> None:
        """Refuse when the session, its user or the tenant has used up a budget.

        Asks nothing of the database where no budget is set.

        Raises:
            LimitExceededError: Names the budget, and both figures.
        """
        policy, tenant = self._policy, self._scope.tenant
        key = self._scope.key(check_id("session_id", session_id))
        limits = (
            policy.session_budget_micros,
            policy.user_budget_micros,
            policy.tenant_budget_micros,
        )
        if limits == (None, None, None):
            return

        def of_session(
            connection: Connection, session: Session
        ) -> tuple[LedgerEntry | None, str | None]:
            return rows.find(connection, key), session.user_id

        # The session may lie in the archive; the totals never do.
        entry, owner = await self._scope.live(
            session_id, of_session, is_nothing=lambda found: found[0] is None
        )

        def totals(connection: Connection) -> list[tuple[str, int, int]]:
            spent: list[tuple[str, int, int]] = []
            # Only what has a limit is read: a tenant's total is a sum over its users.
            if (allowed := policy.session_budget_micros) is not None:
                cost = 0 if entry is None else entry.cost_micros
                spent.append(("session_budget_micros", allowed, cost))
            if owner and (allowed := policy.user_budget_micros) is not None:
                cost = rows.total_cost(connection, tenant, owner)
                spent.append(("user_budget_micros", allowed, cost))
            if (allowed := policy.tenant_budget_micros) is not None:
                cost = rows.total_cost(connection, tenant, None)
                spent.append(("tenant_budget_micros", allowed, cost))
            return spent

        spent = await self._scope.runner.read(totals)
        for name, allowed, cost in spent:
            if cost >= allowed:
                raise LimitExceededError(name, allowed, cost)

    async def cost(self, *, user_id: str | None = None) -> int:
        """Micros that a user's sessions, or all of the tenant's, have cost so far.

        Sessions that were archived or deleted since are counted.
        """
        check_optional_id("user_id", user_id)
        return await self._scope.runner.read(
            lambda c: rows.total_cost(c, self._scope.tenant, user_id)
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
        """What was charged in this tenant, added up by day, by model or by user.

        A cost is counted on the day in UTC on which it was charged, for who owned the
        session then and for the turn's model, or the pinned one. It stays when the
        session goes; of a user who is erased the sum stays, without the name. Totals
        that came in with an import or from the archive alone are of no day: they are
        in `cost`, and not here.

        Args:
            user_id: Of this user alone.
            since: Only from this day on, in UTC.
            until: Only before this day.
            limit: As for every list: more rows are left out, and that is said.

        Raises:
            InvalidInputError: Any of these is none of its kind.
        """
        if by not in ("day", "model", "user"):
            raise InvalidInputError("by", "must be day, model or user")
        check_optional_id("user_id", user_id)
        check_limit(self._scope.limits, limit)
        days = _day("since", since), _day("until", until)
        found, total = await self._scope.runner.read(
            lambda c: rows.charged(
                c,
                self._scope.tenant,
                by,
                user_id=user_id,
                since=days[0],
                until=days[1],
                limit=limit + 1,
            )
        )
        told = tuple(CostRow(name, micros) for name, micros in found[:limit])
        return CostReport(by, told, total, len(found) <= limit)

    async def set_cache_sticky(self, session_id: str, provider: str) -> LedgerEntry:
        """Note that the provider's prefix cache is warm for this session now."""
        check_id("provider", provider)
        ttls = self._policy.cache_ttl_s
        ttl_s = ttls.get(provider, ttls.get("default", 0.0))
        until = self._scope.clock.now() + timedelta(seconds=ttl_s)
        return await self._use(
            session_id,
            lambda e: replace(e, cache_provider=provider, cache_sticky_until=until),
        )

    async def is_cache_sticky(self, session_id: str) -> bool:
        """Whether switching the model would throw a warm prefix cache away."""
        entry = await self.find(session_id)
        until = None if entry is None else entry.cache_sticky_until
        return until is not None and self._scope.clock.now() < until

    async def list(
        self, *, limit: int = 100, cursor: str | None = None
    ) -> Page[LedgerEntry]:
        """Entries that have not expired, by session id, a page at a time."""
        check_limit(self._scope.limits, limit)
        after = "" if cursor is None else decode_cursor(cursor, str)[0]
        since = to_micros(expiry(self._scope))
        found = await self._scope.runner.read(
            lambda c: rows.page(
                c, self._scope.tenant, after=after, used_since=since, limit=limit + 1
            )
        )
        more = len(found) > limit
        return Page(
            tuple(found[:limit]),
            encode_cursor(found[limit - 1].session_id) if more else None,
        )

    async def stats(self, *, limit: int = 100) -> LedgerStats:
        """How many entries have not expired, and the first `limit` by session id.

        `age_s` counts seconds from an entry's first use. Counting walks the tenant's
        entries.
        """
        page = await self.list(limit=limit)
        since, now = to_micros(expiry(self._scope)), self._scope.clock.now()
        count = len(page.items)
        if page.next_cursor is not None:
            count = await self._scope.runner.read(
                lambda c: rows.count(c, self._scope.tenant, since)
            )
        return LedgerStats(
            count,
            tuple(
                LedgerSummary(
                    e.session_id, e.model, (now - e.created_at).total_seconds()
                )
                for e in page.items
            ),
        )

    async def clear(self, session_id: str | None = None) -> int:
        """Forget the entry of a session, or of every session; how many there were.

        What was spent stays in the totals. Of every session: entries of those under
        legal hold stay, and are not counted.

        Raises:
            LegalHoldError: The session is under legal hold, and has an entry.
        """
        if session_id is not None:
            return int(await self._clear(check_id("session_id", session_id)))
        cleared, after = 0, ""
        while True:
            keys = await self._scope.runner.read(
                lambda c, a=after: rows.keys_of(c, self._scope.tenant, a, 500)  # type: ignore[misc]
            )
            for _, each in keys:
                with suppress(LegalHoldError):
                    cleared += await self._clear(each)
            if not keys:
                return cleared
            after = keys[-1][1]

    async def _clear(self, session_id: str) -> bool:
        if await self._stored(session_id) is None:
            return False
        await self._scope.write(
            rows.ChangeLedger(
                self._scope.key(session_id),
                lambda _: None,
                self._scope.now(),
                activity=False,
                user_id=self._scope.user_id,
            )
        )
        return True

    async def _use(self, session_id: str, use: Use) -> LedgerEntry:
        changed = await self._scope.write(changing(self._scope, session_id, use))
        assert changed is not None
        return changed

    async def _stored(self, session_id: str) -> LedgerEntry | None:
        key = self._scope.key(check_id("session_id", session_id))

        return await self._scope.live(session_id, lambda c, _: rows.find(c, key))

    def _up(self, entry: LedgerEntry) -> LedgerEntry:
        tiers = self._policy.tiers
        if entry.user_explicit or not tiers:
            return entry
        if entry.tier not in tiers:
            return replace(entry, tier=tiers[0])
        return replace(
            entry, tier=tiers[min(tiers.index(entry.tier) + 1, len(tiers) - 1)]
        )

    @property
    def _policy(self) -> LedgerPolicy:
        return self._scope.ledger


def _day(name: str, day: date | None) -> str | None:
    if day is None:
        return None
    if type(day) is not date:
        raise InvalidInputError(name, "must be a date")
    return day.isoformat()
