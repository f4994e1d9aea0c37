"""Which sessions there are and where each lies: what an export is planned from."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from sqlalchemy import Connection, and_, select

from convstore.db import models
from convstore.db.session_filters import Filter, conditions, values_of
from convstore.db.session_ids import about, of_sessions
from convstore.db.statements import Prepared
from convstore.vocabulary.records import SessionState

S = models.sessions.c
E = models.archive_entries.c
_STATES = Prepared(
    lambda dialect: select(S.session_id, S.state).where(
        of_sessions(dialect, models.sessions)
    )
)


class Placed(NamedTuple):
    """A session, as of which change, and the frame that holds it if it is archived.

    `segment_id` and `ordinal` are None of a live one; `updated_at` and `holds` change
    with what an export may tell of it, as `version` does.
    """

    session_id: str
    state: SessionState
    version: int
    updated_at: int
    holds: int
    segment_id: str | None
    ordinal: int | None


def placed(
    connection: Connection, tenant: str, wanted: Filter, after: str, limit: int
) -> list[Placed]:
    """Sessions by id, beyond `after`: an order that no activity changes."""
    # By itself: the words of the index's own condition name a column of both tables.
    page = (
        select(
            S.tenant_id,
            S.session_id,
            S.state,
            S.version,
            S.updated_at,
            S.hold_count,
            S.segment_id,
        )
        .where(*conditions(wanted), S.session_id > after)
        .order_by(S.session_id)
        .limit(limit)
        .subquery("page")
    )
    p = page.c
    statement = (
        select(
            p.session_id,
            p.state,
            p.version,
            p.updated_at,
            p.hold_count,
            E.segment_id,
            E.ordinal,
        )
        .outerjoin(
            models.archive_entries,
            and_(
                E.tenant_id == p.tenant_id,
                E.session_id == p.session_id,
                E.segment_id == p.segment_id,
                p.state == "archived",
            ),
        )
        .order_by(p.session_id)
    )
    rows = connection.execute(statement, values_of(tenant, wanted))
    return [Placed(*row) for row in rows]


def states(
    connection: Connection, tenant: str, session_ids: Sequence[str]
) -> dict[str, SessionState]:
    """The states of those of the sessions that there are."""
    rows = _STATES.all(connection, about(tenant, session_ids))
    return {row[0]: row[1] for row in rows}
