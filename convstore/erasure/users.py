"""What an erased user has outside sessions. Who it is has to be looked for: an erasure
says it by a hash alone, also after a crash, and on a backup that knew the user."""

from __future__ import annotations

from collections.abc import Callable

from convstore.archive.context import Context
from convstore.db import erasures, item_reads
from convstore.db.engine import Connection
from convstore.db.erasures import StoredErasure
from convstore.erasure.counting import Count

# Users that are looked through at once.
_USERS = 1_000
# Items that are destroyed with one commit.
_ITEMS = 1_000


async def named(
    context: Context,
    erasure: StoredErasure,
    users: Callable[[Connection, str, str, int], list[str]],
) -> list[str]:
    """The erased user, if they are among those that `users` gives in pages."""
    if erasure.subject != "user":
        return []
    tenant, after = erasure.tenant_id, ""
    while found := await context.read(
        lambda c, a=after: users(c, tenant, a, _USERS)  # type: ignore[misc]
    ):
        for user_id in found:
            if erasures.subject_hash(user_id, erasure.salt) == erasure.subject_hash:
                return [user_id]
        after = found[-1]
    return []


async def destroy_items(context: Context, erasure: StoredErasure, count: Count) -> None:
    """Destroy what an erased user owns outside sessions, but for what was made after
    the erasure."""
    tenant = erasure.tenant_id
    for user_id in await named(context, erasure, item_reads.users):

        def work(connection: Connection, user_id: str = user_id) -> Count | None:
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
