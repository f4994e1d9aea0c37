"""Where what belongs to an app, a user and a session of the framework is kept. Pure."""

from __future__ import annotations

import hashlib
from typing import Final, NamedTuple

from convstore.messages.neutral import plain_id

APP_ITEMS: Final = "google-adk:app"
USER_ITEMS: Final = "google-adk:user"
"""Namespaces of what apps, and users of an app, have beside their sessions."""


class Place(NamedTuple):
    """A session by the framework's names; of the store its id, and its owner's."""

    app_name: str
    user_id: str
    id: str
    session_id: str
    owner: str


def place_of(app_name: str, user_id: str, given: str, *, shared: bool) -> Place:
    """The session of an app and a user with an id, blanks around which do not count.

    Args:
        shared: Whether the id alone names it.
    """
    own_id = given.strip()
    names = [own_id] if shared else [app_name, user_id, own_id]
    return Place(app_name, user_id, own_id, _joined(*names), owner_of(user_id))


def owner_of(user_id: str) -> str:
    """The store's user for one of the framework's: a hash of what can be none."""
    return _joined(user_id) if plain_id(user_id) is None else user_id


def app_item(app_name: str) -> tuple[str, str]:
    """Namespace and key of the state of an app."""
    return APP_ITEMS, _joined(app_name)


def user_item(app_name: str, user_id: str) -> tuple[str, str]:
    """Namespace and key of the state of a user of an app."""
    return USER_ITEMS, _joined(app_name, user_id)


def _joined(*names: str) -> str:
    """Names as one id, none like that of others; a hash where that is too long."""
    if len(names) == 1 and plain_id(names[0]) is not None:
        return names[0]
    whole = "/".join(name.replace("%", "%25").replace("/", "%2F") for name in names)
    if len(names) > 1 and plain_id(whole) is not None:
        return whole
    data = whole.encode("utf-8", "surrogatepass")
    return "sha256:" + hashlib.sha256(data).hexdigest()
