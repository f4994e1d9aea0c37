"""Erasure of a user in all databases: one receipt, and no word of done before all are.

The home database has the request, and which shards still have to follow, in one commit
before anything is destroyed. Each shard has an erasure of its own under the same id, so
that what was cut short anywhere goes on, and nothing is counted twice.
"""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from convstore.repositories import erasures
from convstore.shards.merging import by, merged
from convstore.shards.reach import Reach
from convstore.shards.reports import first, folded, newest
from convstore.shards.routed import OverReach
from convstore.shards.shard import first_error
from convstore.store import erasing
from convstore.vocabulary.errors import (
    ConvstoreError,
    ErasureNotFoundError,
    LegalHoldError,
    ShardUnavailableError,
)
from convstore.vocabulary.records import Page
from convstore.vocabulary.reports import ErasureReceipt, IndexState
from convstore.vocabulary.sharding import HOME

if TYPE_CHECKING:
    from convstore.db.shard_erasures import Part


async def erase_user(reach: Reach, user_id: str) -> ErasureReceipt:
    """Erase a user everywhere. While a shard is away the receipt is open.

    Raises:
        LegalHoldError: A session is under hold in a shard that can be asked; nothing
            was destroyed. A hold in one that is away keeps what is there.
    """
    numbers = range(len(reach.shards))
    told: list[Any] = await asyncio.gather(
        *(
            reach.at(number, lambda face: erasing.held_sessions(face, user_id))
            for number in numbers
        ),
        return_exceptions=True,
    )
    error = first_error(told)
    if error is not None and not isinstance(error, ShardUnavailableError):
        raise error
    held = [each for some in told if isinstance(some, tuple) for each in some]
    if held:
        raise LegalHoldError(tuple(held))
    begun = await reach.at(
        HOME,
        lambda face: erasing.begin_everywhere(face, user_id, len(reach.shards)),
    )
    return await carry_on(reach, begun.erasure_id)


async def carry_on(reach: Reach, erasure_id: str) -> ErasureReceipt:
    """Carry out a begun erasure wherever it is not. Idempotent; the receipt so far.

    Raises:
        ConvstoreError: What is in the way in a shard that is there; the others are
            done, and the erasure stays begun.
    """
    parts = await reach.at(HOME, lambda face: erasing.parts(face, erasure_id))
    left = [part for part in parts if part.done_at is None]
    told: list[Any] = await asyncio.gather(
        *(_carry_out(reach, erasure_id, part) for part in left), return_exceptions=True
    )
    error = first_error(told)
    if error is not None and not isinstance(error, ShardUnavailableError):
        raise error
    return await receipt(reach, erasure_id)


async def _carry_out(reach: Reach, erasure_id: str, part: Part) -> None:
    user_id = part.user_id
    assert user_id is not None
    done = await reach.at(
        part.shard, lambda face: erasing.carry_out(face, user_id, erasure_id)
    )
    await reach.at(HOME, lambda face: erasing.note(face, erasure_id, part.shard, done))


async def take_up(reach: Reach) -> int:
    """Go on with every erasure that was cut short, or waits; how many are done now.

    Raises:
        ConvstoreError: Of one that something is in the way of; the others went on.
    """
    done, errors = 0, []
    for tenant, erasure_id in await erasing.unfinished(reach.home_store):
        try:
            told = await carry_on(reach.for_tenant(tenant), erasure_id)
            done += told.done_at is not None
        except ConvstoreError as error:
            errors.append(error)
    if errors:
        raise errors[0]
    return done


async def receipt(reach: Reach, erasure_id: str) -> ErasureReceipt:
    """The one receipt of what all databases have done.

    Raises:
        ErasureNotFoundError: The home database has none with this id.
    """
    home = await reach.at(HOME, lambda face: face.erasures.get(erasure_id))
    parts = await reach.at(HOME, lambda face: erasing.parts(face, erasure_id))
    told = [erasing.told_by(part, home) for part in parts]
    waiting = tuple(part.shard for part in parts if part.done_at is None)
    one = folded(
        ErasureReceipt,
        [home, *(each for each in told if each is not None)],
        done_at=newest,
        session_ids=lambda each: tuple(sorted(i for some in each for i in some)),
        residue=lambda each: tuple(dict.fromkeys(r for some in each for r in some)),
        index=_index,
        waits_for=first,
        databases_waiting=lambda _: waiting,
    )
    if not waiting and home.done_at is not None:
        return one
    return replace(
        one, done_at=None, waits_for=one.waits_for or ShardUnavailableError.code
    )


def _index(told: list[IndexState]) -> IndexState:
    worst: IndexState
    for worst in ("pending", "cleared"):
        if worst in told:
            return worst
    return "absent"


class Erasures(OverReach, erasures.Erasures):
    """Receipts: of users in the home database, of sessions where they lay."""

    async def get(self, erasure_id: str) -> ErasureReceipt:
        """One receipt, of all databases together."""
        try:
            return await receipt(self._reach, erasure_id)
        except ErasureNotFoundError:
            told = await self._reach.everywhere(lambda face: _find(face, erasure_id))
        for each in told:
            if each is not None:
                return each
        raise ErasureNotFoundError(erasure_id)

    async def list(
        self, *, limit: int = 100, cursor: str | None = None
    ) -> Page[ErasureReceipt]:
        """Receipts of all databases, the newest erasure first."""

        async def ask(face: Any) -> Page[ErasureReceipt]:
            found: Page[ErasureReceipt] = await face.erasures.list(
                limit=limit, cursor=cursor
            )
            return found

        # The home's first: of an erasure that all have, its receipt counts.
        pages = [await self._reach.at(HOME, ask), *await self._reach.everywhere(ask)]
        page = merged(
            pages,
            limit,
            by("erasure_id"),
            (str,),
            newest_first=True,
            combine=lambda one, _: one,
        )
        items = [
            await receipt(self._reach, each.erasure_id)
            if each.subject == "user"
            else each
            for each in page.items
        ]
        return Page(tuple(items), page.next_cursor, page.complete)


async def _find(face: Any, erasure_id: str) -> ErasureReceipt | None:
    try:
        found: ErasureReceipt = await face.erasures.get(erasure_id)
    except ErasureNotFoundError:
        return None
    return found
