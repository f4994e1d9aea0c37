"""What the noun `turns` does for models: the newest turns that fit, and histories."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

from convstore.db import branches
from convstore.messages import windows
from convstore.messages.history import (
    History,
    check_begin_with,
    history_of,
    is_of,
)
from convstore.repositories.attachments import Attachments
from convstore.repositories.branches import Turns as Branching
from convstore.repositories.cursors import check_limit
from convstore.repositories.histories import since_user, system_turns
from convstore.vocabulary.errors import InvalidInputError, SessionArchivedError
from convstore.vocabulary.ids import check_id
from convstore.vocabulary.records import Turn

# A window by size is read in pieces that grow: most fit the first.
_FIRST_PIECE = 64


class Turns(Branching):
    """The verbs of `turns` that show a model what was said last; named like the noun,
    as those about branches are."""

    async def window(
        self,
        session_id: str,
        *,
        limit: int = 20,
        max_chars: int | None = None,
        max_tokens: int | None = None,
        count_tokens: Callable[[Turn], int] | None = None,
        step: int = 1,
        payload: bool = False,
    ) -> list[Turn]:
        """The newest turns of the active branch that fit, oldest first.

        Never parts a tool call from its result: rather fewer turns come back. If the
        newest exchange alone is over the limit, it comes back whole.

        Args:
            limit: Most turns.
            max_chars: Most characters, in place of being bound by `limit` alone.
            max_tokens: Most tokens as `count_tokens` counts one turn.
            count_tokens: Needed with `max_tokens`; called from the newest turn back.
            step: The window's start moves in strides of so many turns, so that a
                model's prompt cache stays warm between them.
            payload: Also read what frameworks keep in the turns, past any warm copy.
                Without it `payload` and `payload_format` are None.
        """
        check_limit(self._scope.limits, limit)
        if (max_tokens is None) != (count_tokens is None):
            raise InvalidInputError("count_tokens", "goes together with max_tokens")

        by_size = max_chars is not None or max_tokens is not None
        piece = min(limit, _FIRST_PIECE) if by_size else limit
        while True:
            newest = await self._newest(session_id, piece, payload=payload)
            if step == 1 and not by_size and windows.is_plain(newest):
                return newest
            window = windows.window_by_turns(newest, limit, step=step)
            if max_chars is not None:
                window = windows.window_by_chars(window, max_chars, step=step)
            if max_tokens is not None and count_tokens is not None:
                window = windows.window_by_tokens(
                    window, max_tokens, count_tokens, step=step
                )
            whole_branch = len(newest) < piece
            short_of_size = by_size and len(window) == len(newest) < limit
            if whole_branch or not (
                short_of_size or windows.has_orphan_results(window)
            ):
                return list(window)
            piece = min(4 * piece, 2 * self._scope.limits.max_page)
            if piece == len(newest):
                return list(window)

    async def history(
        self,
        session_id: str,
        *,
        limit: int = 6,
        repair: bool = False,
        keep_system: bool = False,
        begin_with: str | None = None,
    ) -> History:
        """The newest turns of the active branch as chat messages for a model.

        `resolved_question` stands in for the content where there is one; tool calls
        and results keep their ids, attachments come as data URLs, and neighbouring
        turns of an assistant are one message. Cut as `window`. What was left out of it
        is in `left_out`.

        Args:
            limit: Most turns.
            repair: Every call with its results right behind it or not at all, in the
                shapes that OpenAI's chat completions take; as `to_openai_messages`.
            keep_system: Also the system turns that the branch begins with, on top of
                `limit`; at most 16.
            begin_with: `user`: what comes before the first user turn is left out, but
                for system turns. Where no user speaks in the window, it begins with
                the newest turn of one, over the limit if need be.

        Raises:
            InvalidInputError: `limit` or `begin_with` is none of those.
        """
        check_begin_with(begin_with)
        newest = partial(self._newest, session_id)
        window: Sequence[Turn] = await self.window(session_id, limit=limit)
        if begin_with is not None and not any(is_of(t, begin_with) for t in window):
            window = await since_user(self._scope, newest, limit) or window
        kept: list[Turn] = []
        if keep_system and window and window[0].parent_seq is not None:
            kept = await system_turns(self._scope, session_id)
        attached = Attachments(self._scope)
        window, kept = [await attached.inlined_turns(some) for some in (window, kept)]
        return history_of(window, repair=repair, kept=kept, begin_with=begin_with)

    async def previous_user_turn(self, session_id: str) -> Turn | None:
        """The newest user turn of the active branch, or None."""
        piece = 8
        while True:
            newest = await self._newest(session_id, piece)
            for turn in reversed(newest):
                if turn.role == "user":
                    return turn
            if len(newest) < piece:
                return None
            piece *= 4

    async def _newest(
        self, session_id: str, limit: int, *, payload: bool = False
    ) -> list[Turn]:
        scope = self._scope
        key = scope.key(check_id("session_id", session_id))
        if not payload and (tier := scope.tier) is not None:
            # No step between: a warm window takes hardly more than the calls to it.
            try:
                return await tier.window(scope.runner, key, limit, scope.user_id)
            except SessionArchivedError:
                pass  # it is read where it lies
        return await scope.read(
            session_id,
            lambda connection: branches.newest(
                connection, key, limit, scope.user_id, payload=payload
            ),
        )
