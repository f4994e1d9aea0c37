"""Who looks at a page, and what they may do there."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable, Collection
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, Protocol, TypeAlias

from convstore.vocabulary.errors import ConfigError
from convstore.vocabulary.ids import check_id

if TYPE_CHECKING:
    from starlette.requests import Request

Role: TypeAlias = Literal["reader", "annotator", "operator"]

ROLES: tuple[Role, ...] = ("reader", "annotator", "operator")
"""What somebody may do: read; judge, too; hold, restore, delete and erase, too."""


class Known(Protocol):
    """What an `auth` gives back: anything that has these three."""

    @property
    def id(self) -> str: ...
    @property
    def roles(self) -> Collection[str]: ...
    @property
    def tenants(self) -> Collection[str]: ...


Auth: TypeAlias = Callable[["Request"], "Known | Awaitable[Known | None] | None"]
"""Says who sent a request; None for nobody. May be asynchronous."""


@dataclass(frozen=True, slots=True)
class Actor:
    """A person at the page.

    Attributes:
        id: Under which their judgements are recorded.
        roles: Of `ROLES`; a higher one includes those before it. Without one they see
            nothing.
        tenants: Whose conversations they see, by name; none is no tenant.
    """

    id: str
    roles: tuple[str, ...]
    tenants: tuple[str, ...]

    def may(self, role: Role) -> bool:
        """Whether they have this role, or one that includes it."""
        return any(own in self.roles for own in ROLES[ROLES.index(role) :])


async def actor_of(auth: Auth, request: Request) -> Actor | None:
    """Who sent the request, by the application's own word.

    Raises:
        ConfigError: `auth` gave something that cannot be meant; it is named.
    """
    found = auth(request)
    if inspect.isawaitable(found):
        found = await found
    if found is None:
        return None
    for name in ("roles", "tenants"):
        value = getattr(found, name, None)
        if isinstance(value, str) or not isinstance(value, Collection):
            raise ConfigError(f"auth: {name} must be a collection of names")
    unknown = set(found.roles) - set(ROLES)
    if unknown:
        raise ConfigError(f"auth: there is no such role; there are {', '.join(ROLES)}")
    return Actor(check_id("id", found.id), tuple(found.roles), tuple(found.tenants))
