"""What an app, a user and a session of Google's ADK are called in the store, and how
their state is kept. Pure.

The one place for it: an import keeps what the adapter finds.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Final

from convstore.messages.neutral import plain_id
from convstore.vocabulary.records import Json

STATE: Final = "google-adk"
"""Of what is kept beside a session; see `Sessions.adapter_state`."""
GRAPH_STATE: Final = "adk-state"
"""The graph state of an imported session: its state, and that of user and app under the
framework's prefixes."""
APP_ITEMS: Final = "google-adk:app"
USER_ITEMS: Final = "google-adk:user"
"""Namespaces of what apps, and users of an app, have beside their sessions."""
IMPORTED: Final = ":imported"
"""Behind these names: what an import brought along. What the service writes counts
more, key by key, so that no import takes anything back."""


def session_name(app_name: str, user_id: str, own_id: str) -> str:
    """The id of a session in the store, none like that of others."""
    return _joined(app_name, user_id, own_id)


def owner_of(user_id: str) -> str:
    """The store's user for one of the framework's: a hash of what can be none."""
    return _joined(user_id)


def shared_name(own_id: str) -> str:
    """The id of a session that is known by its own id alone."""
    return _joined(own_id)


def app_item(app_name: str) -> tuple[str, str]:
    """Namespace and key of the state of an app."""
    return APP_ITEMS, _joined(app_name)


def user_item(app_name: str, user_id: str) -> tuple[str, str]:
    """Namespace and key of the state of a user of an app."""
    return USER_ITEMS, _joined(app_name, user_id)


def imported(item: tuple[str, str]) -> tuple[str, str]:
    """Where an import keeps what belongs to an item."""
    return item[0] + IMPORTED, item[1]


def kept_state(state: Mapping[str, Json]) -> dict[str, Json]:
    """State as it is kept: each value is JSON text, which any database holds, and which
    a merge puts in place of another as a whole."""
    # ASCII: any text that JSON can tell fits, in names too.
    return {
        json.dumps(name)[1:-1]: json.dumps(value, separators=(",", ":"))
        for name, value in state.items()
    }


def _joined(*names: str) -> str:
    """Names as one id, none like that of others; a hash where that is too long."""
    if len(names) == 1 and plain_id(names[0]) is not None:
        return names[0]
    whole = "/".join(name.replace("%", "%25").replace("/", "%2F") for name in names)
    if len(names) > 1 and plain_id(whole) is not None:
        return whole
    data = whole.encode("utf-8", "surrogatepass")
    return "sha256:" + hashlib.sha256(data).hexdigest()
