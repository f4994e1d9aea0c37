"""Graph states: put the next version, read one, list versions and namespaces."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import Connection, bindparam, func, select

from convstore.db import models
from convstore.db.codec.records import GRAPH_STATE_COLUMNS, graph_state_from_row
from convstore.db.unit import Key, Row, Unit
from convstore.vocabulary.errors import (
    ConflictError,
    TurnNotFoundError,
    VersionConflictError,
)
from convstore.vocabulary.records import GraphState

G = models.graph_states.c
_NAMES = [column.name for column in GRAPH_STATE_COLUMNS]
_OF_SESSION = (G.tenant_id == bindparam("tenant"), G.session_id == bindparam("id"))
_LATEST_VERSION = select(func.max(G.version)).where(
    *_OF_SESSION, G.namespace == bindparam("namespace")
)
_EXTERNAL = select(G.digest, *GRAPH_STATE_COLUMNS).where(
    *_OF_SESSION, G.external_id == bindparam("external")
)
_VERSION = select(*GRAPH_STATE_COLUMNS).where(
    *_OF_SESSION,
    G.namespace == bindparam("namespace"),
    G.version == bindparam("version"),
)
_HISTORY = (
    select(*GRAPH_STATE_COLUMNS)
    .where(
        *_OF_SESSION,
        G.namespace == bindparam("namespace"),
        G.version < bindparam("before"),
    )
    .order_by(G.version.desc())
    .limit(bindparam("limit"))
)
_NAMESPACES = (
    select(G.namespace, func.max(G.version))
    .where(*_OF_SESSION)
    .group_by(G.namespace)
    .order_by(G.namespace)
)


@dataclass(slots=True)
class PutGraphState:
    """Add the next version of a namespace, if the latest is as expected (0: none)."""

    key: Key
    row: Row
    size: int
    now: int
    expected_version: int | None = None
    user_id: str | None = None

    def apply(self, unit: Unit) -> GraphState:
        head = unit.active(self.key, self.user_id)
        unit.flush()
        given = {"tenant": self.key[0], "id": self.key[1]}
        row = dict(self.row)
        if row["external_id"] is not None:
            found = unit.connection.execute(
                _EXTERNAL, {**given, "external": row["external_id"]}
            ).one_or_none()
            if found is not None:
                if bytes(found[0]) != row["digest"]:
                    raise ConflictError(
                        "external_id: stored already with another content"
                    )
                return graph_state_from_row(self.key[1], found[1:])
        latest: int = (
            unit.connection.execute(
                _LATEST_VERSION, {**given, "namespace": row["namespace"]}
            ).scalar_one()
            or 0
        )
        if self.expected_version is not None and latest != self.expected_version:
            raise VersionConflictError("graph state", self.expected_version, latest)
        turn_seq = row["turn_seq"]
        if turn_seq is not None and not 1 <= turn_seq <= head.row["turn_count"]:
            raise TurnNotFoundError(self.key[1], turn_seq)
        row["tenant_id"], row["session_id"] = self.key
        row["version"] = latest + 1
        unit.add(models.graph_states, row)
        head.row["graph_state_count"] += 1
        head.touch(self.now)
        return graph_state_from_row(self.key[1], [row[name] for name in _NAMES])


def find(
    connection: Connection, key: Key, namespace: str, version: int | None
) -> GraphState | None:
    """One version, or the latest; None when there is none."""
    given = {"tenant": key[0], "id": key[1], "namespace": namespace}
    if version is None:
        latest = history(connection, key, namespace, before=2**63 - 1, limit=1)
        return latest[0] if latest else None
    row = connection.execute(_VERSION, {**given, "version": version}).one_or_none()
    return None if row is None else graph_state_from_row(key[1], row)


def history(
    connection: Connection, key: Key, namespace: str, *, before: int, limit: int
) -> list[GraphState]:
    """Versions of a namespace, newest first, below `before`."""
    given = {"tenant": key[0], "id": key[1], "namespace": namespace}
    rows = connection.execute(_HISTORY, {**given, "before": before, "limit": limit})
    return [graph_state_from_row(key[1], row) for row in rows]


def namespaces(connection: Connection, key: Key) -> dict[str, int]:
    """Every namespace of a session with its latest version."""
    rows = connection.execute(_NAMESPACES, {"tenant": key[0], "id": key[1]})
    return {row[0]: row[1] for row in rows}
