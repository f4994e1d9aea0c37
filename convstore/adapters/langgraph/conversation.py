"""The messages of a graph as the conversation of its session.

The channel is not stored with the checkpoint: that names the turn which its messages
end with. So a graph goes on with what another framework, or the application, has said.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any, NamedTuple

from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.base import (
    Checkpoint,
    CheckpointMetadata,
    CheckpointTuple,
    empty_checkpoint,
)
from langgraph.checkpoint.base.id import uuid6
from langgraph.checkpoint.serde.base import SerializerProtocol
from msgspec.structs import replace

from convstore import types
from convstore.adapters.langgraph.codec import (
    Place,
    config_of,
    decoded,
    encoded,
    named_turn,
    place_of,
)
from convstore.adapters.langgraph.digests import Digests, digest_of
from convstore.adapters.langgraph.steps import Call, Steps, Together, putting
from convstore.adapters.langgraph.turns import (
    Kept,
    are_messages,
    kept_in,
    turn_of_message,
)
from convstore.messages.neutral import plain_id

_MOST_KNOWN = 1_000
ABSENT = (types.NotFoundError, types.SessionDeletedError)
"""What says that a thread is not there, or not any more."""


class Known(NamedTuple):
    """The active branch of a session, as it was last seen: of each message the turn
    that it ends with, and a digest."""

    seqs: tuple[int, ...]
    digests: tuple[bytes, ...]
    turn_count: int

    @property
    def head(self) -> int:
        return self.seqs[-1] if self.seqs else 0


class Conversation:
    """Keeps one channel of the root graph as turns.

    Args:
        channel: Its name.
    """

    def __init__(self, channel: str) -> None:
        self.channel = channel
        # Only what saves a look: whatever is not there, or not so any more, is read.
        self._known: OrderedDict[str, Known] = OrderedDict()
        self._digests = Digests()
        self._lock = threading.Lock()

    # Reading

    def get(self, serde: SerializerProtocol, config: RunnableConfig) -> Steps:
        """The checkpoint that a config names, with its messages; the latest with those
        of now."""
        place = place_of(config)
        thread_id = config["configurable"]["thread_id"]
        found: types.Checkpoint | None = None
        with suppress(*ABSENT):
            found = yield Call(
                "checkpoints",
                "find",
                (place.session_id, place.checkpoint_id),
                {"namespace": place.namespace},
            )
        if place.namespace or (found is None and place.checkpoint_id is not None):
            return None if found is None else decoded(serde, found, thread_id)
        if found is None:
            turns = yield from self._current(place.session_id, None)
            kept = kept_in(serde, turns)
            return self._made_up(thread_id, kept) if kept else None
        return (
            yield from self.told(
                serde, found, thread_id, {}, latest=place.checkpoint_id is None
            )
        )

    def told(
        self,
        serde: SerializerProtocol,
        found: types.Checkpoint,
        thread_id: object,
        paths: dict[str, list[types.Turn]],
        *,
        latest: bool = False,
    ) -> Steps:
        """A checkpoint with its messages.

        Args:
            paths: Branches that were read already, by session; added to.
        """
        named = named_turn(serde, found, self.channel)
        if named is None or found.namespace:
            return decoded(serde, found, thread_id)
        if latest:
            turns = yield from self._current(found.session_id, named)
        else:
            turns = yield from self._path(found.session_id, named, paths)
        kept = kept_in(serde, turns)
        self._recall(found.session_id, kept)
        messages = {self.channel: [one.message for one in kept]}
        return decoded(serde, found, thread_id, messages)

    def _path(
        self, session_id: str, head: int, paths: dict[str, list[types.Turn]]
    ) -> Steps:
        """The turns up to one."""
        turns = paths.get(session_id, [])
        places = {turn.seq: place for place, turn in enumerate(turns, 1)}
        if head and head not in places:
            turns = yield Call("turns", "branch", (session_id,), {"head": head})
            paths[session_id] = turns
            return turns
        return turns[: places[head]] if head else []

    def _current(self, session_id: str, named: int | None) -> Steps:
        """The turns up to the head of the session, if that is where the turn that a
        checkpoint names has led to, or was taken back to; on another branch, the turns
        up to that one."""
        turns: list[types.Turn] = []
        with suppress(*ABSENT):
            turns = yield Call("turns", "branch", (session_id,), {})
        head = turns[-1].seq if turns else 0
        if not named or head in (0, named) or any(t.seq == named for t in turns):
            return turns
        own = yield from self._path(session_id, named, {})
        return turns if any(turn.seq == head for turn in own) else own

    def _made_up(self, thread_id: object, kept: Sequence[Kept]) -> CheckpointTuple:
        """The checkpoint of a conversation that no graph has run in yet."""
        checkpoint = empty_checkpoint()
        # Later than all that were ended, earlier than all to come.
        checkpoint["id"] = str(uuid6(clock_seq=-2))
        checkpoint["channel_values"] = {self.channel: [one.message for one in kept]}
        checkpoint["channel_versions"] = {self.channel: f"{1:032}.0"}
        return CheckpointTuple(
            config=config_of(thread_id, "", checkpoint["id"]),
            checkpoint=checkpoint,
            metadata={"source": "update", "step": -2, "parents": {}},
            pending_writes=[],
        )

    # Writing

    def put(
        self,
        serde: SerializerProtocol,
        config: RunnableConfig,
        checkpoint: Checkpoint,
        metadata: CheckpointMetadata,
    ) -> Steps:
        """Put a checkpoint: what its messages have beyond the branch as turns, in the
        same commit."""
        place = place_of(config)

        def at(turn: int | None) -> types.CheckpointInput:
            named = None if turn is None else (self.channel, turn)
            return encoded(serde, config, checkpoint, metadata, named)

        messages = checkpoint["channel_values"].get(self.channel)
        if place.namespace or messages is None or not are_messages(messages):
            yield putting(place.session_id, at(None))
            return
        try:
            yield from self._put(serde, place, config, messages, at)
        except (types.InvalidInputError, types.LimitExceededError):
            # One is too long for a turn: the graph's run is not the place to say so.
            yield putting(place.session_id, at(None))

    def _put(
        self,
        serde: SerializerProtocol,
        place: Place,
        config: RunnableConfig,
        messages: Sequence[Any],
        at: Callable[[int], types.CheckpointInput],
    ) -> Steps:
        session_id = place.session_id
        digests = tuple(self._digests.of(serde, message) for message in messages)
        user_id = plain_id(config["configurable"].get("user_id"))
        known, named = self._last(session_id), True
        while True:
            if known is None:
                known = yield from self._look(serde, session_id)
            same = _common(known.digests, digests)
            if same == len(known.digests) == len(digests):
                yield putting(session_id, at(known.head))
                self._remember(session_id, known)
                return
            change = _Change(known, same, [*messages[same:]])
            put = at(change.head)
            try:
                yield change.call(serde, session_id, user_id, put, named=named)
            except types.CheckpointsEndedError:
                raise
            except types.VersionConflictError:
                known = None  # others have gone on with it: look again
            except types.ConflictError:
                if not named:
                    raise
                named = False  # a message that was there before, on another branch
            else:
                self._remember(session_id, change.after(digests))
                return

    def _look(self, serde: SerializerProtocol, session_id: str) -> Steps:
        """The active branch of now."""
        session = yield Call("sessions", "find", (session_id,), {})
        if session is None or not session.head_seq:
            return Known((), (), 0 if session is None else session.turn_count)
        turns = []
        with suppress(*ABSENT):
            given = {"head": session.head_seq}
            turns = yield Call("turns", "branch", (session_id,), given)
        kept = kept_in(serde, turns)
        digests = tuple(digest_of(serde, one.message) for one in kept)
        seqs = tuple(one.seq for one in kept)
        if seqs and seqs[-1] != session.head_seq:
            seqs = (*seqs[:-1], session.head_seq)  # ends with turns that say nothing
        return Known(seqs, digests, session.turn_count)

    def clear(self, session_id: str, ended: Call) -> Steps:
        """End the checkpoints, and begin anew with an empty branch, in one commit."""
        self.forget(session_id)
        session = yield Call("sessions", "find", (session_id,), {})
        if session is None or not session.head_seq:
            yield ended
            return
        switch = Call("turns", "switch", (session_id, 0), {"action": "clear"})
        yield Together([ended, switch])

    def forget(self, session_id: str) -> None:
        """Look again, the next time."""
        with self._lock:
            self._known.pop(session_id, None)

    def _recall(self, session_id: str, kept: Sequence[Kept]) -> None:
        """Know the digests of messages that were just read, as far as the branch that
        was last seen has their turns: the run will put them all again."""
        known = self._last(session_id)
        if known is None:
            return
        for one, seq, digest in zip(kept, known.seqs, known.digests, strict=False):
            if one.seq != seq:
                return
            know = self._digests.know_text if one.is_text else self._digests.know
            know(one.message, digest)

    def _last(self, session_id: str) -> Known | None:
        with self._lock:
            return self._known.get(session_id)

    def _remember(self, session_id: str, known: Known) -> None:
        with self._lock:
            self._known[session_id] = known
            self._known.move_to_end(session_id)
            if len(self._known) > _MOST_KNOWN:
                self._known.popitem(last=False)


class _Change:
    """What a checkpoint's messages change of the branch: they go on from the first
    `same` messages with new ones."""

    def __init__(self, known: Known, same: int, new: list[Any]) -> None:
        self._known, self._same, self._new = known, same, new
        self._parent = known.seqs[same - 1] if same else 0
        self._count = known.turn_count + len(new)
        # As the store gives them out, unless it refuses.
        self._seqs = tuple(range(known.turn_count + 1, self._count + 1))

    @property
    def head(self) -> int:
        """The turn that the messages end with, then; 0 for none."""
        return self._seqs[-1] if self._seqs else self._parent

    def call(
        self,
        serde: SerializerProtocol,
        session_id: str,
        user_id: str | None,
        put: types.CheckpointInput,
        *,
        named: bool,
    ) -> Call:
        """Append the new ones, or only move the head, and put the checkpoint."""
        head, moves = self._known.head, self._parent != self._known.head
        turns = [turn_of_message(serde, message) for message in self._new]
        if not named or moves:
            # They may have been there before.
            turns = [replace(turn, external_id=None) for turn in turns]
        given: dict[str, Any] = {
            "create": True,
            "user_id": user_id,
            "turns": turns,
            "expected_head": head,
            "expected_turn_count": self._known.turn_count,
            "checkpoint": put,
        }
        if moves and turns:
            given["parent_seq"] = self._parent
        elif moves:
            given["switch"] = self._parent
        if moves and head:
            why = "compact" if turns else "pop" if self._parent else "clear"
            act = types.InteractionInput(why, turn_seq=head, actor_kind="code")
            given["interactions"] = [act]
        return Call("sessions", "apply", (session_id,), given)

    def after(self, digests: tuple[bytes, ...]) -> Known:
        """The branch as it is now."""
        seqs = (*self._known.seqs[: self._same], *self._seqs)
        return Known(seqs, digests, self._count)


def _common(some: Sequence[bytes], others: Sequence[bytes]) -> int:
    """How many they begin with alike."""
    count = min(len(some), len(others))
    if some[:count] == others[:count]:
        return count
    for place, (one, other) in enumerate(zip(some, others, strict=False)):
        if one != other:
            return place
    return count
