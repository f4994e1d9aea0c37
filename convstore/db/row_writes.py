"""The statements with which a unit of work writes its rows."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence

from sqlalchemy import (
    BigInteger,
    Connection,
    Table,
    Update,
    bindparam,
    case,
    insert,
    update,
)

from convstore.db import models
from convstore.db.codec.records import SESSION_COLUMNS
from convstore.db.dialects.base import Dialect
from convstore.db.sent_together import SentTogether
from convstore.db.session_ids import about_keys, of_sessions
from convstore.db.session_locks import Key, Row
from convstore.db.statements import BOUND, Prepared

# What an append changes; the rest of the row is left out so that its indexes are too.
HOT = (
    "version head_seq branched turn_count interaction_count graph_state_count "
    "feedback_counts current_slots current_template_id language title updated_at "
    "last_activity_at"
).split()
_COLD = (
    "state user_id tags metadata expires_at hold_count archived_at segment_id "
    "imported_at forked_from forked_at_seq forked_turns root_session_id generation"
).split()

# What changes when the rows of a session leave the database, or come back.
_PLACE = ("state", "version", "segment_id", "archived_at", "updated_at")

_GONE_TO = ("state", "segment_id", "archived_at")

_KEY = ("tenant_id", "session_id")


def _update_of(columns: Iterable[str]) -> Prepared:
    table = models.sessions
    statement = (
        update(table)
        .where(*(table.c[name] == bindparam(BOUND + name) for name in _KEY))
        .values({name: bindparam(BOUND + name) for name in columns})
    )
    return Prepared(lambda _: statement)


def _gone_together(dialect: Dialect) -> Update:
    table = models.sessions
    at = bindparam(f"{BOUND}archived_at", type_=BigInteger)
    return (
        update(table)
        .where(of_sessions(dialect, table))
        .values(
            state=bindparam(f"{BOUND}state"),
            segment_id=bindparam(f"{BOUND}segment_id"),
            archived_at=at,
            version=table.c.version + 1,
            updated_at=case((table.c.updated_at < at, at), else_=table.c.updated_at),
        )
    )


def write_gone(connection: Connection, rows: Sequence[Row]) -> None:
    """Write rows whose sessions have gone to a segment, and nothing else of them.

    All that went to one segment with one statement. The rows are locked, and have been
    raised by one version, at `archived_at`.
    """
    together: dict[tuple[object, ...], list[Key]] = defaultdict(list)
    for row in rows:
        place = tuple(row[name] for name in _GONE_TO)
        together[place].append((row["tenant_id"], row["session_id"]))
    for place, keys in together.items():
        given = dict(zip(_GONE_TO, place, strict=True))
        UPDATE_GONE.run(connection, {**about_keys(keys), **given})


def _insert_into(table: Table) -> Prepared:
    return Prepared(lambda _: insert(table))


INSERT_SESSION = Prepared(
    lambda _: insert(models.sessions).values(
        {column.name: bindparam(BOUND + column.name) for column in SESSION_COLUMNS}
    )
)
UPDATE_HOT = _update_of(HOT)
UPDATE_ALL = _update_of([*HOT, *_COLD])
UPDATE_GONE = Prepared(_gone_together)
UPDATE_BACK = SentTogether.update(models.sessions, _KEY, [*_PLACE, "last_activity_at"])
INSERTS: dict[str, Prepared] = {
    table.name: _insert_into(table)
    for table in (
        models.tool_sets,
        models.interactions,
        models.graph_states,
        models.session_ledger,
        models.session_state,
        models.session_items,
        *models.OF_CHECKPOINTS,
    )
}
INSERTS[models.turns.name] = SentTogether.insert(
    models.turns,
    [column.name for column in models.turns.c],
    large="content parts resolved_question slots results metadata payload".split(),
)
