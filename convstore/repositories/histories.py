"""What a history needs of a branch beside its newest turns."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence

from convstore.db import branches
from convstore.messages.history import beginning, is_of
from convstore.messages.windows import window_since
from convstore.repositories.scope import Scope
from convstore.vocabulary.ids import check_id
from convstore.vocabulary.records import Turn

_SYSTEM_TURNS = 16
"""The most that a branch is taken to begin with."""


async def system_turns(scope: Scope, session_id: str) -> list[Turn]:
    """The system turns that the active branch begins with, at most 16."""
    key = scope.key(check_id("session_id", session_id))

    first = await scope.live(
        session_id,
        lambda connection, session: branches.beginning(
            connection, key, session.head_seq, session.branched, _SYSTEM_TURNS
        ),
    )
    return beginning(first)


async def since_user(
    scope: Scope, newest: Callable[[int], Awaitable[Sequence[Turn]]], piece: int
) -> Sequence[Turn]:
    """The turns from the newest one of a user on; none where no user spoke.

    `newest` reads so many turns of the branch; they are read in pieces that grow.
    """
    most = 2 * scope.limits.max_page
    while True:
        turns = await newest(piece)
        spoken = (turn.seq for turn in reversed(turns) if is_of(turn, "user"))
        if (seq := next(spoken, None)) is not None:
            return window_since(turns, seq)
        if len(turns) < piece or piece >= most:
            return ()
        piece = min(4 * piece, most)
