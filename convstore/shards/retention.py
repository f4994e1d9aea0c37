"""Retention over several databases: a run of each, one after the other."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import Any

from convstore.shards.erasing import take_up
from convstore.shards.reach import Reach
from convstore.shards.reports import folded
from convstore.vocabulary.errors import ConvstoreError, ShardUnavailableError
from convstore.vocabulary.reports import RetentionReport
from convstore.vocabulary.sharding import HOME


async def run_retention(
    reach: Reach,
    *,
    max_batches: int | None = None,
    time_budget_s: float | None = None,
    dry_run: bool = False,
    **given: Any,
) -> RetentionReport:
    """See `Store.run_retention`: the bounds are of all shards together.

    Raises:
        ShardUnavailableError: All of them are away.
    """
    began = time.monotonic()
    told: list[RetentionReport] = []
    away: list[ConvstoreError] = []
    waiting = None if dry_run else await _erasures(reach)
    finished = True
    for number in range(len(reach.shards)):
        left_s = None
        if time_budget_s is not None:
            left_s = max(0.0, time_budget_s - (time.monotonic() - began))
        left = max_batches
        if max_batches is not None:
            left = max_batches - sum(len(each.segments) for each in told)
        if (left is not None and left <= 0) or (left_s == 0.0 and bool(told)):
            finished = False
            break
        try:
            told.append(
                await reach.at(
                    number,
                    lambda face, left=left, left_s=left_s: face.run_retention(  # type: ignore[misc]
                        max_batches=left,
                        time_budget_s=left_s,
                        dry_run=dry_run,
                        **given,
                    ),
                )
            )
        except ShardUnavailableError as error:
            away.append(error)
    if not told:
        raise away[0]
    return _one(told, finished, [*away, *([waiting] if waiting else [])])


async def _erasures(reach: Reach) -> ConvstoreError | None:
    """Go on with what waits, at home and everywhere; what is in the way, if something
    is: it must not keep the shards from being archived."""
    try:
        await reach.at(HOME, lambda face: face.archive.recover())
        await take_up(reach)
    except ConvstoreError as error:
        return error
    return None


def _one(
    told: list[RetentionReport], finished: bool, problems: list[ConvstoreError]
) -> RetentionReport:
    report = folded(
        RetentionReport,
        told,
        skipped=lambda each: each[0] if all(each) else None,
        halted=lambda each: "; ".join(dict.fromkeys(filter(None, each))) or None,
        dry_run=any,
        finished=lambda each: finished and all(each),
    )
    if not problems:
        return report
    said = "; ".join(f"{error.code}: {error}" for error in problems)
    halted = f"{report.halted}; {said}" if report.halted else said
    return replace(report, halted=halted, finished=False)
