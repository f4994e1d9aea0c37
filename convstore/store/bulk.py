"""The verb of the store that does one act to all sessions of a filter."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from datetime import datetime

from convstore.store.repositories import TenantRepositories
from convstore.vocabulary.bulk import BULK_ACTS, BulkAct, BulkReport
from convstore.vocabulary.codec import check_text
from convstore.vocabulary.errors import (
    ConflictError,
    InvalidInputError,
    NotFoundError,
    RefusedError,
)
from convstore.vocabulary.ids import check_id, check_optional_id
from convstore.vocabulary.records import SessionState

_PAGE = 200
_MOST = 10_000
"""Sessions of one call: their ids are held, so that acts change nothing of the walk."""
_MOST_TEXT_BYTES = 4_000


class Bulk(TenantRepositories):
    """What is done to many sessions at once."""

    async def bulk(
        self,
        act: BulkAct,
        text: str | None = None,
        *,
        user_id: str | None = None,
        language: str | None = None,
        state: SessionState | None = None,
        updated_since: datetime | None = None,
        title: str | None = None,
        tag: str | None = None,
        label: str | None = None,
        judged: bool | None = None,
        disagreed: bool | None = None,
        held: bool | None = None,
        actor_id: str | None = None,
        dry_run: bool = False,
    ) -> BulkReport:
        """Do one act to all sessions that meet a filter, each in its own commit.

        At least one filter must be given: none is not "all". The sessions are listed
        before the first is changed. What refuses (a hold, an id that is gone
        meanwhile) is counted and left; cut short anywhere, the same call again does
        the rest.

        Args:
            act: `tag` and `untag` with the tag, `hold` with the reason, `delete` (an
                archived copy is kept).
            text: The tag or the reason.
            user_id: As in `sessions.list`, like the other filters.
            actor_id: Who places the holds.
            dry_run: Say which sessions meet the filter; change nothing.

        Raises:
            InvalidInputError: No such act, no filter, or a text that the act needs.
        """
        filters = {
            "user_id": user_id,
            "language": language,
            "state": state,
            "updated_since": updated_since,
            "title": title,
            "tag": tag,
            "label": label,
            "judged": judged,
            "disagreed": disagreed,
            "held": held,
        }
        _check(act, text, filters)
        check_optional_id("actor_id", actor_id)
        matched: list[str] = []
        cursor, complete = None, True
        while len(matched) < _MOST:
            page = await self.sessions.list(**filters, limit=_PAGE, cursor=cursor)  # type: ignore[arg-type]
            matched += [session.id for session in page.items]
            cursor = page.next_cursor
            if cursor is None:
                break
        complete = cursor is None
        done, refused = 0, Counter[str]()
        for session_id in () if dry_run else matched:
            try:
                await self._act(act, text or "", session_id, actor_id)
            except (ConflictError, NotFoundError, RefusedError) as error:
                refused[error.code] += 1
            else:
                done += 1
        ids = tuple(matched)
        return BulkReport(act, dry_run, ids, done, dict(refused), complete)

    async def _act(
        self, act: BulkAct, text: str, session_id: str, actor_id: str | None
    ) -> None:
        if act == "tag":
            await self.sessions.patch(session_id, add_tags=[text])
        elif act == "untag":
            await self.sessions.patch(session_id, remove_tags=[text])
        elif act == "hold":
            await self.holds.place(session_id, reason=text, actor_id=actor_id)
        else:
            await self.sessions.delete(session_id)


def _check(act: str, text: str | None, filters: Mapping[str, object]) -> None:
    if act not in BULK_ACTS:
        raise InvalidInputError("act", f"must be one of {', '.join(BULK_ACTS)}")
    if (text is None) != (act == "delete"):
        needed = "takes no text" if act == "delete" else f"{act} needs one"
        raise InvalidInputError("text", needed)
    if text is not None and act == "hold":
        check_text("text", text, _MOST_TEXT_BYTES)
    elif text is not None:
        check_id("text", text)
    if all(value is None for value in filters.values()):
        raise InvalidInputError("filter", "give at least one: none is not all")
