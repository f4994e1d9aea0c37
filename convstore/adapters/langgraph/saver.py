"""LangGraph's checkpointer over `store.checkpoints`."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator, Iterator, Sequence
from typing import Any

from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.base import (
    BaseCheckpointSaver,
    ChannelVersions,
    Checkpoint,
    CheckpointMetadata,
    CheckpointTuple,
    get_checkpoint_id,
)
from langgraph.checkpoint.base.id import uuid6
from langgraph.checkpoint.serde.base import SerializerProtocol

from convstore import blocking, types
from convstore.adapters.langgraph.codec import (
    config_of,
    decoded,
    encoded,
    encoded_writes,
    neutral,
    place_of,
    session_of,
)

# Whole checkpoints are read, with all their values.
_PAGE = 50


class ConvstoreSaver(BaseCheckpointSaver[str]):
    """Keeps the checkpoints of a graph in the sessions of a store: a thread is one.

    Each method serves from any thread and any event loop. A synchronous one on the
    thread of the store's own loop could never return, and raises `ConfigError` at once.

    Args:
        store: An open one: asynchronous, awaitable or blocking, of any tenant.
        serde: What writes and reads values; LangGraph's own by default.
    """

    def __init__(
        self,
        store: types.Store | blocking.Store,
        *,
        serde: SerializerProtocol | None = None,
    ) -> None:
        super().__init__(serde=serde)
        self._threads = blocking.over(store)
        self._tasks = self._threads.awaitable

    def get_next_version(self, current: str | None, channel: None) -> str:
        """The next version of a channel; two branches never have the same."""
        number = 0 if current is None else int(str(current).split(".", 1)[0])
        # Told apart, not kept secret.
        return f"{number + 1:032}.{random.random():016}"

    # Reading

    def get_tuple(self, config: RunnableConfig) -> CheckpointTuple | None:
        session_id, namespace, checkpoint_id = place_of(config)
        try:
            found = self._threads.checkpoints.find(
                session_id, checkpoint_id, namespace=namespace
            )
        except types.NotFoundError:
            return None
        return self._decoded(found, config)

    async def aget_tuple(self, config: RunnableConfig) -> CheckpointTuple | None:
        session_id, namespace, checkpoint_id = place_of(config)
        try:
            found = await self._tasks.checkpoints.find(
                session_id, checkpoint_id, namespace=namespace
            )
        except types.NotFoundError:
            return None
        return self._decoded(found, config)

    def list(
        self,
        config: RunnableConfig | None,
        *,
        filter: dict[str, Any] | None = None,  # noqa: A002 - LangGraph's name
        before: RunnableConfig | None = None,
        limit: int | None = None,
    ) -> Iterator[CheckpointTuple]:
        listing = _Listing(config, filter, before, limit)
        while listing.more:
            try:
                page = self._threads.checkpoints.list(**listing.page())
            except types.NotFoundError:
                return
            yield from (self._listed(found, config) for found in listing.take(page))

    async def alist(
        self,
        config: RunnableConfig | None,
        *,
        filter: dict[str, Any] | None = None,  # noqa: A002 - LangGraph's name
        before: RunnableConfig | None = None,
        limit: int | None = None,
    ) -> AsyncIterator[CheckpointTuple]:
        listing = _Listing(config, filter, before, limit)
        while listing.more:
            try:
                page = await self._tasks.checkpoints.list(**listing.page())
            except types.NotFoundError:
                return
            for found in listing.take(page):
                yield self._listed(found, config)

    # Writing

    def put(
        self,
        config: RunnableConfig,
        checkpoint: Checkpoint,
        metadata: CheckpointMetadata,
        new_versions: ChannelVersions,
    ) -> RunnableConfig:
        session_id, given = self._given(config, checkpoint, metadata)
        self._threads.checkpoints.put(session_id, checkpoint["id"], **given)
        return self._put(config, checkpoint)

    async def aput(
        self,
        config: RunnableConfig,
        checkpoint: Checkpoint,
        metadata: CheckpointMetadata,
        new_versions: ChannelVersions,
    ) -> RunnableConfig:
        session_id, given = self._given(config, checkpoint, metadata)
        await self._tasks.checkpoints.put(session_id, checkpoint["id"], **given)
        return self._put(config, checkpoint)

    def put_writes(
        self,
        config: RunnableConfig,
        writes: Sequence[tuple[str, Any]],
        task_id: str,
        task_path: str = "",
    ) -> None:
        args, given = self._writes(config, writes, task_id, task_path)
        self._threads.checkpoints.put_writes(*args, **given)

    async def aput_writes(
        self,
        config: RunnableConfig,
        writes: Sequence[tuple[str, Any]],
        task_id: str,
        task_path: str = "",
    ) -> None:
        args, given = self._writes(config, writes, task_id, task_path)
        await self._tasks.checkpoints.put_writes(*args, **given)

    # Taking away

    def delete_thread(self, thread_id: str) -> None:
        """Delete a thread's checkpoints; a late write of a run raises, and brings none
        back. A new run begins anew."""
        session_id, through = session_of(thread_id), _now()
        try:
            self._threads.checkpoints.end(session_id, through=through)
        except types.NotFoundError:
            return

    async def adelete_thread(self, thread_id: str) -> None:
        """As `delete_thread`."""
        session_id, through = session_of(thread_id), _now()
        try:
            await self._tasks.checkpoints.end(session_id, through=through)
        except types.NotFoundError:
            return

    def delete_for_runs(self, run_ids: Sequence[str]) -> None:
        """Delete what these runs made, in every live thread."""
        for run_id in map(str, run_ids):
            while places := _by_session(
                self._threads.checkpoints.list(run_id=run_id, limit=_PAGE)
            ):
                for session_id, some in places.items():
                    self._threads.checkpoints.delete(session_id, some)

    async def adelete_for_runs(self, run_ids: Sequence[str]) -> None:
        """As `delete_for_runs`."""
        for run_id in map(str, run_ids):
            while places := _by_session(
                await self._tasks.checkpoints.list(run_id=run_id, limit=_PAGE)
            ):
                for session_id, some in places.items():
                    await self._tasks.checkpoints.delete(session_id, some)

    def copy_thread(self, source_thread_id: str, target_thread_id: str) -> None:
        """Copy all checkpoints, on the server; nothing, if there are none."""
        source, target = session_of(source_thread_id), session_of(target_thread_id)
        try:
            self._threads.checkpoints.copy(source, target)
        except types.NotFoundError:
            return

    async def acopy_thread(self, source_thread_id: str, target_thread_id: str) -> None:
        """As `copy_thread`."""
        source, target = session_of(source_thread_id), session_of(target_thread_id)
        try:
            await self._tasks.checkpoints.copy(source, target)
        except types.NotFoundError:
            return

    def prune(
        self, thread_ids: Sequence[str], *, strategy: str = "keep_latest"
    ) -> None:
        """Keep the latest checkpoint of each graph, with the ancestors that its delta
        channels are made from; or none, with the strategy `delete`."""
        for thread_id in thread_ids:
            kept = _Kept(strategy)
            config: RunnableConfig = {"configurable": {"thread_id": thread_id}}
            if kept.keep:
                for found in self.list(config):
                    kept.look_at(found)
            try:
                self._threads.checkpoints.prune(
                    session_of(thread_id), keep=kept.keep, also=kept.also
                )
            except types.NotFoundError:
                continue

    async def aprune(
        self, thread_ids: Sequence[str], *, strategy: str = "keep_latest"
    ) -> None:
        """As `prune`."""
        for thread_id in thread_ids:
            kept = _Kept(strategy)
            config: RunnableConfig = {"configurable": {"thread_id": thread_id}}
            if kept.keep:
                async for found in self.alist(config):
                    kept.look_at(found)
            try:
                await self._tasks.checkpoints.prune(
                    session_of(thread_id), keep=kept.keep, also=kept.also
                )
            except types.NotFoundError:
                continue

    # What both kinds of methods share

    def _given(
        self,
        config: RunnableConfig,
        checkpoint: Checkpoint,
        metadata: CheckpointMetadata,
    ) -> tuple[str, dict[str, Any]]:
        session_id, namespace, parent_id = place_of(config)
        given = encoded(self.serde, config, checkpoint, metadata)
        given |= {"namespace": namespace, "parent_id": parent_id, "create": True}
        return session_id, given

    def _put(self, config: RunnableConfig, checkpoint: Checkpoint) -> RunnableConfig:
        named = config["configurable"]
        namespace = named.get("checkpoint_ns") or ""
        return config_of(named["thread_id"], namespace, checkpoint["id"])

    def _writes(
        self,
        config: RunnableConfig,
        writes: Sequence[tuple[str, Any]],
        task_id: str,
        task_path: str,
    ) -> tuple[tuple[str, str, Any], dict[str, Any]]:
        session_id, namespace, checkpoint_id = place_of(config)
        if checkpoint_id is None:
            raise KeyError("checkpoint_id")
        kept, replace = encoded_writes(self.serde, writes, task_id, task_path)
        given = {"namespace": namespace, "replace": replace, "create": True}
        return (session_id, checkpoint_id, kept), given

    def _decoded(
        self, found: types.Checkpoint | None, config: RunnableConfig
    ) -> CheckpointTuple | None:
        if found is None:
            return None
        return decoded(self.serde, found, config["configurable"]["thread_id"])

    def _listed(
        self, found: types.Checkpoint, config: RunnableConfig | None
    ) -> CheckpointTuple:
        named = config["configurable"] if config else {}
        return decoded(self.serde, found, named.get("thread_id", found.session_id))


class _Listing:
    """A list that was asked for, page by page."""

    def __init__(
        self,
        config: RunnableConfig | None,
        metadata: dict[str, Any] | None,
        before: RunnableConfig | None,
        limit: int | None,
    ) -> None:
        named = config["configurable"] if config else {}
        self._checkpoint_id = named.get("checkpoint_id")
        thread_id = named.get("thread_id")
        # What can be no metadata of a checkpoint is that of none.
        self._impossible = neutral(metadata or {}) != (metadata or {})
        self._given: dict[str, Any] = {
            "session_id": None if thread_id is None else session_of(thread_id),
            "namespace": named.get("checkpoint_ns"),
            "metadata": metadata or None,
            "before": get_checkpoint_id(before) if before else None,
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
        most = _PAGE if self._left is None else min(_PAGE, max(1, self._left))
        if self._checkpoint_id is not None:
            most = _PAGE
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


class _Kept:
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


def _by_session(
    page: types.Page[types.Checkpoint],
) -> dict[str, list[tuple[str, str]]]:
    places: dict[str, list[tuple[str, str]]] = {}
    for one in page.items:
        place = one.namespace, one.checkpoint_id
        places.setdefault(one.session_id, []).append(place)
    return places


def _now() -> str:
    """An id greater than those of all checkpoints made before."""
    return str(uuid6(clock_seq=-2))
