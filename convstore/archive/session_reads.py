"""The rows of many sessions at a time, for a segment: as many as are held at once.

Most sessions are of short turns, and of short interactions. They are read without being
measured first, which would cost a server two thirds of what reading them does: one that
is longer is not sent, and its session measured and read after the others.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from convstore.archive.context import Context
from convstore.db import documents, sizes
from convstore.db.engine import Connection
from convstore.db.session_rows import SessionRows
from convstore.vocabulary.records import Session

SHORT = 10 * 1024
"""Characters or bytes of a row that is read without being measured first: 128 sessions
of a dozen such turns and interactions are held at once."""

Wanted = Sequence[tuple[str, int]]


@dataclass(slots=True)
class Read:
    """What was read of the first `count` sessions that were wanted.

    `found` are those that are live and at the version wanted, but for `large`: these
    are to be read by `read_large`. The ids that are left have `changed`.
    """

    count: int
    found: list[SessionRows] = field(default_factory=list)
    large: list[tuple[str, int]] = field(default_factory=list)
    changed: list[str] = field(default_factory=list)


async def read_small(context: Context, tenant: str, wanted: Wanted) -> Read:
    """The first of the sessions, of which all but the large ones are read."""

    def work(connection: Connection) -> Read:
        context.on_step("read.snapshot_open")
        ids = [session_id for session_id, _ in wanted]
        heads = _usable(documents.heads(connection, tenant, ids), wanted)
        others = sizes.held(connection, tenant, [*heads], "turns", "interactions")
        # No more than this, if all of these are short.
        bounds = {
            session.id: size + sum(_numbers(session)) * SHORT
            for session, size in zip(heads.values(), others.sizes, strict=True)
        }
        large = {name for name, size in bounds.items() if size > sizes.BYTES_AT_ONCE}
        small = [session for session in heads.values() if session.id not in large]
        fits = sizes.that_fit(bounds[session.id] for session in small)
        count = len(wanted) if fits == len(small) else ids.index(small[fits].id)
        rows = documents.read_small(
            connection, tenant, small[:fits], others.tables, SHORT
        )
        read = Read(count)
        for each in rows:
            # Or a row has gone: who reads all of it finds that.
            if (len(each.turns), len(each.interactions)) != _numbers(each.session):
                large.add(each.session.id)
            else:
                read.found.append(each)
        read.large = [each for each in wanted[:count] if each[0] in large]
        read.changed = [name for name in ids[:count] if name not in heads]
        return read

    read = await context.read(work, snapshot=True)
    context.on_step("read.end")
    return read


async def read_large(context: Context, tenant: str, wanted: Wanted) -> Read:
    """The first of the sessions, measured before they are read; none is `large`."""

    def work(connection: Connection) -> Read:
        context.on_step("read.snapshot_open")
        ids = [session_id for session_id, _ in wanted]
        held = sizes.held(connection, tenant, ids)
        count = sizes.that_fit(held.sizes)
        rows = documents.read_rows(connection, tenant, ids[:count], held.tables)
        usable = _usable([each.session for each in rows], wanted)
        return Read(
            count,
            [each for each in rows if each.session.id in usable],
            changed=[name for name in ids[:count] if name not in usable],
        )

    read = await context.read(work, snapshot=True)
    context.on_step("read.end")
    return read


def _numbers(session: Session) -> tuple[int, int]:
    return session.turn_count, session.interaction_count


def _usable(heads: Sequence[Session], wanted: Wanted) -> dict[str, Session]:
    """The sessions that are live and at their version, by id, in the order wanted."""
    found = {session.id: session for session in heads}
    return {
        session_id: session
        for session_id, version in wanted
        if (session := found.get(session_id)) is not None
        and (session.state, session.version) == ("active", version)
    }
