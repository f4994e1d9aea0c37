"""Attachments: bytes once in a tenant, and which sessions name them.

A row of `session_attachments` says that a turn of a session, live or archived, names an
attachment; it is written in the commit of the turn, and goes when the session goes for
good. With the last of them the attachment goes, in the same transaction. What was put
and is named by nobody waits; see `remove_waiting`. Its row is locked by whoever names
it and by whoever removes it, so that the one always sees what the other has done.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from typing import Any

from msgspec.structs import replace
from sqlalchemy import (
    CTE,
    Connection,
    Delete,
    FromClause,
    Select,
    Text,
    and_,
    bindparam,
    cast,
    delete,
    exists,
    null,
    select,
    tuple_,
    update,
)

from convstore.db import models
from convstore.db.codec.records import attachment_row
from convstore.db.dialects import dialect_of
from convstore.db.dialects.base import Dialect
from convstore.db.flushed import Flushed
from convstore.db.session_ids import about_keys, of_sessions
from convstore.db.session_locks import Key, Row
from convstore.db.statements import Prepared
from convstore.messages.attached import hashes_in, names_of
from convstore.vocabulary.attachments import ATTACHMENT, Attachment, NotKeptError
from convstore.vocabulary.codec import dumps
from convstore.vocabulary.records import SessionDocument

A = models.attachments.c
N = models.session_attachments.c
Place = tuple[str, str]
"""Tenant and hash."""

_HERE = ("tenant_id", "hash")


def _of_places(dialect: Dialect, table: Any) -> Any:
    bound = dialect.bound_rows(*_HERE)
    return tuple_(table.c.tenant_id, table.c.hash).in_(
        select(bound.c.tenant_id, bound.c.hash)
    )


def _places(places: Iterable[Place]) -> dict[str, str]:
    return {"bound": dumps(sorted(places)).decode()}


def keep(connection: Connection, rows: Sequence[Row]) -> None:
    """Keep bytes that are not kept yet; all of them wait from now on to be named."""
    in_order = sorted(rows, key=lambda row: (row["tenant_id"], row["hash"]))
    here = _locked(connection, [(row["tenant_id"], row["hash"]) for row in rows])
    new = [row for row in in_order if (row["tenant_id"], row["hash"]) not in here]
    if new:
        _KEEP.many(connection, new)
    if here:
        since: dict[str, Any] = {"since": max(row["waits_since"] for row in rows)}
        _WAIT.run(connection, since | _places(here))


def find(
    connection: Connection, tenant: str, hashes: Collection[str]
) -> list[Attachment]:
    """Those that are kept of these."""
    rows = _FIND.all(connection, _places((tenant, name) for name in hashes))
    return [Attachment(row[0], row[1], bytes(row[2])) for row in rows]


def kept_of(connection: Connection, tenant: str, hashes: Collection[str]) -> set[str]:
    """Which of these are kept, without their bytes."""
    places = _places((tenant, name) for name in hashes)
    return {row[0] for row in _KEPT.all(connection, places)}


def require(connection: Connection, tenant: str, hashes: Collection[str]) -> None:
    """Refuse to name what is not kept; what is stays until the transaction ends.

    Raises:
        InvalidInputError: An attachment is not kept.
    """
    here = _locked(connection, [(tenant, name) for name in hashes])
    if missing := sorted({(tenant, name) for name in hashes} - {*here}):
        raise NotKeptError(f"{ATTACHMENT}{name}" for _, name in missing)


def release(connection: Connection, keys: Sequence[Key]) -> dict[str, int]:
    """Forget what sessions that go for good have named, and remove what nobody names
    any more; how many rows of which table."""
    given = about_keys(keys)
    named = {(row[0], row[1]) for row in _NAMED.all(connection, given)}
    if not named:
        return {"session_attachments": 0, "attachments": 0}
    # Two that release the same wait for each other here, and the second sees it all.
    _locked(connection, named)
    table = models.session_attachments
    these = of_sessions(dialect_of(connection), table)
    count = connection.execute(delete(table).where(these), given).rowcount
    gone = connection.execute(_unnamed(dialect_of(connection)), _places(named)).rowcount
    return {"session_attachments": count, "attachments": gone}


def remove_waiting(connection: Connection, before: int, limit: int) -> tuple[int, int]:
    """Remove attachments that were last put before a time and that no session names;
    how many were looked at, at most so many, and how many went. Those that others hold
    come round again."""
    dialect = dialect_of(connection)
    old = select(A.tenant_id, A.hash).where(A.waits_since < before)
    chosen = dialect.skip_locked(old.order_by(A.waits_since).limit(limit))
    places = {(row[0], row[1]) for row in connection.execute(chosen)}
    if not places:
        return 0, 0
    # Asked anew: what was committed since they were locked is seen.
    gone = connection.execute(_unnamed(dialect), _places(places)).rowcount
    _NAME.run(connection, _places(places))
    return len(places), gone


def adopt(
    connection: Connection, documents: Iterable[SessionDocument], now: int
) -> None:
    """Keep the attachments of sessions that only the archive knows, and their names.

    What they named before is to be released first.
    """
    rows: dict[Place, Row] = {}
    named: set[tuple[str, str, str]] = set()
    for document in documents:
        tenant, session_id = document.session.tenant_id, document.session.id
        for one in named_only(document).attachments:
            rows[tenant, one.hash] = attachment_row(tenant, one, now)
            named.add((tenant, session_id, one.hash))
    if named:
        keep(connection, list(rows.values()))
        _note(connection, named)


def named_only(document: SessionDocument) -> SessionDocument:
    """The document with each attachment that its turns name, by hash, and no other."""
    if not document.attachments:
        return document
    names = names_of(document.turns)
    kept = {one.hash: one for one in document.attachments if one.hash in names}
    return replace(document, attachments=tuple(kept[name] for name in sorted(kept)))


class AttachmentHook:
    """Keeps which attachments the turns of a session name."""

    about = ("rows", "forked")

    def flush(self, connection: Connection, flushed: Flushed) -> None:
        """Note what new turns name; a fork's are read, for the database copied them."""
        found = {
            (row["tenant_id"], row["session_id"], name)
            for row in flushed.rows.get("turns", ())
            if (parts := row["parts"]) is not None and ATTACHMENT in parts
            for name in hashes_in(parts)
        }
        for key, source in flushed.forked.items():
            if _NAMED.all(connection, about_keys([source])):
                given = {"tenant": key[0], "id": key[1]}
                for (parts,) in _PARTS.all(connection, given):
                    found |= {(*key, name) for name in hashes_in(parts)}
        if found:
            _note(connection, found)

    def at_once(self, turns: FromClause, changed: CTE) -> Sequence[CTE]:
        """Nothing: an append whose parts name something goes the long way."""
        return ()


def _note(connection: Connection, named: Collection[tuple[str, str, str]]) -> None:
    here = _locked(connection, {(tenant, name) for tenant, _, name in named})
    rows = [
        {"tenant_id": tenant, "session_id": session_id, "hash": name}
        for tenant, session_id, name in sorted(named)
        if (tenant, name) in here
    ]
    if rows:
        _ADD.many(connection, rows)
        _NAME.run(connection, _places(here))


def _locked(connection: Connection, places: Iterable[Place]) -> set[Place]:
    """Those that are there, locked until the transaction ends."""
    return {(row[0], row[1]) for row in _LOCK.all(connection, _places(places))}


def _unnamed(dialect: Dialect) -> Delete:
    same = and_(N.tenant_id == A.tenant_id, N.hash == A.hash)
    these = _of_places(dialect, models.attachments)
    return delete(models.attachments).where(these, ~exists().where(same))


def _lock(dialect: Dialect) -> Select[Any]:
    table = models.attachments
    chosen = select(A.tenant_id, A.hash).where(_of_places(dialect, table))
    return dialect.locked(chosen, table)


_LOCK = Prepared(_lock)
_KEEP = Prepared(lambda dialect: dialect.insert_ignore(models.attachments))
_ADD = Prepared(lambda dialect: dialect.insert_ignore(models.session_attachments))
_WAIT = Prepared(
    lambda dialect: (
        update(models.attachments)
        .where(_of_places(dialect, models.attachments))
        .values(waits_since=bindparam("since"))
    )
)
_NAME = Prepared(
    lambda dialect: (
        update(models.attachments)
        .where(
            _of_places(dialect, models.attachments),
            A.waits_since.is_not(None),
            exists().where(N.tenant_id == A.tenant_id, N.hash == A.hash),
        )
        .values(waits_since=null())
    )
)
_FIND = Prepared(
    lambda dialect: (
        select(A.hash, A.media_type, A.data)
        .where(_of_places(dialect, models.attachments))
        .order_by(A.hash)
    )
)
_KEPT = Prepared(
    lambda dialect: select(A.hash).where(_of_places(dialect, models.attachments))
)
_NAMED = Prepared(
    lambda dialect: (
        select(N.tenant_id, N.hash)
        .where(of_sessions(dialect, models.session_attachments))
        .distinct()
    )
)
_PARTS = Prepared(
    lambda _: select(models.turns.c.parts).where(
        models.turns.c.tenant_id == bindparam("tenant"),
        models.turns.c.session_id == bindparam("id"),
        cast(models.turns.c.parts, Text).contains(ATTACHMENT, autoescape=True),
    )
)
