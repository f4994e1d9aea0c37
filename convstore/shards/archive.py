"""The noun `archive` over several databases: each has an archive of its own."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from os import PathLike
from pathlib import Path
from typing import Any

from convstore.archive.inspection import Agreement
from convstore.archive.ownership import Kind
from convstore.repositories import archive
from convstore.retention.plan import Decision
from convstore.shards.erasing import take_up
from convstore.shards.merging import by, by_time, merged
from convstore.shards.reports import folded
from convstore.shards.routed import OverReach, routed
from convstore.vocabulary.errors import SegmentNotFoundError
from convstore.vocabulary.overviews import ArchiveSegment, RetentionRun
from convstore.vocabulary.records import Page
from convstore.vocabulary.reports import (
    AdoptionReport,
    ArchivedSession,
    CompactionReport,
    RebuildReport,
    RecoveryReport,
    TablesReport,
    VerifyReport,
)
from convstore.vocabulary.sharding import HOME


@routed("archive")
class Archive(OverReach, archive.Archive):
    """The archives of all shards."""

    async def list(
        self, *, limit: int = 100, cursor: str | None = None, **given: Any
    ) -> Page[ArchivedSession]:
        """Archived sessions of all shards by id."""
        pages = await self._reach.everywhere(
            lambda face: face.archive.list(limit=limit, cursor=cursor, **given)
        )
        return merged(pages, limit, by("session_id"), (str,))

    async def segments(
        self, *, limit: int = 100, cursor: str | None = None
    ) -> Page[ArchiveSegment]:
        """The files of all archives, the newest first."""
        pages = await self._reach.everywhere(
            lambda face: face.archive.segments(limit=limit, cursor=cursor)
        )
        key = by_time("created_at", "segment_id")
        return merged(pages, limit, key, (int, str), newest_first=True)

    async def runs(
        self, *, limit: int = 100, cursor: str | None = None
    ) -> Page[RetentionRun]:
        """What retention did in all shards, the newest run first."""
        pages = await self._reach.everywhere(
            lambda face: face.archive.runs(limit=limit, cursor=cursor)
        )
        return merged(pages, limit, by("run_id"), (str,), newest_first=True)

    async def count_segments(self) -> int:
        """Segments of all archives."""
        return sum(
            await self._reach.everywhere(lambda face: face.archive.count_segments())
        )

    async def plan(self, **given: Any) -> AsyncIterator[Decision]:
        """What a run of retention would do, shard by shard."""
        for shard in self._reach.shards:
            with shard.named:
                face = await shard.face(self._reach.tenant)
                async for decision in face.archive.plan(**given):
                    yield decision

    async def verify(
        self, segment_id: str | None = None, *, most: int | None = None, **given: Any
    ) -> VerifyReport:
        """Read segments of all archives back; with `segment_id` the one that has it."""
        told: list[VerifyReport] = []
        absent: SegmentNotFoundError | None = None
        for number in range(len(self._reach.shards)):
            left = None if most is None else most - sum(each.segments for each in told)
            if left is not None and left <= 0:
                break
            try:
                told.append(
                    await self._reach.at(
                        number,
                        lambda face, left=left: face.archive.verify(  # type: ignore[misc]
                            segment_id, most=left, **given
                        ),
                    )
                )
            except SegmentNotFoundError as error:
                absent = error
        if not told and absent is not None:
            raise absent
        return folded(VerifyReport, told or [VerifyReport(0, 0, 0, (), ())])

    async def agreement(self) -> Agreement:
        """Where files and ledgers differ, of all archives."""
        return folded(
            Agreement,
            await self._reach.everywhere(lambda face: face.archive.agreement()),
            standing=_standing,
            problem=lambda told: "; ".join(filter(None, told)),
        )

    async def recover(self, *, alone: bool = False) -> RecoveryReport:
        """Finish or remove what a crash left behind, in every database, and go on with
        erasures of users."""
        reach = self._reach
        home = await reach.at(HOME, lambda face: face.archive.recover(alone=alone))
        told = await reach.everywhere(lambda face: face.archive.recover(alone=alone))
        finished = RecoveryReport(erasures_finished=await take_up(reach))
        return folded(RecoveryReport, [home, *told, finished])

    async def adopt(self, *, dry_run: bool = False) -> AdoptionReport:
        """Go on, in every shard, with the archive that is there."""
        return folded(
            AdoptionReport,
            await self._reach.everywhere(
                lambda face: face.archive.adopt(dry_run=dry_run)
            ),
        )

    async def compact(
        self, *, time_budget_s: float | None = None, **given: Any
    ) -> CompactionReport:
        """Join small segments, archive by archive; the budget is of all together."""
        began, told = time.monotonic(), list[CompactionReport]()
        for number in range(len(self._reach.shards)):
            left_s = None
            if time_budget_s is not None:
                left_s = max(0.0, time_budget_s - (time.monotonic() - began))
            told.append(
                await self._reach.at(
                    number,
                    lambda face, left_s=left_s: face.archive.compact(  # type: ignore[misc]
                        time_budget_s=left_s, **given
                    ),
                )
            )
        return folded(
            CompactionReport,
            told,
            skipped=lambda each: each[0] if all(each) else None,
        )

    async def tables(self, to: str | PathLike[str], **given: Any) -> TablesReport:
        """Write each archive as tables, to a folder of its own below `to`."""
        told = [
            await self._reach.at(
                number,
                lambda face, number=number: face.archive.tables(  # type: ignore[misc]
                    Path(to) / f"shard-{number}", **given
                ),
            )
            for number in range(len(self._reach.shards))
        ]
        return folded(TablesReport, told)

    async def rebuild(self, **given: Any) -> RebuildReport:
        """Take up what the archives hold and the databases lack, shard by shard."""
        told = [
            await self._reach.at(number, lambda face: face.archive.rebuild(**given))
            for number in range(len(self._reach.shards))
        ]
        return folded(RebuildReport, told)


def _standing(told: list[Kind]) -> Kind:
    """The worst of all."""
    return next((k for k in told if k not in ("ours", "unclaimed")), told[0])
