"""An erasure of a user that is carried out in several stores: what each has to do.

The ledger of one of them, the home's, says where it is still to be carried out.
"""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from convstore.db import erasures, shard_erasures
from convstore.repositories.erasures import receipt_from, receipt_of
from convstore.vocabulary.clock import to_micros
from convstore.vocabulary.reports import ErasureReceipt

if TYPE_CHECKING:
    from convstore.db.shard_erasures import Part
    from convstore.store.facade import Store


async def held_sessions(store: Store, user_id: str) -> tuple[str, ...]:
    """Sessions of a user that are under legal hold in this store."""
    return await store._parts.backend.read(
        lambda c: shard_erasures.held(c, store.tenant, user_id)
    )


async def begin_everywhere(store: Store, user_id: str, shards: int) -> ErasureReceipt:
    """Erase a user in the home store, with a note that every shard has to follow."""
    return await store._parts.eraser.erase(
        store.tenant,
        user_id=user_id,
        also=lambda c, begun: shard_erasures.begin(
            c, begun.tenant_id, begun.erasure_id, user_id, shards
        ),
    )


async def carry_out(store: Store, user_id: str, erasure_id: str) -> ErasureReceipt:
    """Erase a user in one store, under the id of the erasure of all. Idempotent."""
    eraser, tenant = store._parts.eraser, store.tenant
    found = await store._parts.backend.read(
        lambda c: erasures.find(c, tenant, erasure_id)
    )
    if found is None:
        return await eraser.erase(tenant, user_id=user_id, erasure_id=erasure_id)
    return receipt_of(found) if found.state == "done" else await eraser.carry_out(found)


async def parts(store: Store, erasure_id: str) -> list[Part]:
    """How far an erasure is on each shard, as the home store knows."""
    return await store._parts.backend.read(
        lambda c: shard_erasures.of(c, store.tenant, erasure_id)
    )


async def unfinished(store: Store) -> list[tuple[str, str]]:
    """Tenants and ids of erasures that some shard has not carried out."""
    return await store._parts.backend.read(shard_erasures.unfinished)


async def note(
    store: Store, erasure_id: str, shard: int, receipt: ErasureReceipt
) -> None:
    """Keep in the home store what a shard has told."""
    done = None if receipt.done_at is None else to_micros(receipt.done_at)
    told: dict[str, Any] = asdict(receipt)
    await store._parts.backend.write(
        lambda c: shard_erasures.note(c, store.tenant, erasure_id, shard, told, done)
    )


def told_by(part: Part, home: ErasureReceipt) -> ErasureReceipt | None:
    """What a shard has told; None while it has told nothing."""
    if part.receipt is None:
        return None
    return receipt_from(
        part.receipt,
        erasure_id=home.erasure_id,
        tenant_id=home.tenant_id,
        subject=home.subject,
        requested_at=home.requested_at,
        done_at=part.done_at,
        session_ids=tuple(part.receipt.get("session_ids", ())),
    )
