"""A page to read conversations and to judge them: `app(store, auth=…)`, an ASGI app.

Needs `pip install 'convstore[web]'`. `convstore web` serves it on this machine;
mounted in another application, `auth` says who somebody is.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from convstore.vocabulary.errors import MissingExtraError
from convstore.web.actors import ROLES, Actor, Auth

if TYPE_CHECKING:
    from convstore.web.application import app
    from convstore.web.audit import Audit, AuditFile, Event
    from convstore.web.link import Link
    from convstore.web.proxy import behind_proxy
    from convstore.web.sign_in import SignIn
    from convstore.web.tokens import TokenFile

_LATE = {
    "Audit": "convstore.web.audit",
    "AuditFile": "convstore.web.audit",
    "Event": "convstore.web.audit",
    "app": "convstore.web.application",
    "Link": "convstore.web.link",
    "SignIn": "convstore.web.sign_in",
    "TokenFile": "convstore.web.tokens",
    "behind_proxy": "convstore.web.proxy",
}

__all__ = [
    "ROLES",
    "Actor",
    "Audit",
    "AuditFile",
    "Auth",
    "Event",
    "Link",
    "SignIn",
    "TokenFile",
    "app",
    "behind_proxy",
]


def __getattr__(name: str) -> Any:
    from importlib import import_module

    if name not in _LATE:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    try:
        return getattr(import_module(_LATE[name]), name)
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] in ("jinja2", "starlette"):
            raise MissingExtraError("the page", "web") from None
        raise


def __dir__() -> list[str]:
    return sorted(__all__)
