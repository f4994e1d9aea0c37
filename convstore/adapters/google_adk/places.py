"""Which session of the store is one of the framework's. Pure."""

from __future__ import annotations

from typing import NamedTuple

from convstore.messages.adk_names import owner_of, session_name, shared_name
from convstore.messages.neutral import plain_id


class Place(NamedTuple):
    """A session by the framework's names; of the store its id, and its owner's.

    Attributes:
        before: The id that an import gave it before names that hold `/` or `%` were
            told from each other; None where that is the same.
    """

    app_name: str
    user_id: str
    id: str
    session_id: str
    owner: str
    before: str | None = None

    @property
    def names(self) -> tuple[str, str, str]:
        """App, user and id."""
        return self[:3]


def place_of(app_name: str, user_id: str, given: str, *, shared: bool) -> Place:
    """The session of an app and a user with an id, blanks around which do not count.

    Args:
        shared: Whether the id alone names it.
    """
    own_id, owner = given.strip(), owner_of(user_id)
    if shared:
        return Place(app_name, user_id, own_id, shared_name(own_id), owner)
    name, before = session_name(app_name, user_id, own_id), None
    if any(mark in each for each in (app_name, user_id, own_id) for mark in "/%"):
        # Text that can be no id was none then, either.
        before = plain_id(f"{app_name}/{user_id}/{own_id}")
    return Place(app_name, user_id, own_id, name, owner, before)
