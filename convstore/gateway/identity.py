"""Session ids for requests: from a header, fresh, or derived for clients that send
none."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

from convstore.vocabulary.codec import canonical
from convstore.vocabulary.ids import check_id, new_id
from convstore.vocabulary.records import DEFAULT_TENANT


def session_id_from_headers(
    headers: Mapping[str, str], name: str = "X-Session-ID"
) -> str | None:
    """The id that a header names, whatever its case; None when absent or empty.

    The id is the client's word: let the store check whose session it is, by opening
    the conversation with the user's id.

    Raises:
        InvalidInputError: It cannot be an id (too long, NUL, a lone surrogate).
    """
    wanted = name.lower()
    for key, value in headers.items():
        if key.lower() == wanted:
            value = value.strip()
            return check_id(name, value) if value else None
    return None


def new_session_id() -> str:
    """A fresh id, in order of time and not to be guessed: what `get_or_create(None)`
    makes, for who needs it before the first write. Touches no database."""
    return new_id()


def derive_session_id(
    first_user_message: str,
    *,
    tenant_id: str = DEFAULT_TENANT,
    user_id: str | None = None,
) -> str:
    """A stable id for clients that send none: the same opening, the same id.

    Equal openings share the id, and who knows the words can compute it: give `user_id`
    wherever there is one, and prefer a fresh id handed to the client.
    """
    body = canonical(["convstore-session-1", tenant_id, user_id, first_user_message])
    return "derived-" + hashlib.sha256(body).hexdigest()[:32]
