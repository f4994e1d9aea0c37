"""Takes an erased user out of other people's sessions: what they did there stays, under
a name that says nothing.

Rows first, then the copies in the archive, and again until a whole round finds nothing:
a session may be restored, or archived, between the two.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from convstore.archive.context import Context
from convstore.db import actors, archived_actors, erasures, schema, segments
from convstore.db.engine import Connection
from convstore.db.holds import refuse_held
from convstore.db.unit import Key, Unit
from convstore.erasure.counting import ACTS_UNTIL, Count
from convstore.erasure.sweeper import Sweeper, Swept
from convstore.erasure.users import Subject
from convstore.vocabulary.actors import Renaming
from convstore.vocabulary.clock import from_micros
from convstore.vocabulary.errors import DatabaseBusyError

# Sessions of one transaction.
_AT_ONCE = 100
_ROUNDS = 5
_MOVING = (
    "sessions of others with acts of this user go on being archived and restored: the "
    "next recovery finishes the erasure"
)


async def find_renaming(whose: Subject) -> Renaming | None:
    """The other name for an erased user; None where nothing names them."""
    erasure = whose.erasure
    until = max(erasure.requested_at, erasure.receipt.get(ACTS_UNTIL, 0))
    for sources in (actors.of_acts, archived_actors.actors, actors.of_holds):
        for user_id in await whose.among(sources):
            return Renaming(
                erasure.tenant_id,
                user_id,
                erasures.pseudonym(erasure),
                from_micros(until),
            )
    return None


async def rename_rows(context: Context, renaming: Renaming, count: Count) -> bool:
    """Give the user another name in rows; whether there were any.

    Raises:
        LegalHoldError: Of a session that came under hold; those before it are done.
    """
    changed, after = False, ""
    while found := await context.read(
        lambda c, a=after: actors.sessions_of(c, renaming, a, _AT_ONCE)  # type: ignore[misc]
    ):
        keys = [(renaming.tenant_id, session_id) for session_id in found]
        work = partial(_rename, context, renaming, keys, count)
        more, through = await context.write(work)
        # Where not all of the first one fitted, it comes again.
        changed, after = True, max(after, through)
        count.take(more)
        context.on_step("erase.renamed")
        await context.on_changed(keys)
    if changed:
        await cancel_writing(context)
    return changed


async def cancel_writing(context: Context) -> None:
    """Let no segment be sealed that is being written: it may hold a copy of rows of
    before. Once for all of them: what was sealed meanwhile is looked through, and an
    archiving run beside it ends."""
    await context.write(segments.cancel_writing)
    context.on_step("erase.cancelled")


def _rename(
    context: Context,
    renaming: Renaming,
    keys: Sequence[Key],
    count: Count,
    connection: Connection,
) -> tuple[Count, str]:
    schema.hold(connection)
    unit = Unit(connection)
    refuse_held(unit, keys)
    renamed = actors.rename(unit, keys, renaming, context.now())
    more = count.with_renamed(renamed)
    unit.flush()
    more.keep(connection)
    context.on_step("erase.rename")
    return more, renamed.through


async def clean_copies(
    context: Context,
    sweeper: Sweeper,
    keys: Sequence[Key],
    renaming: Renaming,
    count: Count,
) -> Swept:
    """Destroy the copies of `keys`, and give the user another name in those of other
    sessions, until neither rows nor copies have the former one.

    Raises:
        LegalHoldError: As `rename_rows`.
        DatabaseBusyError: Other workers move sessions back and forth for too long.
    """
    swept, done = Swept(count=count), 0
    for _ in range(_ROUNDS):
        changed = await rename_rows(context, renaming, count)
        await sweeper.sweep(keys, renaming, swept)
        if swept.failed:
            return swept
        if not changed and len(swept.renamed) == done:
            left = await context.write(
                lambda c: archived_actors.forget(
                    c,
                    renaming.tenant_id,
                    renaming.was,
                    read=swept.read,
                    missing=swept.missing,
                    still=swept.still,
                )
            )
            if not left:
                return swept
        done = len(swept.renamed)
    raise DatabaseBusyError(_MOVING)
