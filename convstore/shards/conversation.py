"""The bound handle of a session that lies in one database of several."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any

from convstore.repositories import conversation
from convstore.repositories.conversation import BoundVerb
from convstore.shards.applying import apply
from convstore.shards.ledger import check_budget
from convstore.shards.nouns import Items
from convstore.shards.placing import PLACES, Placing
from convstore.shards.reach import Reach
from convstore.shards.routed import kept
from convstore.vocabulary.ids import check_optional_id
from convstore.vocabulary.records import Applied, Session


class OwnItems(Items):
    """The items of the session of a handle."""

    def __init__(self, handle: Conversation) -> None:
        super().__init__(handle._reach)
        self._handle = handle


class Conversation(conversation.Conversation):
    """One session of one user; see `convstore.repositories.conversation`."""

    def __init__(self, reach: Reach, session_id: str, user_id: str | None) -> None:
        self.session_id = session_id
        self._reach = reach
        self._user_id = check_optional_id("user_id", user_id)
        self.items = OwnItems(self)

    async def _call(self, work: Callable[[Any], Any]) -> Any:
        """Do something with the handle of the session's own database."""
        own, user_id = self.session_id, self._user_id
        return await self._reach.on(
            own, lambda face: work(face.conversation(own, user_id=user_id))
        )

    async def _apply(self, **given: Any) -> Applied:
        own, user_id = self.session_id, self._user_id
        return await apply(
            self._reach,
            own,
            lambda face: face.conversation(own, user_id=user_id).apply,
            given,
        )

    async def _check_budget(self) -> None:
        await check_budget(
            self._reach,
            self.session_id,
            lambda face: face.conversation(
                self.session_id, user_id=self._user_id
            ).check_budget(),
        )

    async def _fork(
        self, new_id: str, at_seq: int | None = None, **given: Any
    ) -> Session:
        place = self._reach.one_of("a fork", [self.session_id, new_id])
        return await self._reach.at(
            place,
            lambda face: face.conversation(self.session_id, user_id=self._user_id).fork(
                new_id, at_seq, **given
            ),
        )


_OWN = {
    "apply": Conversation._apply,
    "check_budget": Conversation._check_budget,
    "fork": Conversation._fork,
}


def _sent(name: str, original: Any) -> Any:
    async def verb(self: Conversation, *args: Any, **kwargs: Any) -> Any:
        args = tuple(map(kept, args))
        return await self._call(lambda handle: getattr(handle, name)(*args, **kwargs))

    return _as(original, verb)


def _item(name: str, original: Any) -> Any:
    @wraps(original)
    async def verb(self: OwnItems, *args: Any, **kwargs: Any) -> Any:
        return await self._handle._call(
            lambda handle: getattr(handle.items, name)(*args, **kwargs)
        )

    return verb


def _as(original: Any, verb: Any) -> Any:
    told = original._verb if isinstance(original, BoundVerb) else original
    return wraps(told)(verb)


for _name, _placing in PLACES["conversation"].items():
    _original = conversation.Conversation.__dict__[_name]
    if _name in _OWN:
        setattr(Conversation, _name, _as(_original, _OWN[_name]))
    elif _placing is Placing.SESSION:
        setattr(Conversation, _name, _sent(_name, _original))
for _name in PLACES["items"]:
    setattr(OwnItems, _name, _item(_name, getattr(Items, _name)))
