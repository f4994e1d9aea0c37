"""Turns the asynchronous face into the blocking one, whatever verbs it has.

Coroutines become results, asynchronous generators iterators, asynchronous context
managers context managers; a noun, a conversation, a transaction and a tenant's store
become their blocking twins. Records pass through as they are.
"""

from __future__ import annotations

import inspect
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import AbstractAsyncContextManager, contextmanager
from functools import partial, wraps
from types import TracebackType
from typing import TYPE_CHECKING, Any, TypeAlias, cast

from convstore.blocking import awaiting
from convstore.blocking.loop import Loop, Portal, Relaying, Strand
from convstore.blocking.twin import Entering, Twin, is_asynchronous
from convstore.shards import opening
from convstore.vocabulary.clock import Clock
from convstore.vocabulary.errors import ConfigError

if TYPE_CHECKING:
    from convstore.db.joined import HostConnection, HostEngine
    from convstore.store import facade
    from convstore.vocabulary.settings import StoreConfig


@contextmanager
def open_store(
    target: str | StoreConfig | HostEngine | None = None,
    *,
    shards: Sequence[str] | None = None,
    clock: Clock | None = None,
) -> Iterator[Store]:
    """Open a store for threads, and close it at the end of the block.

    As `convstore.open_store`, without `await`: any number of threads may share it. Its
    one event loop runs on a background thread. A process that forks opens its own.
    """
    opened = opening.open_store(target, shards=shards, clock=clock)
    with Loop() as loop, Context(loop, opened) as it:
        yield it


def over(store: facade.Store | Store) -> Store:
    """The blocking face of a store that is open already, for an adapter to a framework
    that calls from threads and from tasks alike.

    Every call is carried out in the event loop that the store was opened in. A blocking
    call on that loop's own thread could never return, and raises `ConfigError` at once;
    there, and anywhere else, `over(store).awaitable` serves.

    Args:
        store: An asynchronous one, an awaitable one, or a blocking one, which is given
            back as it is.

    Raises:
        ConfigError: It is no open store.
    """
    if isinstance(store, Store):
        return store
    _check(store)
    if isinstance(store, awaiting.Store):
        return Store(*awaiting.parts_of(store))
    return Store(Portal(store.loop), store)


AnyStore: TypeAlias = "facade.Store | Store"
"""What an adapter may be given."""


def awaited(store: AnyStore) -> facade.Store:
    """The face of an open store for an adapter that awaits: of a blocking one its
    awaitable twin, which any event loop may await; others as they are.

    Raises:
        ConfigError: It is no open store.
    """
    if isinstance(store, Store):
        return store.awaitable
    _check(store)
    return store


def _check(store: Any) -> None:
    """What `open_store` gives is open inside its block alone, and a URL is no store:
    told here, where it is given, and not by the first call of a framework."""
    if not hasattr(store, "sessions"):
        raise ConfigError(
            f"store: {type(store).__name__} is no open store; give what "
            "`async with open_store(...) as store` or "
            "`with convstore.blocking.open_store(...) as store` names"
        )


class Face(Twin):
    """The blocking twin of one asynchronous object."""

    _kind = "blocking"

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(f"{type(self).__name__} has no attribute {name!r}")
        value = getattr(self._target, name)
        if callable(value):
            return _verb(self._loop, value)
        return blocking(self._loop, value)


class Store(Face):
    """The blocking twin of `convstore.Store`."""

    def joined(self, connection: HostConnection) -> Transaction:
        """The nouns inside the application's transaction; see `convstore.Store`.

        Work on the connection is done by the thread that calls the verb.
        """
        self._loop.check()
        return Transaction(Relaying(self._loop), self._target.joined(connection))

    @property
    def awaitable(self) -> facade.Store:
        """The same store for tasks of any event loop, in any thread.

        The face of `convstore.Store`, and in its place wherever one is expected; only
        `joined` is refused, as a connection belongs to one loop. A call that is
        cancelled is told so when it has ended: it happened or did not, as a whole.
        """
        return cast("facade.Store", awaiting.Store(self._loop, self._target))

    def __dir__(self) -> list[str]:
        return [*super().__dir__(), "awaitable"]

    def close(self) -> None:
        """Finish what is queued and let go of everything. Idempotent."""
        if not (self._loop.is_forked or self._loop.is_closed):
            self._loop.run(self._target.close())


class Transaction(Face):
    """The blocking twin of `convstore.Transaction`."""


class Conversation(Face):
    """The blocking twin of a bound conversation."""


_TWINS = {twin.__name__: twin for twin in (Store, Transaction, Conversation)}


class Context(Entering):
    """A context manager for threads."""

    def __enter__(self) -> Any:
        try:
            value = self._strand.run(self._enter)
        except BaseException:
            self._strand.end(self._undo)
            raise
        return blocking(self._loop, value)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> bool | None:
        if self._loop.is_forked:
            return None  # what was entered belongs to the parent process
        leave = partial(self._target.__aexit__, kind, error, traceback)
        if self._loop.is_current:
            # The garbage collector closed the block's generator on our own thread.
            self._strand.end(leave)
            return None
        try:
            return self._strand.run(partial(self._leave, leave))
        finally:
            self._strand.end(self._undo)


def blocking(loop: Portal, value: Any) -> Any:
    """`value` as threads may use it; an awaitable is waited for."""
    if inspect.isawaitable(value):
        return blocking(loop, loop.run(value))
    if isinstance(value, AsyncIterator):
        return _iterate(loop, value)
    if isinstance(value, AbstractAsyncContextManager):
        return Context(loop, value)
    if is_asynchronous(value):
        return _TWINS.get(type(value).__name__, Face)(loop, value)
    return value


def _verb(loop: Portal, verb: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(verb)
    def call(*args: Any, **kwargs: Any) -> Any:
        # First, because a coroutine that is made and then refused would complain.
        loop.check()
        return blocking(loop, verb(*args, **kwargs))

    return call


def _iterate(loop: Portal, source: AsyncIterator[Any]) -> Iterator[Any]:
    strand = Strand(loop)
    try:
        while True:
            try:
                value = strand.run(source.__anext__)
            except StopAsyncIteration:
                return
            yield blocking(loop, value)
    finally:
        # Not waited for: the garbage collector may be closing this, on any thread.
        strand.end(getattr(source, "aclose", None))
