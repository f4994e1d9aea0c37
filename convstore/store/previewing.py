"""The verb of the store that shows what an export would make of some sessions."""

from __future__ import annotations

import dataclasses
from collections.abc import AsyncIterator, Sequence
from contextlib import aclosing
from typing import TYPE_CHECKING, Unpack

from convstore.repositories.cursors import check_limit
from convstore.store.transfer import Transfer
from convstore.vocabulary.codec import check_int
from convstore.vocabulary.errors import InvalidInputError
from convstore.vocabulary.ids import check_id
from convstore.vocabulary.previews import Preview
from convstore.vocabulary.records import SessionDocument

if TYPE_CHECKING:
    from convstore.export.fields import ExportFields

_MOST_CHARS = 32 * 1024 * 1024
"""Characters of the sessions that one preview holds the rows of."""


class Previewing(Transfer):
    """What can be looked at of a data set before it is written."""

    async def preview(
        self,
        format_: str,
        *,
        session_ids: Sequence[str] | None = None,
        user_id: str | None = None,
        limit: int = 20,
        max_sessions: int = 200,
        **options: Unpack[ExportFields],
    ) -> Preview:
        """What an export would make of some sessions: rows, and what is left out, why.

        The same rules and formats as `export`; no files, and nothing is changed. Rows
        are compared among the sessions that are read: a whole export may leave out
        more, as duplicates of rows of others. A judgement that was stored is in the
        next preview.

        Args:
            format_: Name of a data set format, such as `preference`.
            session_ids: Only of these sessions; else of the first by id.
            user_id: Only of this user's.
            limit: Rows that are shown; `row_count` has all.
            max_sessions: Sessions that are read; `complete` is False if there are more.
            options: As in `export`; all but `since`, `near_duplicates`,
                `max_length_bias`, `redaction_cache` and files of Parquet.

        Raises:
            InvalidInputError: An argument cannot be meant; it is named.
        """
        from convstore.concurrency.feed import Feed
        from convstore.export.stages.preview import check_preview, preview_of
        from convstore.store.exports import options_of, size_of

        check_limit(self._scope.limits, limit)
        most = self._scope.limits.max_page
        if not 1 <= check_int("max_sessions", max_sessions) <= most:
            raise InvalidInputError("max_sessions", f"must be from 1 to {most}")
        wanted = [check_id("session_ids", one) for one in session_ids or ()]
        chosen = options_of(options, self.config.feedback)
        check_preview(format_, chosen)
        if session_ids is not None and not wanted:
            return preview_of((), format_, chosen, limit)
        source = _Bounded(max_sessions)
        documents = self.documents(
            session_ids=wanted if session_ids is not None else None, user_id=user_id
        )
        seen = await Feed(source.of(documents), size_of).run(
            lambda given: preview_of(given, format_, chosen, limit)
        )
        whole = seen.complete and not source.cut
        return dataclasses.replace(seen, complete=whole)


class _Bounded:
    """Takes so many documents of a stream, and says whether there were more."""

    def __init__(self, most: int) -> None:
        self._left, self._chars, self.cut = most, _MOST_CHARS, False

    async def of(
        self, documents: AsyncIterator[SessionDocument]
    ) -> AsyncIterator[SessionDocument]:
        """The documents up to the bounds; a first one is always given."""
        from convstore.store.exports import size_of

        async with aclosing(documents) as stream:  # type: ignore[type-var]
            async for document in stream:
                if self._left <= 0 or self._chars <= 0:
                    self.cut = True
                    return
                self._left -= 1
                self._chars -= size_of(document)
                yield document
