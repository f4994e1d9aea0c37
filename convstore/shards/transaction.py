"""A transaction of one shard, through the face of all."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

from convstore.shards.attachments import Attachments
from convstore.shards.conversation import Conversation
from convstore.shards.ledger import Ledger
from convstore.shards.nouns import (
    Checkpoints,
    GraphStates,
    Holds,
    Interactions,
    Items,
    Sessions,
    Turns,
)
from convstore.shards.reach import Held, Reach
from convstore.store import repositories
from convstore.vocabulary.ids import check_id


class Nouns(repositories.Repositories):
    """The nouns that a store and a transaction have in common."""

    def __init__(self, reach: Reach) -> None:
        self._reach = reach
        self._scope = reach.scope
        self.sessions = Sessions(reach)
        self.turns = Turns(reach)
        self.interactions = Interactions(reach)
        self.graph_states = GraphStates(reach)
        self.items = Items(reach)
        self.attachments = Attachments(reach)
        self.checkpoints = Checkpoints(reach)
        self.holds = Holds(reach)
        self.ledger = Ledger(reach)

    def conversation(
        self, session_id: str, *, user_id: str | None = None
    ) -> Conversation:
        """A handle bound to one session of one user; asks nothing of a database."""
        return Conversation(self._reach, check_id("session_id", session_id), user_id)


class Transaction(Nouns, repositories.Transaction):
    """The nouns inside one transaction of the shard that is named first."""


@asynccontextmanager
async def transaction(reach: Reach) -> AsyncIterator[Transaction]:
    """See `Store.transaction`. Begins with the first call inside."""
    async with AsyncExitStack() as stack:
        held = Held(reach, stack)
        try:
            yield Transaction(held)
        finally:
            held.end()
