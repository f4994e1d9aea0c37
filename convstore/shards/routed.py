"""Makes the verbs that only have to be sent to the right database, by the table."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable, Iterator
from functools import wraps
from typing import Any, TypeVar

from convstore.shards.placing import PLACES, Placing
from convstore.shards.reach import Reach
from convstore.vocabulary.sharding import HOME

K = TypeVar("K", bound=type)
Verb = Callable[..., Awaitable[Any]]


class OverReach:
    """A noun of one face over several databases."""

    def __init_subclass__(cls) -> None:
        show_signatures(cls)

    def __init__(self, reach: Reach) -> None:
        self._reach = reach


def show_signatures(cls: K) -> K:
    """A class decorator: the verbs that are written in this room, and pass on what they
    are given, show the signatures of those that they stand for."""
    for place, owner in enumerate(cls.__mro__):
        if not owner.__module__.startswith("convstore.shards."):
            continue
        for name, verb in vars(owner).items():
            if name.startswith("_") or not inspect.isfunction(verb):
                continue
            behind = cls.__mro__[place + 1 :]
            original = next((vars(b)[name] for b in behind if name in vars(b)), None)
            if original is not None and not hasattr(verb, "__wrapped__"):
                verb.__dict__["__wrapped__"] = original
    return cls


def routed(noun: str) -> Callable[[K], K]:
    """A class decorator: fills in the verbs of `noun` that have no code of their own.

    The class is a subclass of the store's noun, so that whoever has one has the other.
    """

    def fill(cls: K) -> K:
        for name, placing in PLACES[noun].items():
            if placing in _MAKERS:
                original = getattr(cls, name)
                setattr(cls, name, _MAKERS[placing](noun, name, original))
        return cls

    return fill


def _by_session(noun: str, name: str, original: Verb) -> Verb:
    @wraps(original)
    async def verb(self: Any, *args: Any, **kwargs: Any) -> Any:
        session_id = args[0] if args else kwargs.get("session_id")
        args = tuple(map(kept, args))
        return await self._reach.on(
            session_id, lambda face: getattr(_of(face, noun), name)(*args, **kwargs)
        )

    return verb


def _by_item(noun: str, name: str, original: Verb) -> Verb:
    @wraps(original)
    async def verb(
        self: Any, *args: Any, session_id: str | None = None, **kwargs: Any
    ) -> Any:
        number = HOME if session_id is None else self._reach.number(session_id)
        return await self._reach.at(
            number,
            lambda face: getattr(_of(face, noun), name)(
                *args, session_id=session_id, **kwargs
            ),
        )

    return verb


def _at_home(noun: str, name: str, original: Verb) -> Verb:
    @wraps(original)
    async def verb(self: Any, *args: Any, **kwargs: Any) -> Any:
        return await self._reach.at(
            HOME, lambda face: getattr(_of(face, noun), name)(*args, **kwargs)
        )

    return verb


def kept(value: Any) -> Any:
    """What may be read twice: a call that lacks an attachment is made again."""
    return list(value) if isinstance(value, Iterator) else value


def _of(face: Any, noun: str) -> Any:
    return face if noun == "store" else getattr(face, noun)


_MAKERS = {
    Placing.SESSION: _by_session,
    Placing.ITEM: _by_item,
    Placing.HOME: _at_home,
}
