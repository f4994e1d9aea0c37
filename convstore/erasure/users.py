"""What an erased user has outside sessions. Who it is has to be looked for: an erasure
says it by a hash alone, also after a crash, and on a backup that knew the user."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from convstore.archive.context import Context
from convstore.db import erasures, item_reads, ledger, schema
from convstore.db.engine import Connection
from convstore.db.erasures import StoredErasure
from convstore.erasure.counting import Count

# Users that are looked through at once.
_USERS = 1_000
# Items that are destroyed with one commit.
_ITEMS = 1_000


@dataclass(slots=True)
class Subject:
    """Who is erased. `user_id` is known to whoever asked for it, and to whoever has
    found them once."""

    context: Context
    erasure: StoredErasure
    user_id: str | None = None

    async def among(
        self, users: Callable[[Connection, str, str, int], list[str]]
    ) -> list[str]:
        """The erased user, if they may be among those that `users` gives in pages."""
        erasure = self.erasure
        if erasure.subject != "user":
            return []
        if self.user_id is not None:
            return [self.user_id]
        tenant, after = erasure.tenant_id, ""
        while found := await self.context.read(
            lambda c, a=after: users(c, tenant, a, _USERS)  # type: ignore[misc]
        ):
            for user_id in found:
                if erasures.subject_hash(user_id, erasure.salt) == erasure.subject_hash:
                    self.user_id = user_id
                    return [user_id]
            after = found[-1]
        return []


async def destroy_items(whose: Subject, count: Count) -> None:
    """Destroy what an erased user owns outside sessions, but for what was made after
    the erasure."""
    context, erasure = whose.context, whose.erasure
    tenant = erasure.tenant_id
    for user_id in await whose.among(item_reads.users):

        def work(connection: Connection, user_id: str = user_id) -> Count | None:
            schema.hold(connection)
            gone = item_reads.remove_of_user(
                connection, tenant, user_id, erasure.requested_at, _ITEMS
            )
            if not gone:
                return None
            more = count.with_items(gone)
            more.keep(connection)
            return more

        while (more := await context.write(work)) is not None:
            count.take(more)
            context.on_step("erase.items")


async def forget_costs(whose: Subject, count: Count) -> None:
    """Take an erased user out of the totals."""
    context, tenant = whose.context, whose.erasure.tenant_id
    for user_id in await whose.among(ledger.users_with_totals):
        if await context.write(
            lambda c, u=user_id: ledger.forget_user(c, tenant, u)  # type: ignore[misc]
        ):
            count.rows["cost_totals"] = 1
    for user_id in await whose.among(ledger.users_charged):
        if await context.write(
            lambda c, u=user_id: ledger.forget_days(c, tenant, u)  # type: ignore[misc]
        ):
            count.rows["cost_days"] = 1
