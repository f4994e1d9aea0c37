"""The ledger of erasures: who was erased, without saying who, and how to repeat it."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, insert, select, update

from convstore.db import models
from convstore.db.session_ids import one_of
from convstore.vocabulary.codec import decode_json, dumps
from convstore.vocabulary.record import Value, names_of

R = models.erasures.c


class StoredErasure(Value, frozen=True):
    """One erasure. `subject_hash` is of the user's or session's id with `salt`."""

    tenant_id: str
    erasure_id: str
    subject: str
    subject_hash: str
    salt: str
    session_ids: tuple[str, ...]
    state: str
    receipt: dict[str, Any]
    requested_at: int
    done_at: int | None


def subject_hash(subject_id: str, salt: str) -> str:
    """What stands for an id: comparable to a known id, and not to be turned back."""
    return hashlib.sha256(f"{salt}:{subject_id}".encode()).hexdigest()


def pseudonym(erasure: StoredErasure) -> str:
    """The name of an erased user in what they did in other people's sessions: the same
    in every database, and whenever the erasure is gone on with. `is_pseudonym` knows
    them."""
    return f"erased-{subject_hash(erasure.erasure_id, 'actor')[:16]}"


def begin(connection: Connection, erasure: StoredErasure) -> None:
    """Note an erasure before anything is destroyed: a crash cannot forget it then."""
    row = {name: getattr(erasure, name) for name in names_of(StoredErasure)}
    row["session_ids"] = dumps(list(erasure.session_ids)).decode()
    row["receipt"] = dumps(erasure.receipt).decode()
    connection.execute(insert(models.erasures), row)


def note(connection: Connection, tenant: str, erasure_id: str, receipt: Any) -> None:
    """Keep what an unfinished erasure has destroyed so far, for its receipt."""
    connection.execute(
        update(models.erasures)
        .where(R.tenant_id == tenant, R.erasure_id == erasure_id, R.state == "begun")
        .values(receipt=dumps(receipt).decode())
    )


def finish(
    connection: Connection, tenant: str, erasure_id: str, receipt: Any, now: int
) -> None:
    """Note that nothing is left. The receipt of one that was finished before stays."""
    connection.execute(
        update(models.erasures)
        .where(R.tenant_id == tenant, R.erasure_id == erasure_id, R.state == "begun")
        .values(state="done", receipt=dumps(receipt).decode(), done_at=now)
    )


def is_begun(connection: Connection, tenant: str, session_id: str) -> bool:
    """Whether a session is about to be erased: it is there still, but not for long."""
    begun = connection.execute(
        select(R.session_ids).where(R.tenant_id == tenant, R.state == "begun")
    )
    return any(session_id in decode_json(ids) for ids in begun.scalars())


def all_of(connection: Connection, *states: str) -> list[StoredErasure]:
    """Erasures in the states, oldest first."""
    columns = [models.erasures.c[name] for name in names_of(StoredErasure)]
    rows = connection.execute(
        select(*columns).where(one_of(R.state, states)).order_by(R.requested_at)
    )
    return [_erasure(row) for row in rows]


def find(connection: Connection, tenant: str, erasure_id: str) -> StoredErasure | None:
    """One erasure."""
    columns = [models.erasures.c[name] for name in names_of(StoredErasure)]
    row = connection.execute(
        select(*columns).where(R.tenant_id == tenant, R.erasure_id == erasure_id)
    ).one_or_none()
    return None if row is None else _erasure(row)


def of_tenant(
    connection: Connection,
    tenant: str,
    *,
    place: str | None,
    limit: int,
    back: bool = False,
) -> list[StoredErasure]:
    """A tenant's erasures, the newest first, older than a place: ids go with time.
    `back`, those newer than it, the oldest first."""
    columns = [models.erasures.c[name] for name in names_of(StoredErasure)]
    statement = select(*columns).where(R.tenant_id == tenant)
    if place is not None:
        beyond = R.erasure_id > place if back else R.erasure_id < place
        statement = statement.where(beyond)
    order = R.erasure_id if back else R.erasure_id.desc()
    rows = connection.execute(statement.order_by(order).limit(limit))
    return [_erasure(row) for row in rows]


def _erasure(row: Sequence[Any]) -> StoredErasure:
    values = dict(zip(names_of(StoredErasure), row, strict=True))
    values["session_ids"] = tuple(decode_json(values["session_ids"]))
    values["receipt"] = decode_json(values["receipt"])
    return StoredErasure(**values)
