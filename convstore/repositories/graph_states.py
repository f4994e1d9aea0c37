"""The noun `graph_states`: versioned snapshots of the application's graph."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from convstore.db import graph_states as rows
from convstore.db.codec.inputs import graph_state_row, row_size
from convstore.repositories.cursors import check_limit, decode_cursor, encode_cursor
from convstore.repositories.scope import Scope
from convstore.vocabulary.codec import INT64_MAX, check_int
from convstore.vocabulary.errors import GraphStateNotFoundError
from convstore.vocabulary.ids import check_id
from convstore.vocabulary.records import DEFAULT_NAMESPACE, GraphState, Json, Page


class GraphStates:
    """Graph states of the scope's sessions."""

    def __init__(self, scope: Scope) -> None:
        self._scope = scope

    async def put(
        self,
        session_id: str,
        state: Json,
        *,
        namespace: str = DEFAULT_NAMESPACE,
        expected_version: int | None = None,
        turn_seq: int | None = None,
        metadata: Mapping[str, Json] | None = None,
        external_id: str | None = None,
        created_at: datetime | None = None,
    ) -> GraphState:
        """Add the next version of a namespace; earlier versions stay.

        Args:
            state: Any JSON value.
            expected_version: Put only if the latest version is this one; 0 means that
                there is none yet. None puts without asking.
            turn_seq: The turn that made it.
            external_id: As in `Turns.append`.

        Raises:
            VersionConflictError: Somebody else put a version meanwhile.
        """
        limits, now = self._scope.limits, self._scope.now()
        if expected_version is not None:
            check_int("expected_version", expected_version)
        row = graph_state_row(
            limits,
            now,
            namespace=namespace,
            state=state,
            turn_seq=turn_seq,
            metadata=metadata,
            external_id=external_id,
            created_at=created_at,
        )
        key = self._scope.key(check_id("session_id", session_id))
        return await self._scope.write(
            rows.PutGraphState(
                key, row, row_size(row), now, expected_version, self._scope.user_id
            )
        )

    async def get(
        self,
        session_id: str,
        *,
        namespace: str = DEFAULT_NAMESPACE,
        version: int | None = None,
    ) -> GraphState:
        """The latest version, or the one asked for.

        Raises:
            GraphStateNotFoundError: There is none.
        """
        found = await self.find(session_id, namespace=namespace, version=version)
        if found is None:
            raise GraphStateNotFoundError(session_id, namespace, version)
        return found

    async def find(
        self,
        session_id: str,
        *,
        namespace: str = DEFAULT_NAMESPACE,
        version: int | None = None,
    ) -> GraphState | None:
        """As `get`, with None when the session has no such graph state."""
        check_id("namespace", namespace)
        if version is not None:
            check_int("version", version)
        key = self._scope.key(check_id("session_id", session_id))

        return await self._scope.live(
            session_id, lambda c, _: rows.find(c, key, namespace, version)
        )

    async def list(
        self,
        session_id: str,
        *,
        namespace: str = DEFAULT_NAMESPACE,
        limit: int = 20,
        cursor: str | None = None,
    ) -> Page[GraphState]:
        """The versions of a namespace, newest first, a page at a time."""
        check_limit(self._scope.limits, limit)
        check_id("namespace", namespace)
        before = INT64_MAX if cursor is None else decode_cursor(cursor, int)[0]
        key = self._scope.key(check_id("session_id", session_id))

        found = await self._scope.live(
            session_id,
            lambda c, _: rows.history(
                c, key, namespace, before=before, limit=limit + 1
            ),
        )
        more = len(found) > limit
        return Page(
            tuple(found[:limit]),
            encode_cursor(found[limit - 1].version) if more else None,
        )

    async def namespaces(self, session_id: str) -> dict[str, int]:
        """Every namespace of the session with its latest version."""
        key = self._scope.key(check_id("session_id", session_id))

        return await self._scope.live(session_id, lambda c, _: rows.namespaces(c, key))
