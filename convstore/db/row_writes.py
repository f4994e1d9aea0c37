"""The statements with which a unit of work writes its rows."""

from __future__ import annotations

from collections.abc import Iterable

from sqlalchemy import Table, bindparam, insert, update

from convstore.db import models
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

_KEY = ("tenant_id", "session_id")


def _update_of(columns: Iterable[str]) -> Prepared:
    table = models.sessions
    statement = (
        update(table)
        .where(*(table.c[name] == bindparam(BOUND + name) for name in _KEY))
        .values({name: bindparam(BOUND + name) for name in columns})
    )
    return Prepared(lambda _: statement)


def _insert_into(table: Table) -> Prepared:
    return Prepared(lambda _: insert(table))


UPDATE_HOT = _update_of(HOT)
UPDATE_ALL = _update_of([*HOT, *_COLD])
INSERTS = {
    table.name: _insert_into(table)
    for table in (
        models.turns,
        models.tool_sets,
        models.interactions,
        models.graph_states,
        models.session_ledger,
        models.session_state,
        models.session_items,
        *models.OF_CHECKPOINTS,
    )
}
