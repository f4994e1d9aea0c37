"""Whom and what an entry of the index is for, as words beside those of its text. Pure.

Isolation and filters are then an intersection inside the index, at the cost of a word
more, and no walk over the hits of others. Rows are asked again before one is shown.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from hashlib import blake2b


@lru_cache(maxsize=4_096)
def _named(letter: str, *names: str) -> str:
    said = "".join(f"{len(name)}:{name}" for name in names)
    return letter + blake2b(said.encode(), digest_size=8).hexdigest()


def of_tenant(tenant: str) -> str:
    """For the entries of one tenant."""
    return _named("t", tenant)


def of_user(tenant: str, user_id: str) -> str:
    """For those of sessions that one user owns."""
    return _named("u", tenant, user_id)


def of_session(tenant: str, session_id: str) -> str:
    """For those of one session."""
    return _named("s", tenant, session_id)


def of_sort(sort: str) -> str:
    """For turns of a role, `user` or `assistant`, or entries of another kind."""
    return f"r{sort}"


CUT = "xcut"
"""For texts of which the index does not hold all: every query asks for them."""


def scope_words(
    tenant: str, session_id: str, user_id: str | None, sort: str, *, cut: bool
) -> Sequence[str]:
    """All that an entry can be found for."""
    words = [of_tenant(tenant), of_session(tenant, session_id), of_sort(sort)]
    if user_id is not None:
        words.append(of_user(tenant, user_id))
    if cut:
        words.append(CUT)
    return words
