"""Retention: what it would do now and why, holds in force, receipts of erasures."""

from __future__ import annotations

from collections import Counter
from contextlib import aclosing
from typing import Any

from convstore.web.text import duration
from convstore.web.views.warning import warnings_of
from convstore.web.visit import View, Visit

LIMIT = 50
RUNS = 5
"""Newest runs that are shown; the page of the archive has more."""
_MOST_PLANNED = 1_000
_WORDS = {
    "idle": "idle for as long as the policy allows",
    "own_expiry": "past their own expiry",
    "over_cap": "the oldest of a tenant over its cap",
    "archive_expired": "archived for as long as archives are kept",
    "held": "under legal hold",
    "never": "kept live by a rule for their tenant",
    "kept_by_tag": "kept live by a rule for a tag",
    "fresh": "used not long ago",
    "archive_kept": "archived, and not due",
    "gone": "deleted or erased",
}


async def show(visit: Visit) -> View:
    """The page."""
    told, complete = await _plan(visit)
    policy = visit.store.config.retention
    holds = await visit.store.holds.list(in_force=True, limit=LIMIT)
    receipts = await visit.store.erasures.list(
        limit=LIMIT, cursor=visit.query.get("receipts")
    )
    runs = await visit.store.archive.runs(limit=RUNS)
    warnings = await warnings_of(visit)
    shown: dict[str, Any] = {
        "warnings": warnings,
        "plan": told,
        "complete": complete,
        "stale_after": duration(policy.stale_after_s),
        "policy": policy,
        "holds": holds,
        "receipts": receipts,
        "ways": {
            name: at and visit.url("/retention", receipts=at) + "#receipts"
            for name, at in (
                ("back", receipts.previous_cursor),
                ("more", receipts.next_cursor),
            )
        },
        "runs": runs.items,
        "last": runs.items[0] if runs.items else None,
    }
    json = {
        "warnings": warnings,
        "plan": told,
        "complete": complete,
        "holds": holds.items,
        "runs": runs.items,
        "receipts": receipts.items,
        "next_cursor": receipts.next_cursor,
        "previous_cursor": receipts.previous_cursor,
    }
    return View("retention.html", "Retention", shown, json, "/retention")


async def _plan(visit: Visit) -> tuple[list[dict[str, Any]], bool]:
    """What a run would do now, by reason, and whether that is all."""
    reasons: Counter[tuple[str, str]] = Counter()
    complete = True
    plan = visit.store.archive.plan(tenant_id=visit.store.tenant)
    async with aclosing(plan) as decisions:  # type: ignore[type-var]
        async for decision in decisions:
            if reasons.total() == _MOST_PLANNED:
                complete = False
                break
            reasons[decision.action, decision.reason] += 1
    told = [
        {
            "action": action,
            "reason": reason,
            "count": count,
            "words": _WORDS.get(reason, reason),
        }
        for (action, reason), count in reasons.most_common()
    ]
    return told, complete


async def receipt(visit: Visit) -> View:
    """One receipt, whole: what was destroyed, where, and what is still to come."""
    found = await visit.store.erasures.get(visit.needed("id"))
    shown: dict[str, Any] = {
        "receipt": found,
        "counts": {
            "Found": found.found,
            "Rows deleted, by table": found.rows_deleted,
            "In sessions of others, under another name": found.renamed,
        },
        "places": {
            "Segments written anew": found.segments_rewritten,
            "Segments that wait": found.segments_waiting,
            "Segments without a file": found.segments_missing,
            "Segments with a damaged frame": found.segments_damaged,
            "Segments that could not be looked through": found.segments_unread,
            "Bytes may lie, until they are written over, in": found.residue,
        },
    }
    json = {"receipt": found}
    return View("receipt.html", "Receipt of an erasure", shown, json, "/retention")
