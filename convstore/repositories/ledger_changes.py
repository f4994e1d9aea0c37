"""Changes of a ledger entry: what every use of one does, and the adding of a cost."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta

from convstore.db.ledger import ChangeLedger
from convstore.repositories.scope import Scope
from convstore.vocabulary.codec import check_int
from convstore.vocabulary.errors import InvalidInputError
from convstore.vocabulary.ids import check_id
from convstore.vocabulary.records import LedgerEntry

Use = Callable[[LedgerEntry], LedgerEntry]

_MAX_COST_MICROS = 10**15


def adding(
    scope: Scope, session_id: str, name: str, micros: int, model: str | None = None
) -> ChangeLedger:
    """Add a cost, which the caller gave as `name`, of a model; else of the pinned one.

    Raises:
        InvalidInputError: No number of micros, or more than a model can cost.
    """
    check_int(name, micros)
    if micros > _MAX_COST_MICROS:
        raise InvalidInputError(name, f"at most {_MAX_COST_MICROS} at once")
    return changing(
        scope,
        session_id,
        lambda e: replace(e, cost_micros=e.cost_micros + micros),
        cost_micros=micros,
        model=model,
    )


def changing(
    scope: Scope,
    session_id: str,
    use: Use,
    *,
    cost_micros: int = 0,
    model: str | None = None,
) -> ChangeLedger:
    """Change an entry, made new when there is none, and extend its timeout."""
    now = scope.clock.now()

    def change(stored: LedgerEntry | None) -> LedgerEntry:
        entry = _fresh(session_id, now)
        if stored is not None:
            entry = stored
            if is_expired(scope, stored):
                entry = _renewed(stored, now)
        return replace(use(entry), last_used_at=max(entry.last_used_at, now))

    return ChangeLedger(
        scope.key(check_id("session_id", session_id)),
        change,
        scope.now(),
        cost_micros,
        model,
        user_id=scope.user_id,
    )


def is_expired(scope: Scope, entry: LedgerEntry) -> bool:
    """Whether an entry reads as absent now."""
    return entry.last_used_at < expiry(scope)


def expiry(scope: Scope) -> datetime:
    """What was last used before this has expired."""
    return scope.clock.now() - timedelta(seconds=scope.ledger.timeout_s)


def _renewed(expired: LedgerEntry, now: datetime) -> LedgerEntry:
    """A fresh entry with what does not expire: the money, and the user's choice."""
    entry = replace(_fresh(expired.session_id, now), cost_micros=expired.cost_micros)
    if not expired.user_explicit:
        return entry
    return replace(entry, model=expired.model, tier=expired.tier, user_explicit=True)


def _fresh(session_id: str, now: datetime) -> LedgerEntry:
    return LedgerEntry(
        session_id=session_id,
        model=None,
        tier=None,
        user_explicit=False,
        request_count=0,
        strikes=0,
        recent_hashes=(),
        cost_micros=0,
        cache_provider=None,
        cache_sticky_until=None,
        created_at=now,
        last_used_at=now,
    )
