"""LangGraph's checkpointer over `store.checkpoints`."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import suppress
from typing import Any

from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.base import (
    BaseCheckpointSaver,
    ChannelVersions,
    Checkpoint,
    CheckpointMetadata,
    CheckpointTuple,
)
from langgraph.checkpoint.base.id import uuid6
from langgraph.checkpoint.serde.base import SerializerProtocol
from langgraph.checkpoint.serde.encrypted import EncryptedSerializer

from convstore import blocking, types
from convstore.adapters.langgraph.codec import (
    config_of,
    decoded,
    encoded,
    encoded_writes,
    place_of,
    session_of,
)
from convstore.adapters.langgraph.conversation import ABSENT, Conversation
from convstore.adapters.langgraph.listing import (
    PAGE,
    Held,
    Listing,
    Pruning,
    by_session,
)
from convstore.adapters.langgraph.steps import Call, Steps, in_task, in_thread, putting


class ConvstoreSaver(BaseCheckpointSaver[str]):
    """Keeps the checkpoints of a graph in the sessions of a store: a thread is one.

    Each method serves from any thread and any event loop. A synchronous one on the
    thread of the store's own loop could never return, and raises `ConfigError` at once.

    Args:
        store: An open one: asynchronous, awaitable or blocking, of any tenant.
        conversation: The channel of the root graph whose messages are the turns of the
            session, which windows, exports and other frameworks read, and may go on
            with; None for none. What is encrypted is never among them.
        serde: What writes and reads values; LangGraph's own by default.
    """

    def __init__(
        self,
        store: types.Store | blocking.Store,
        *,
        conversation: str | None = "messages",
        serde: SerializerProtocol | None = None,
    ) -> None:
        super().__init__(serde=serde)
        self._threads = blocking.over(store)
        self._tasks = self._threads.awaitable
        self._talk = None if conversation is None else Conversation(conversation)

    @property
    def _conversation(self) -> Conversation | None:
        """The conversation, unless its words are to be read by nobody else."""
        return None if isinstance(self.serde, EncryptedSerializer) else self._talk

    def get_next_version(self, current: str | None, channel: None) -> str:
        """The next version of a channel; two branches never have the same."""
        number = 0 if current is None else int(str(current).split(".", 1)[0])
        # Told apart, not kept secret.
        return f"{number + 1:032}.{random.random():016}"

    # Reading

    def get_tuple(self, config: RunnableConfig) -> CheckpointTuple | None:
        found: CheckpointTuple | None = in_thread(self._threads, self._get(config))
        return found

    async def aget_tuple(self, config: RunnableConfig) -> CheckpointTuple | None:
        found: CheckpointTuple | None = await in_task(self._tasks, self._get(config))
        return found

    def list(
        self,
        config: RunnableConfig | None,
        *,
        filter: dict[str, Any] | None = None,  # noqa: A002 - LangGraph's name
        before: RunnableConfig | None = None,
        limit: int | None = None,
    ) -> Iterator[CheckpointTuple]:
        listing = Listing(config, filter, before, limit)
        while listing.more:
            try:
                page = self._threads.checkpoints.list(**listing.page())
            except ABSENT:
                return
            for found in listing.take(page):
                yield in_thread(self._threads, self._listed(found, listing))

    async def alist(
        self,
        config: RunnableConfig | None,
        *,
        filter: dict[str, Any] | None = None,  # noqa: A002 - LangGraph's name
        before: RunnableConfig | None = None,
        limit: int | None = None,
    ) -> AsyncIterator[CheckpointTuple]:
        listing = Listing(config, filter, before, limit)
        while listing.more:
            try:
                page = await self._tasks.checkpoints.list(**listing.page())
            except ABSENT:
                return
            for found in listing.take(page):
                yield await in_task(self._tasks, self._listed(found, listing))

    # Writing

    def put(
        self,
        config: RunnableConfig,
        checkpoint: Checkpoint,
        metadata: CheckpointMetadata,
        new_versions: ChannelVersions,
    ) -> RunnableConfig:
        in_thread(self._threads, self._put(config, checkpoint, metadata))
        return _named(config, checkpoint)

    async def aput(
        self,
        config: RunnableConfig,
        checkpoint: Checkpoint,
        metadata: CheckpointMetadata,
        new_versions: ChannelVersions,
    ) -> RunnableConfig:
        await in_task(self._tasks, self._put(config, checkpoint, metadata))
        return _named(config, checkpoint)

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
        """Delete a thread's checkpoints, and leave its conversation behind; a late
        write of a run raises, and brings none back. A new run begins anew.

        Raises:
            LegalHoldError: It is under legal hold; nothing was changed.
        """
        in_thread(self._threads, self._end(thread_id))

    async def adelete_thread(self, thread_id: str) -> None:
        """As `delete_thread`."""
        await in_task(self._tasks, self._end(thread_id))

    def delete_for_runs(self, run_ids: Sequence[str]) -> None:
        """Delete what these runs made, in every live thread.

        Raises:
            LegalHoldError: Threads of them are under legal hold; all others are done.
        """
        held = Held()
        for run_id in map(str, run_ids):
            cursor: str | None = None
            while True:
                page = self._threads.checkpoints.list(
                    run_id=run_id, limit=PAGE, cursor=cursor
                )
                for session_id, some in by_session(page).items():
                    with held:
                        self._threads.checkpoints.delete(session_id, some)
                if (cursor := page.next_cursor) is None:
                    break
        held.tell()

    async def adelete_for_runs(self, run_ids: Sequence[str]) -> None:
        """As `delete_for_runs`."""
        held = Held()
        for run_id in map(str, run_ids):
            cursor: str | None = None
            while True:
                page = await self._tasks.checkpoints.list(
                    run_id=run_id, limit=PAGE, cursor=cursor
                )
                for session_id, some in by_session(page).items():
                    with held:
                        await self._tasks.checkpoints.delete(session_id, some)
                if (cursor := page.next_cursor) is None:
                    break
        held.tell()

    def copy_thread(self, source_thread_id: str, target_thread_id: str) -> None:
        """Copy all checkpoints, on the server; nothing, if there are none. Messages
        are turns of the copy, too."""
        source, target = session_of(source_thread_id), session_of(target_thread_id)
        try:
            self._threads.checkpoints.copy(source, target)
        except types.NotFoundError:
            return
        if self._conversation is not None:
            self._conversation.forget(target)
            config: RunnableConfig = {"configurable": {"thread_id": source_thread_id}}
            for found in [*self.list(config)][::-1]:
                again = _in_thread(found, target_thread_id)
                in_thread(self._threads, self._put(*again))

    async def acopy_thread(self, source_thread_id: str, target_thread_id: str) -> None:
        """As `copy_thread`."""
        source, target = session_of(source_thread_id), session_of(target_thread_id)
        try:
            await self._tasks.checkpoints.copy(source, target)
        except types.NotFoundError:
            return
        if self._conversation is not None:
            self._conversation.forget(target)
            config: RunnableConfig = {"configurable": {"thread_id": source_thread_id}}
            for found in [one async for one in self.alist(config)][::-1]:
                again = _in_thread(found, target_thread_id)
                await in_task(self._tasks, self._put(*again))

    def prune(
        self, thread_ids: Sequence[str], *, strategy: str = "keep_latest"
    ) -> None:
        """Keep the latest checkpoint of each graph, with the ancestors that its delta
        channels are made from; or none, with the strategy `delete`.

        Raises:
            LegalHoldError: Threads of these are under legal hold; all others are done.
        """
        held = Held()
        for thread_id in thread_ids:
            kept = Pruning(strategy)
            config: RunnableConfig = {"configurable": {"thread_id": thread_id}}
            if kept.keep:
                for found in self.list(config):
                    kept.look_at(found)
            with held, suppress(*ABSENT):
                self._threads.checkpoints.prune(
                    session_of(thread_id), keep=kept.keep, also=kept.also
                )
        held.tell()

    async def aprune(
        self, thread_ids: Sequence[str], *, strategy: str = "keep_latest"
    ) -> None:
        """As `prune`."""
        held = Held()
        for thread_id in thread_ids:
            kept = Pruning(strategy)
            config: RunnableConfig = {"configurable": {"thread_id": thread_id}}
            if kept.keep:
                async for found in self.alist(config):
                    kept.look_at(found)
            with held, suppress(*ABSENT):
                await self._tasks.checkpoints.prune(
                    session_of(thread_id), keep=kept.keep, also=kept.also
                )
        held.tell()

    # What both kinds of methods share

    def _get(self, config: RunnableConfig) -> Steps:
        if (talk := self._conversation) is not None:
            return (yield from talk.get(self.serde, config))
        session_id, namespace, checkpoint_id = place_of(config)
        args, given = (session_id, checkpoint_id), {"namespace": namespace}
        try:
            found = yield Call("checkpoints", "find", args, given)
        except ABSENT:
            return None
        thread_id = config["configurable"]["thread_id"]
        return None if found is None else decoded(self.serde, found, thread_id)

    def _listed(self, found: types.Checkpoint, listing: Listing) -> Steps:
        thread_id = listing.thread_id or found.session_id
        if (talk := self._conversation) is None:
            return decoded(self.serde, found, thread_id)
        return (yield from talk.told(self.serde, found, thread_id, listing.paths))

    def _put(
        self,
        config: RunnableConfig,
        checkpoint: Checkpoint,
        metadata: CheckpointMetadata,
    ) -> Steps:
        if (talk := self._conversation) is not None:
            yield from talk.put(self.serde, config, checkpoint, metadata)
            return
        given = encoded(self.serde, config, checkpoint, metadata)
        yield putting(place_of(config).session_id, given)

    def _end(self, thread_id: str) -> Steps:
        session_id = session_of(thread_id)
        ended = Call("checkpoints", "end", (session_id,), {"through": _now()})
        try:
            if (talk := self._conversation) is not None:
                yield from talk.clear(session_id, ended)
            else:
                yield ended
        except ABSENT:
            return

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


def _named(config: RunnableConfig, checkpoint: Checkpoint) -> RunnableConfig:
    named = config["configurable"]
    namespace = named.get("checkpoint_ns") or ""
    return config_of(named["thread_id"], namespace, checkpoint["id"])


def _in_thread(
    found: CheckpointTuple, thread_id: str
) -> tuple[RunnableConfig, Checkpoint, CheckpointMetadata]:
    """What puts a checkpoint again, in another thread."""
    namespace = found.config["configurable"]["checkpoint_ns"]
    above = found.parent_config or {"configurable": {}}
    parent_id = above["configurable"].get("checkpoint_id")
    named = {"thread_id": thread_id, "checkpoint_ns": namespace}
    config: RunnableConfig = {"configurable": {**named, "checkpoint_id": parent_id}}
    return config, found.checkpoint, found.metadata


def _now() -> str:
    """An id greater than those of all checkpoints made before."""
    return str(uuid6(clock_seq=-2))
