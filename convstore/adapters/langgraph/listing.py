"""Lists of checkpoints, page by page, and what pruning leaves of one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.base import CheckpointTuple, get_checkpoint_id

from convstore import types
from convstore.adapters.langgraph.codec import neutral, session_of

# Whole checkpoints are read, with all their values.
PAGE = 50


class Listing:
    """A list that was asked for, page by page."""

    def __init__(
        self,
        config: RunnableConfig | None,
        metadata: dict[str, Any] | None,
        before: RunnableConfig | None,
        limit: int | None,
    ) -> None:
        named = config["configurable"] if config else {}
        self._checkpoint_id = named.get("checkpoint_id") or None
        thread_id = named.get("thread_id")
        self.thread_id = thread_id
        self.paths: dict[str, list[types.Turn]] = {}
        # What can be no metadata of a checkpoint is that of none.
        self._impossible = neutral(metadata or {}) != (metadata or {})
        self._given: dict[str, Any] = {
            "session_id": None if thread_id is None else session_of(thread_id),
            "namespace": named.get("checkpoint_ns"),
            "metadata": metadata or None,
            "before": (get_checkpoint_id(before) or None) if before else None,
        }
        self._left = limit
        self._cursor: str | None = None
        self._begun = False

    @property
    def more(self) -> bool:
        """Whether another page is to be asked for."""
        open_ = not self._begun or self._cursor is not None
        return open_ and self._left != 0 and not self._impossible

    def page(self) -> dict[str, Any]:
        """What is asked for next."""
        most = PAGE if self._left is None else min(PAGE, max(1, self._left))
        if self._checkpoint_id is not None:
            most = PAGE
        return {**self._given, "limit": most, "cursor": self._cursor}

    def take(self, page: types.Page[types.Checkpoint]) -> Sequence[types.Checkpoint]:
        """Those of a page that were asked for."""
        self._begun, self._cursor = True, page.next_cursor
        found = [
            one
            for one in page.items
            if self._checkpoint_id in (None, one.checkpoint_id)
        ]
        if self._left is not None:
            found = found[: self._left]
            self._left -= len(found)
        return found


class Pruning:
    """What pruning leaves, told by a look at all checkpoints, newest first.

    A delta channel has no value at most steps: it is made from what was written since
    the nearest ancestor that has one.
    """

    def __init__(self, strategy: str) -> None:
        if strategy not in ("keep_latest", "delete"):
            raise ValueError(f"no strategy for pruning: {strategy!r}")
        self.keep = 1 if strategy == "keep_latest" else 0
        self.also: list[tuple[str, str]] = []
        # Of each graph: the ancestor that comes next, and the channels without a value.
        self._wanted: dict[str, tuple[str | None, set[str]]] = {}

    def look_at(self, found: CheckpointTuple) -> None:
        """Decide on the next older checkpoint."""
        named = found.config["configurable"]
        namespace, checkpoint_id = named["checkpoint_ns"], named["checkpoint_id"]
        values = found.checkpoint["channel_values"].keys()
        if namespace not in self._wanted:
            counters = found.metadata.get("counters_since_delta_snapshot") or {}
            channels = set(counters)
        else:
            wanted, channels = self._wanted[namespace]
            if wanted != checkpoint_id:
                return
        self.also.append((namespace, checkpoint_id))
        channels -= values
        parent = found.parent_config if channels else None
        above = parent["configurable"]["checkpoint_id"] if parent else None
        self._wanted[namespace] = above, channels


class Held:
    """Threads under legal hold that were met on the way: the others are done first."""

    def __init__(self) -> None:
        self._ids: dict[str, None] = {}

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: object, error: object, _: object) -> bool:
        if not isinstance(error, types.LegalHoldError):
            return False
        self._ids |= dict.fromkeys(error.session_ids)
        return True

    def tell(self) -> None:
        """Say which they were.

        Raises:
            LegalHoldError: There were some.
        """
        if self._ids:
            raise types.LegalHoldError(tuple(self._ids))


def by_session(
    page: types.Page[types.Checkpoint],
) -> dict[str, list[tuple[str, str]]]:
    """The places of a page's checkpoints, of each session."""
    places: dict[str, list[tuple[str, str]]] = {}
    for one in page.items:
        place = one.namespace, one.checkpoint_id
        places.setdefault(one.session_id, []).append(place)
    return places
