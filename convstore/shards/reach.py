"""How the verbs of one face get to the databases: each in a commit of its own, or all
in the one transaction of a shard."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection, Iterable
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Any, TypeVar

from convstore.shards.shard import Shard, first_error
from convstore.vocabulary.attachments import ATTACHMENT, Attachment, NotKeptError
from convstore.vocabulary.errors import ConfigError
from convstore.vocabulary.ids import check_id
from convstore.vocabulary.sharding import HOME, name_of, shard_of

if TYPE_CHECKING:
    from convstore.repositories.scope import Scope
    from convstore.store.facade import Store

T = TypeVar("T")
Work = Callable[[Any], Awaitable[T]]
"""Takes the face of one database: a store's, or that of a transaction."""


class Reach:
    """The databases of a store, as one tenant's face gets to them."""

    def __init__(self, home: Store, shards: tuple[Shard, ...], tenant: str) -> None:
        self.home_store = home
        self.shards = shards
        self.tenant = tenant
        self._home = Shard(HOME, len(shards), self._open_already)

    async def _open_already(self) -> Store:
        return self.home_store

    def for_tenant(self, tenant: str) -> Reach:
        """How another tenant's face gets to the same databases."""
        return Reach(self.home_store.for_tenant(tenant), self.shards, tenant)

    @property
    def scope(self) -> Scope:
        """What nouns of the home database work in: clock, limits and settings."""
        return self.home_store._scope

    def number(self, session_id: str) -> int:
        """The shard of a session."""
        check_id("session_id", session_id)
        return shard_of(self.tenant, session_id, len(self.shards))

    def name(self, number: int) -> str:
        """What a database is called."""
        return name_of(number, len(self.shards))

    async def on(self, session_id: str, work: Work[T]) -> T:
        """Do something in the shard of a session."""
        return await self.at(self.number(session_id), work)

    async def at(self, number: int, work: Work[T]) -> T:
        """Do something in one database."""
        shard = self._home if number == HOME else self.shards[number]
        try:
            return await shard.run(self.tenant, work)
        except NotKeptError as error:
            # It was put where no session was named.
            if number == HOME or not await self._bring(number, error.refs):
                raise
        return await shard.run(self.tenant, work)

    async def attachments(self, names: Collection[str]) -> dict[str, Attachment]:
        """What is kept under these hashes in some database, the home's first."""
        found: dict[str, Attachment] = {}
        for number in (HOME, *range(len(self.shards))):
            left = sorted({*names} - found.keys())
            if not left:
                break
            found |= await self.at(
                number,
                lambda face, left=left: face.attachments._kept(left),  # type: ignore[misc]
            )
        return found

    async def _bring(self, number: int, refs: Collection[str]) -> bool:
        """Put attachments that a session names into its shard; whether all were to be
        had."""
        names = {ref.removeprefix(ATTACHMENT) for ref in refs}
        kept = await self.attachments(names)
        if kept.keys() != names:
            return False
        for one in kept.values():
            await self.shards[number].run(
                self.tenant,
                lambda face, one=one: face.attachments.put(  # type: ignore[misc]
                    one.data, media_type=one.media_type
                ),
            )
        return True

    async def everywhere(self, work: Work[T]) -> list[T]:
        """Do something in every shard, all at once; what they give, in their order.

        Raises:
            ShardUnavailableError: One is away: what lies there cannot be told.
        """
        return await self.each(
            range(len(self.shards)), lambda number: self.at(number, work)
        )

    async def each(
        self, numbers: Iterable[int], ask: Callable[[int], Awaitable[T]]
    ) -> list[T]:
        """Ask several databases at once; what they give, in their order."""
        results: list[Any] = await asyncio.gather(
            *map(ask, numbers), return_exceptions=True
        )
        if (error := first_error(results)) is not None:
            raise error
        return results

    def one_of(self, what: str, session_ids: list[str]) -> int:
        """The shard in which all of these sessions lie.

        Raises:
            ConfigError: They lie in several; the message names two.
        """
        places = {session_id: self.number(session_id) for session_id in session_ids}
        first, *others = dict.fromkeys(places.values())
        if others:
            raise ConfigError(
                f"{what} is one commit, and its sessions lie in {self.name(first)} and "
                f"in {self.name(others[0])}: a commit keeps to one database"
            )
        return first


class Held(Reach):
    """All in one transaction, of the shard that is named first."""

    def __init__(self, outside: Reach, stack: AsyncExitStack) -> None:
        super().__init__(outside.home_store, outside.shards, outside.tenant)
        self._outside = outside
        self._stack = stack
        self._begun: tuple[int, Any] | None = None
        self._beginning = asyncio.Lock()
        self._over = False

    async def at(self, number: int, work: Work[T]) -> T:
        """Do something in the transaction, which begins with the first.

        Raises:
            ConfigError: It is another database's transaction, or over.
        """
        if self._over:
            raise ConfigError("the transaction is over: its nouns end with it")
        async with self._beginning:
            if self._begun is None:
                self._begun = number, await self._begin(number)
        held, face = self._begun
        if held != number:
            raise ConfigError(
                f"this transaction is one of {self.name(held)}, and what is asked for "
                f"lies in {self.name(number)}: a commit keeps to one database"
            )
        try:
            return await work(face)
        except NotKeptError as error:
            # In a commit of its own: SQLite has one writer, and this one has begun.
            raise ConfigError(
                "a transaction over several databases names attachments that their "
                f"shard does not keep: append {len(error.refs)} of them outside first"
            ) from error

    async def _begin(self, number: int) -> Any:
        shard = self._home if number == HOME else self.shards[number]
        store = await shard.face(self.tenant)
        self._stack.enter_context(shard.named)
        return await self._stack.enter_async_context(store.transaction())

    async def everywhere(self, work: Work[T]) -> list[T]:
        """Ask every shard: the transaction's own sees what was written in it."""
        begun = self._begun

        def ask(number: int) -> Awaitable[T]:
            if begun is not None and begun[0] == number:
                return work(begun[1])
            return self._outside.at(number, work)

        return await self.each(range(len(self.shards)), ask)

    def end(self) -> None:
        """Refuse every later call."""
        self._over = True
