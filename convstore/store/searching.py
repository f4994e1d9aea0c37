"""The verb of the store that looks across all its conversations."""

from __future__ import annotations

from datetime import datetime

from convstore.repositories.search import search, wanted_of
from convstore.store.repositories import TenantRepositories
from convstore.vocabulary.hits import SearchOrder, SearchPage


class Searching(TenantRepositories):
    """What can be looked for in a store of one tenant."""

    async def search(
        self,
        text: str,
        *,
        user_id: str | None = None,
        session_id: str | None = None,
        role: str | None = None,
        since: datetime | None = None,
        until: datetime | None = None,
        language: str | None = None,
        label: str | None = None,
        include_archived: bool = True,
        order: SearchOrder = "newest",
        limit: int = 20,
        cursor: str | None = None,
    ) -> SearchPage:
        """Titles, turns and comments that say something, of live and archived sessions.

        Every text is a query: the words between spaces must all occur in one turn,
        title or comment, in any order, case and accents aside. `"…"` is a phrase, and
        so is what punctuation holds together (`user_id`, `3.14`); a leading `-` keeps
        out; a trailing `*` finds words that begin so, from three letters on. There are
        no other operators. What tools gave back is not looked through.

        With `search.mode` off, or where much waits to be indexed, what can be read in
        `search.budget_s` is looked through, and the page says if that was not all.

        Args:
            text: At most 256 characters; the first 16 chunks count.
            user_id: Only in this user's sessions.
            session_id: Only in this session.
            role: Only turns of the `user`, or of the `assistant`.
            since: Said at this time or later; a title is as old as its session.
            until: Said before this time.
            language: Only in sessions in this language.
            label: Only in sessions whose effective feedback has this label.
            include_archived: False leaves archived sessions out.
            order: `newest` by when it was said; `best` by how well it fits, among the
                newest 2,000.
            limit: Hits of one page.
            cursor: `next_cursor` of the page before, with the same arguments.

        Raises:
            InvalidInputError: An argument cannot be meant; it is named.
        """
        wanted = wanted_of(
            self._scope,
            user_id=user_id,
            session_id=session_id,
            role=role,
            since=since,
            until=until,
            language=language,
            label=label,
            include_archived=include_archived,
        )
        return await search(
            self._scope, text, limit=limit, cursor=cursor, order=order, wanted=wanted
        )
