"""Whether the index of words has what it should have, and nothing else."""

from __future__ import annotations

from sqlalchemy import Connection, func, or_, select

from convstore.db import models, search_marks
from convstore.db.session_ids import same_session
from convstore.search.words import VERSION
from convstore.vocabulary.hits import IndexReport

S = models.sessions.c
X = models.search_sessions.c
E = models.search_entries.c
M = models.search_marks.c


def check(connection: Connection, tenant: str) -> IndexReport:
    """Compare the index of a tenant with its sessions. Walks both."""
    rules = search_marks.rules(connection)
    problem = None
    if rules is None:
        problem = "there is none yet"
    elif rules != VERSION:
        problem = "is of other rules, or spoilt: it will be made anew"
    entries = select(func.count()).where(E.tenant_id == tenant)
    waiting = select(func.count(M.session_id.distinct())).where(M.tenant_id == tenant)
    return IndexReport(
        entries=int(connection.execute(entries).scalar_one()),
        waiting=int(connection.execute(waiting).scalar_one()),
        missing=_missing(connection, tenant),
        unwanted=_unwanted(connection, tenant),
        problem=problem,
    )


def _missing(connection: Connection, tenant: str) -> int:
    """Sessions that lack something in the index, and have no mark."""
    same = same_session(X, S)
    marked = select(1).where(M.tenant_id == S.tenant_id, M.session_id == S.session_id)
    statement = (
        select(func.count())
        .select_from(models.sessions.outerjoin(models.search_sessions, same))
        .where(
            S.tenant_id == tenant,
            models.LISTED,
            ~marked.exists(),
            or_(
                S.turn_count > func.coalesce(X.turn_count, 0),
                S.interaction_count > func.coalesce(X.interaction_count, 0),
            ),
        )
    )
    return int(connection.execute(statement).scalar_one())


def _unwanted(connection: Connection, tenant: str) -> int:
    """Sessions with entries that are neither live nor archived."""
    kept = select(1).where(
        S.tenant_id == E.tenant_id, S.session_id == E.session_id, models.LISTED
    )
    statement = select(func.count(E.session_id.distinct())).where(
        E.tenant_id == tenant, ~kept.exists()
    )
    return int(connection.execute(statement).scalar_one())
