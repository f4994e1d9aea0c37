"""Repeats erasures on a database that has forgotten them: one restored from a backup."""

from __future__ import annotations

from dataclasses import replace

from convstore.db import erasures, lifecycle
from convstore.db.engine import Connection
from convstore.db.erasures import StoredErasure
from convstore.reports import ErasureReceipt
from convstore.retention.context import Context
from convstore.retention.eraser import Eraser
from convstore.retention.tombstones import read_tombstones


async def replay_erasures(context: Context, eraser: Eraser) -> list[ErasureReceipt]:
    """Carry out every erasure of the ledger and of the archive folder again.

    A user's erasure also takes the sessions that the backup knows under that user.
    Idempotent: what is erased already is left alone, and only what was there still is
    counted in the receipts.
    """
    known = await context.read(lambda c: erasures.all_of(c, "begun", "done"))
    told = await context.files(lambda: read_tombstones(context.blobs))
    by_id = {e.erasure_id: e for e in (*told, *known)}
    receipts = []
    for erasure in by_id.values():
        whole = await context.write(lambda c, e=erasure: _complete(c, e))  # type: ignore[misc]
        receipts.append(await eraser.carry_out(whole))
    return receipts


def _complete(connection: Connection, erasure: StoredErasure) -> StoredErasure:
    """The erasure with every session of its subject, noted in this database."""
    ids = set(erasure.session_ids)
    if erasure.subject == "user":
        for user_id in lifecycle.user_ids(connection, erasure.tenant_id):
            if erasures.subject_hash(user_id, erasure.salt) == erasure.subject_hash:
                keys = lifecycle.ids_of_user(connection, erasure.tenant_id, user_id)
                ids |= {session_id for _, session_id in keys}
    whole = replace(erasure, session_ids=tuple(sorted(ids)), state="begun")
    lifecycle.make_stubs(connection, erasure.tenant_id, whole.session_ids)
    if erasures.find(connection, erasure.tenant_id, erasure.erasure_id) is None:
        erasures.begin(connection, whole)
    return whole
