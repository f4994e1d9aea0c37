"""Users of Chainlit: items outside sessions, owned by the users they tell of."""

from __future__ import annotations

from typing import TYPE_CHECKING

from chainlit.context import ChainlitContextException, get_context
from chainlit.user import PersistedUser, User

from convstore.adapters.chainlit.codec import (
    USERS,
    iso,
    kept,
    native,
    user_id_of,
)
from convstore.messages.neutral import fitting_id, is_hashed
from convstore.vocabulary.errors import InvalidInputError
from convstore.vocabulary.records import Item

if TYPE_CHECKING:
    from convstore.store import Store


class Users:
    """What Chainlit keeps of who logs in.

    The owner of a user's threads is the identifier that they log in with, so that the
    application's other sessions of that user, and an erasure, have it too.
    """

    def __init__(self, store: Store) -> None:
        self._store = store

    async def find(self, identifier: str) -> PersistedUser | None:
        """The user who logs in with an identifier."""
        item = await self._item(user_id_of(fitting_id(identifier)))
        return None if item is None else _user(item)

    async def keep(self, user: User) -> PersistedUser:
        """Store a user, or the metadata of one who is there."""
        owner = fitting_id(user.identifier)
        told = {
            "identifier": user.identifier,
            "display_name": user.display_name,
            "metadata": user.metadata or {},
        }
        item = await self._store.items.put(
            USERS, user_id_of(owner), kept(told), user_id=owner
        )
        return _user(item)

    async def owner(self, user_id: str) -> str:
        """Who owns the sessions of a user.

        Raises:
            InvalidInputError: No user has this id.
        """
        item = await self._item(user_id)
        if item is None or item.user_id is None:
            raise InvalidInputError("user_id", "is no user of this data layer")
        return item.user_id

    async def identifier(self, owner: str) -> str:
        """The identifier of the owner of a session, who may never have logged in."""
        if not is_hashed(owner):
            return owner  # as `fitting_id` left it
        item = await self._item(user_id_of(owner))
        return owner if item is None else str(native(item.value)["identifier"])

    async def _item(self, user_id: str) -> Item | None:
        return await self._store.items.find(USERS, fitting_id(user_id))


def here() -> str | None:
    """Who is logged in where Chainlit calls from; None where nobody is known."""
    try:
        user = get_context().session.user
    except ChainlitContextException:
        return None
    return fitting_id(user.identifier) if isinstance(user, PersistedUser) else None


def _user(item: Item) -> PersistedUser:
    told = native(item.value)
    return PersistedUser(
        id=item.key,
        createdAt=iso(item.created_at),
        identifier=told["identifier"],
        display_name=told["display_name"],
        metadata=told["metadata"],
    )
