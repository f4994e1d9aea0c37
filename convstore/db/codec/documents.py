"""From a session document back to rows: the inverse of `db/documents.py`."""

from __future__ import annotations

from operator import attrgetter
from typing import Any, TypeAlias

from sqlalchemy import Table

from convstore.db import models
from convstore.db.codec.checkpoints import CHECKPOINT_ROWS, with_digest
from convstore.db.codec.records import StoredRow, attachment_row, target_hash
from convstore.db.codec.row_types import (
    GRAPH_STATES,
    INTERACTIONS,
    ITEMS,
    STATES,
    TURNS,
)
from convstore.vocabulary.checkpoints import (
    CheckpointEnd,
    StoredCheckpoint,
    StoredElement,
    StoredValue,
    StoredWrite,
)
from convstore.vocabulary.clock import to_micros
from convstore.vocabulary.codec import digest, dumps
from convstore.vocabulary.record import names_of
from convstore.vocabulary.records import (
    NEW_CHAT,
    GraphState,
    Interaction,
    Item,
    LedgerEntry,
    LegalHold,
    Session,
    SessionDocument,
    Turn,
)

DocumentRows: TypeAlias = list[tuple[Table, list[StoredRow]]]
"""The rows of everything but the session itself and its holds, by table."""

_JSON = frozenset(
    "tags metadata feedback_counts current_slots parts slots results choice shown "
    "recent_hashes channels".split()
)


class _Shape:
    """How records of one kind become rows of their table.

    `payload` is a column whose JSON may be null itself.
    """

    def __init__(
        self, table: Table, record: type[Any], payload: str | None = None
    ) -> None:
        known = {*names_of(record)}
        self._names = [c.name for c in table.c if c.name in known]
        self._values = attrgetter(*self._names)
        # Whatever the record does not say: the tenant, checksums.
        self._others = {c.name: None for c in table.c if c.name not in known}
        self._texts = [n for n, name in enumerate(self._names) if name in _JSON]
        self._payloads = [n for n, name in enumerate(self._names) if name == payload]
        self._times = [
            place
            for place, name in enumerate(self._names)
            if name.endswith("_at") or name == "cache_sticky_until"
        ]

    def row(self, tenant: str, record: object) -> StoredRow:
        """The row that holds the record, but for checksums."""
        row: StoredRow = dict(self._others)
        row["tenant_id"] = tenant
        row.update(zip(self._names, self._stored(record), strict=True))
        return row

    def selected(self, record: object) -> list[Any]:
        """What a query gives of that row: its columns behind the session's id."""
        return self._stored(record)[1:]

    def _stored(self, record: object) -> list[Any]:
        values = list(self._values(record))
        for place in self._texts:
            if (value := values[place]) is not None:
                # Most metadata is empty: to word that costs as much as all the rest.
                values[place] = "{}" if value == {} else _text(value)
        for place in self._payloads:
            values[place] = _text(values[place])
        for place in self._times:
            if values[place] is not None:
                values[place] = to_micros(values[place])
        return values


_SESSION = _Shape(models.sessions, Session)
_TURN = _Shape(models.turns, Turn)
_INTERACTION = _Shape(models.interactions, Interaction)
_GRAPH_STATE = _Shape(models.graph_states, GraphState, payload="state")
_LEDGER = _Shape(models.session_ledger, LedgerEntry)
_ITEM = _Shape(models.session_items, Item, payload="value")
_HOLD = _Shape(models.legal_holds, LegalHold)
_CHECKPOINTS = {
    name: _Shape(kind.table, record)
    for (name, kind), record in zip(
        CHECKPOINT_ROWS.items(),
        (StoredCheckpoint, StoredValue, StoredElement, StoredWrite, CheckpointEnd),
        strict=True,
    )
}


def document_rows(document: SessionDocument) -> DocumentRows:
    """What a restore puts back."""
    tenant, session_id = document.session.tenant_id, document.session.id
    turns = [_TURN.row(tenant, turn) for turn in document.turns]
    for row in turns:
        row["digest"] = TURNS.digest(row)
    acts = [_INTERACTION.row(tenant, act) for act in document.interactions]
    for row in acts:
        row["target_hash"] = target_hash(row)
        row["digest"] = INTERACTIONS.digest(row)
    graphs = [_GRAPH_STATE.row(tenant, graph) for graph in document.graph_states]
    for row in graphs:
        row["digest"] = GRAPH_STATES.digest(row)
    tools = [
        {
            "tenant_id": tenant,
            "session_id": session_id,
            "tools_hash": tools_hash,
            "tools": text,
        }
        for tools_hash, text in _tool_sets(document)
    ]
    items = [_ITEM.row(tenant, item) for item in document.items]
    for row in items:
        row["digest"] = ITEMS.digest(row)
    ledger = []
    if document.ledger is not None:
        row = _LEDGER.row(tenant, document.ledger)
        ledger.append(row | {"user_id": document.session.user_id})
    return [
        (models.turns, turns),
        (models.tool_sets, tools),
        (models.interactions, acts),
        (models.graph_states, graphs),
        (models.session_ledger, ledger),
        (models.session_state, _state_rows(document)),
        (models.session_items, items),
        *_checkpoint_rows(document),
        (models.attachments, _attachment_rows(document)),
    ]


def hold_rows(document: SessionDocument) -> list[StoredRow]:
    """The rows of the legal holds that the session was ever under."""
    tenant = document.session.tenant_id
    return [_HOLD.row(tenant, hold) for hold in document.holds]


def session_row(session: Session) -> StoredRow:
    """The session's row as it was when the record was read."""
    row = _SESSION.row(session.tenant_id, session)
    row["session_id"] = session.id
    del row["activity_bucket"]  # the database's own
    if session.title == NEW_CHAT:
        row["title"] = None
    return row


def fingerprint_of(document: SessionDocument) -> bytes:
    """A checksum of what the rows above would hold, column by column, and of the
    session itself: that of equal `SessionRows`, and of no others."""
    return digest(
        document.session,
        [_TURN.selected(turn) for turn in document.turns],
        _tool_sets(document),
        [_INTERACTION.selected(act) for act in document.interactions],
        [_GRAPH_STATE.selected(graph) for graph in document.graph_states],
        document.ledger,
        [(name, _text(state)) for name, state in document.adapter_state.items()],
        [_ITEM.selected(item) for item in document.items],
        document.holds,
        [
            [shape.selected(record) for record in getattr(document.checkpoints, name)]
            for name, shape in _CHECKPOINTS.items()
        ],
        [(kept.hash, kept.media_type, kept.data) for kept in document.attachments],
    )


def _state_rows(document: SessionDocument) -> list[StoredRow]:
    session = document.session
    rows = []
    for name, state in document.adapter_state.items():
        row: StoredRow = {"tenant_id": session.tenant_id, "session_id": session.id}
        row |= {"name": name, "state": _text(state)}
        rows.append(row | {"digest": STATES.digest(row)})
    return rows


def _checkpoint_rows(document: SessionDocument) -> DocumentRows:
    tenant = document.session.tenant_id
    return [
        (
            kind.table,
            [
                with_digest(kind, _CHECKPOINTS[name].row(tenant, record))
                for record in getattr(document.checkpoints, name)
            ],
        )
        for name, kind in CHECKPOINT_ROWS.items()
    ]


def _attachment_rows(document: SessionDocument) -> list[StoredRow]:
    # Behind everything that was put: the turns that come with them name them.
    tenant = document.session.tenant_id
    return [attachment_row(tenant, kept, 0) for kept in document.attachments]


def _tool_sets(document: SessionDocument) -> list[tuple[str, str]]:
    return [(name, _text(tools)) for name, tools in document.tool_sets.items()]


def _text(value: Any) -> str:
    return dumps(value).decode()
