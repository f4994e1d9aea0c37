"""One database of several: opened when it is there, and named when it is not."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from types import TracebackType
from typing import TYPE_CHECKING, Any, TypeVar

from convstore.vocabulary.errors import (
    ConvstoreError,
    DatabaseUnavailableError,
    SchemaMismatchError,
    ShardUnavailableError,
    StoreClosedError,
)
from convstore.vocabulary.sharding import name_of

if TYPE_CHECKING:
    from convstore.store.facade import Store

T = TypeVar("T")

AGAIN_S = 1.0
"""A database that was away is not asked again before: each call would wait for it as
long as a connection may take."""
_MOST_FACES = 256
"""Tenants whose faces are kept; making one is a matter of microseconds."""


class Shard:
    """The store of one database, and what its absence is called."""

    def __init__(
        self, number: int, of: int, begin: Callable[[], Awaitable[Store]]
    ) -> None:
        self.number, self.of = number, of
        self._begin = begin
        self._store: Store | None = None
        self._opening = asyncio.Lock()
        self._away: tuple[float, ShardUnavailableError] | None = None
        self._faces: dict[str, Store] = {}
        self._closed = False
        self.named = Named(number, of)

    @property
    def opened(self) -> Store | None:
        """Its store, if it was there since this one was opened."""
        return self._store

    async def store(self) -> Store:
        """The store of this database.

        Raises:
            ShardUnavailableError: It is away.
            SchemaMismatchError, ConfigError: It is not what it must be.
        """
        if self._store is not None:
            return self._store
        async with self._opening:
            if self._closed:
                raise StoreClosedError("the store is closed")
            if self._store is None:
                await self._open()
        assert self._store is not None
        return self._store

    async def _open(self) -> None:
        now = asyncio.get_running_loop().time()
        if self._away is not None and now < self._away[0]:
            _, error = self._away
            raise ShardUnavailableError(error.shard, error.shards, error.problem)
        try:
            with self.named:
                self._store = await self._begin()
        except ShardUnavailableError as error:
            self._away = asyncio.get_running_loop().time() + AGAIN_S, error
            raise
        except SchemaMismatchError as error:
            told = f"{error.remedy} ({name_of(self.number, self.of)})"
            raise SchemaMismatchError(error.found, error.wanted, told) from error

    async def run(self, tenant: str, work: Callable[[Any], Awaitable[T]]) -> T:
        """Do `work` with the tenant's face of this database."""
        with self.named:
            return await work(await self.face(tenant))

    async def face(self, tenant: str) -> Store:
        """A tenant's face of this database."""
        found = self._faces.get(tenant)
        if found is None:
            store = await self.store()
            found = store if store.tenant == tenant else store.for_tenant(tenant)
            if len(self._faces) >= _MOST_FACES:
                self._faces.clear()
            self._faces[tenant] = found
        return found

    async def close(self) -> None:
        """Close it, and open it no more. Idempotent."""
        async with self._opening:
            self._closed = True
            if self._store is not None:
                await self._store.close()


class Named:
    """Says of a database that is away which one it is."""

    __slots__ = ("_number", "_of")

    def __init__(self, number: int, of: int) -> None:
        self._number, self._of = number, of

    def __enter__(self) -> None:
        return None

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if isinstance(error, DatabaseUnavailableError) and not isinstance(
            error, ShardUnavailableError
        ):
            told = ShardUnavailableError(self._number, self._of, str(error))
            raise told from error


def first_error(results: list[Any]) -> BaseException | None:
    """Of what several databases gave, the error that says most: one of the call itself
    before one of a database that is away."""
    errors = [each for each in results if isinstance(each, BaseException)]
    for error in errors:
        if not isinstance(error, ConvstoreError):
            return error
    for error in errors:
        if not isinstance(error, ShardUnavailableError):
            return error
    return errors[0] if errors else None
