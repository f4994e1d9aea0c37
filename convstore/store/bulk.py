"""The verb of the store that does one act to all sessions of a filter."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path

from convstore.store.new_file import new_file, settle
from convstore.store.transfer import Transfer
from convstore.vocabulary.bulk import BULK_ACTS, BulkAct, BulkReport
from convstore.vocabulary.codec import check_text
from convstore.vocabulary.documents import encode_document
from convstore.vocabulary.errors import (
    ConflictError,
    InvalidInputError,
    NotFoundError,
    RefusedError,
    SessionNotFoundError,
)
from convstore.vocabulary.ids import check_id, check_optional_id
from convstore.vocabulary.records import SessionState

_PAGE = 200
_MOST = 10_000
"""Sessions of one call: their ids are held, so that acts change nothing of the walk."""
_MOST_TEXT_BYTES = 4_000


class Bulk(Transfer):
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
                archived copy is kept), `export` with the path of a new file, which
                gets whole sessions as JSON Lines: `import convstore` reads them.
            text: The tag, the reason or the path.
            user_id: As in `sessions.list`, like the other filters.
            actor_id: Who places the holds.
            dry_run: Say which sessions meet the filter; change nothing.

        Raises:
            InvalidInputError: No such act, no filter, a text that the act needs, or a
                file that is there already or cannot be made.
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
        matched, complete = await self._matched(filters)
        done, refused = 0, Counter[str]()
        if not dry_run and act == "export":
            done = await self._export(Path(text or ""), matched)
            refused[SessionNotFoundError.code] += len(matched) - done
        elif not dry_run:
            done = await self._each(act, text or "", matched, actor_id, refused)
        return BulkReport(act, dry_run, tuple(matched), done, dict(+refused), complete)

    async def _matched(self, filters: Mapping[str, object]) -> tuple[list[str], bool]:
        """The ids of the sessions that meet a filter, and whether these are all."""
        matched: list[str] = []
        cursor = None
        while len(matched) < _MOST:
            page = await self.sessions.list(**filters, limit=_PAGE, cursor=cursor)  # type: ignore[arg-type]
            matched += [session.id for session in page.items]
            cursor = page.next_cursor
            if cursor is None:
                break
        return matched, cursor is None

    async def _export(self, to: Path, session_ids: list[str]) -> int:
        """Write sessions to a file that appears whole; how many. Those that are in the
        bin, or went meanwhile, are not in it."""
        count = 0
        with new_file("text", to) as file:
            async for document in self.documents(session_ids=session_ids):
                file.write(encode_document(document) + b"\n")
                count += 1
            await asyncio.to_thread(settle, file)
        return count

    async def _each(
        self,
        act: BulkAct,
        text: str,
        session_ids: list[str],
        actor_id: str | None,
        refused: Counter[str],
    ) -> int:
        """Do the act to each; to how many. Who refuses is counted."""
        done = 0
        for session_id in session_ids:
            try:
                await self._act(act, text, session_id, actor_id)
            except (ConflictError, NotFoundError, RefusedError) as error:
                refused[error.code] += 1
            else:
                done += 1
        return done

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
    elif text is not None and act != "export":
        check_id("text", text)
    elif text is not None and (not text or "\0" in text):
        raise InvalidInputError("text", "is the path of no file")
    if all(value is None for value in filters.values()):
        raise InvalidInputError("filter", "give at least one: none is not all")
