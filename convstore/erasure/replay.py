"""Repeats erasures on a database that has forgotten them: restored from a backup."""

from __future__ import annotations

import logging
from dataclasses import replace

from convstore.archive.context import Context
from convstore.archive.ownership import look
from convstore.db import erasures, lifecycle
from convstore.db.engine import Connection
from convstore.db.erasures import StoredErasure
from convstore.erasure.eraser import Eraser
from convstore.erasure.tombstones import read_tombstones
from convstore.vocabulary.errors import (
    ConvstoreError,
    DatabaseBusyError,
    LegalHoldError,
    NewerFormatError,
    SegmentCorruptError,
)
from convstore.vocabulary.reports import ErasureReceipt

log = logging.getLogger(__name__)

# Of one erasure; the others are carried out.
_IN_THE_WAY = (
    LegalHoldError,
    SegmentCorruptError,
    NewerFormatError,
    DatabaseBusyError,
)


async def replay_erasures(context: Context, eraser: Eraser) -> list[ErasureReceipt]:
    """Carry out every erasure of the ledger and of the archive folder again.

    A user's erasure also takes the sessions that the backup knows under that user, but
    for those begun after it: the user may have come back. Idempotent: what is erased
    already is left alone, and only what was there still is counted in the receipts.
    Where another database has worked on the folder since, the rows go, and the receipts
    stay open until this one is given the folder (`adopt`).

    Raises:
        ArchiveAwayError: The folder is not there, and with it erasures that this
            database may not know.
        LegalHoldError, SegmentCorruptError, NewerFormatError, DatabaseBusyError: What
            is in the way of one of them; the others were carried out.
    """
    standing = await look(context)
    if standing.kind == "away":
        standing.check()
    known = await context.read(lambda c: erasures.all_of(c, "begun", "done"))
    told = await context.files(lambda: read_tombstones(context.blobs))
    there = {erasure.erasure_id for erasure in told}
    by_id = {e.erasure_id: e for e in (*told, *known)}
    receipts: list[ErasureReceipt] = []
    errors: list[ConvstoreError] = []
    for erasure in by_id.values():
        whole = await context.write(lambda c, e=erasure: complete(c, e))  # type: ignore[misc]
        in_folder = erasure.erasure_id in there
        try:
            receipts.append(await eraser.carry_out(whole, told=in_folder))
        except _IN_THE_WAY as error:
            errors.append(error)
    if errors:
        raise errors[0]
    return receipts


async def finish_erasures(context: Context, eraser: Eraser) -> int:
    """Carry out what was begun; how many are done. One that a hold, a damaged segment
    or a long read is in the way of stays begun, and is said in the log."""
    done = 0
    for erasure in await context.read(lambda c: erasures.all_of(c, "begun")):
        try:
            receipt = await eraser.carry_out(erasure)
        except _IN_THE_WAY as error:
            log.warning(
                "erasure %s waits: %s",
                erasure.erasure_id,
                error.code,
                extra={"event": "erasure_waits", "erasure_id": erasure.erasure_id},
            )
            continue
        done += receipt.done_at is not None
    return done


def complete(connection: Connection, erasure: StoredErasure) -> StoredErasure:
    """Note an erasure, with every session of its subject that this database has from
    before it.

    Ids that it has not are refused from then on; the others are when it is carried out.
    """
    ids = set(erasure.session_ids)
    if erasure.subject == "user":
        for user_id in lifecycle.user_ids(connection, erasure.tenant_id):
            if erasures.subject_hash(user_id, erasure.salt) == erasure.subject_hash:
                keys = lifecycle.ids_of_user(
                    connection,
                    erasure.tenant_id,
                    user_id,
                    begun_by=erasure.requested_at,
                )
                ids |= {session_id for _, session_id in keys}
    # What a finished one has destroyed is in its own receipt.
    receipt = erasure.receipt if erasure.state == "begun" else {}
    whole = replace(
        erasure, session_ids=tuple(sorted(ids)), state="begun", receipt=receipt
    )
    lifecycle.make_refusals(connection, erasure.tenant_id, whole.session_ids)
    if erasures.find(connection, erasure.tenant_id, erasure.erasure_id) is None:
        erasures.begin(connection, whole)
    return whole


async def refuse_erased(context: Context) -> None:
    """Refuse the ids of every erasure of the archive folder that the database has
    forgotten, or never knew. Destroys nothing; before an import, which may bring them
    back.

    Raises:
        ArchiveAwayError: The folder is not there: what it forbids is unknown.
    """
    standing = await look(context)
    if standing.kind == "away":
        standing.check()
    told = await context.files(lambda: read_tombstones(context.blobs))
    if not told:
        return

    def work(connection: Connection) -> None:
        for erasure in told:
            if erasures.find(connection, erasure.tenant_id, erasure.erasure_id) is None:
                lifecycle.make_refusals(
                    connection, erasure.tenant_id, erasure.session_ids
                )

    await context.write(work)
