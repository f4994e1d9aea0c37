"""Threads of Chainlit: sessions, read as its pages show them."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING

from convstore.adapters.chainlit.codec import (
    ELEMENTS,
    LABELS,
    STATE,
    STEPS,
    feedback_id,
    iso,
    metadata_of,
    native,
    steps_of,
    time_of,
    user_id_of,
)
from convstore.adapters.chainlit.feedback import Feedbacks
from convstore.adapters.chainlit.steps import Steps
from convstore.adapters.chainlit.users import Users
from convstore.messages.neutral import fitting_id, is_hashed
from convstore.vocabulary.errors import NotFoundError, RefusedError
from convstore.vocabulary.records import NEW_CHAT, JsonObject, Session, Turn

if TYPE_CHECKING:
    from convstore.store import Store

_MOST_HITS = 2_000
_MOST_QUERY = 256


class Threads:
    """Reads threads; changes none."""

    def __init__(
        self,
        store: Store,
        users: Users,
        steps: Steps,
        feedbacks: Feedbacks,
        *,
        keep_turns: bool,
    ) -> None:
        self._store = store
        self._users = users
        self._steps = steps
        self._feedbacks = feedbacks
        self._keep_turns = keep_turns

    async def get(self, thread_id: str) -> JsonObject | None:
        """A thread with all its steps and elements, in their order; None where there
        is none, or it was deleted or erased."""
        session = await self._store.sessions.find(fitting_id(thread_id))
        if session is None:
            return None
        try:
            state = await self._store.sessions.adapter_state(session.id, STATE)
            steps, elements = await self._told(session, thread_id)
        except (NotFoundError, RefusedError):
            return None  # gone meanwhile
        owner = session.user_id
        thread = _thread(session, thread_id, state)
        thread["userIdentifier"] = owner and await self._users.identifier(owner)
        return {**thread, "steps": steps, "elements": elements}

    async def page(
        self,
        user_id: str,
        *,
        search: str | None,
        feedback: int | None,
        first: int,
        cursor: str | None,
    ) -> tuple[list[JsonObject], str | None]:
        """Threads of a user without their steps, newest activity first; the cursor of
        the next page, if there is one.

        With `search` those in which a message, a title or a comment says the words,
        the newest find first, among the newest 2,000 finds.
        """
        owner = await self._users.owner(user_id)
        label = None if feedback is None else LABELS[1 if feedback else 0]
        if search and search.strip():
            found, after = await self._search(owner, search, label, first, cursor)
        else:
            found, after = await self._list(owner, label, first, cursor)
        asked = [s.id for s in found if s.state == "active" or is_hashed(s.id)]
        states = await self._store.sessions.adapter_states(asked, STATE)
        identifier = await self._users.identifier(owner)
        threads = []
        for session in found:
            state = states.get(session.id)
            thread_id = (state or {}).get("id")
            own = session.id if thread_id is None else json.loads(thread_id)
            thread = _thread(session, own, state)
            thread["userIdentifier"] = identifier
            threads.append({**thread, "steps": [], "elements": []})
        return threads, after

    async def _list(
        self, owner: str, label: str | None, first: int, cursor: str | None
    ) -> tuple[list[Session], str | None]:
        found: list[Session] = []
        while len(found) < first:
            page = await self._store.sessions.list(
                user_id=owner, label=label, limit=first - len(found), cursor=cursor
            )
            found += page.items
            if (cursor := page.next_cursor) is None:
                break
        return found, cursor

    async def _search(
        self, owner: str, text: str, label: str | None, first: int, cursor: str | None
    ) -> tuple[list[Session], str | None]:
        start = int(cursor) if cursor and cursor.isdecimal() else 0
        found: dict[str, Session] = {}
        after: str | None = None
        for _ in range(_MOST_HITS // 100):
            page = await self._store.search(
                text[:_MOST_QUERY], user_id=owner, label=label, limit=100, cursor=after
            )
            for hit in page.items:
                found.setdefault(hit.session.id, hit.session)
            after = page.next_cursor
            if after is None or len(found) > start + first:
                break
        end = start + first
        more = str(end) if len(found) > end else None
        return list(found.values())[start:end], more

    async def _told(
        self, session: Session, thread_id: str
    ) -> tuple[list[JsonObject], list[JsonObject]]:
        turns: list[Turn] = []
        if self._keep_turns:
            turns = await self._store.turns.branch(session.id)
        placed: list[tuple[datetime, JsonObject]] = []
        elements: list[JsonObject] = []
        for item in await self._steps.all(session.id):
            step = native(item.value)
            if item.namespace == STEPS:
                placed.append((time_of(step.get("createdAt")) or item.created_at, step))
            elif item.namespace == ELEMENTS:
                elements.append(step)
        others = steps_of(turns, thread_id)
        known = {fitting_id(step["id"]) for _, step in placed} if others else set()
        for step in others:
            at = time_of(step["createdAt"])
            if fitting_id(step["id"]) not in known and at is not None:
                placed.append((at, step))
        placed.sort(key=lambda each: each[0])
        steps = [step for _, step in placed]
        await self._judge(session, thread_id, turns, steps)
        return steps, elements

    async def _judge(
        self,
        session: Session,
        thread_id: str,
        turns: Sequence[Turn],
        steps: Sequence[JsonObject],
    ) -> None:
        if not session.interaction_count:
            return
        given = await self._feedbacks.told(session, turns)
        for step in steps:
            judged = given.get(fitting_id(step["id"]))
            if judged is not None:
                name = feedback_id(thread_id, step["id"])
                step["feedback"] = {"id": name, "forId": step["id"], **judged}


def _thread(
    session: Session, thread_id: str, state: Mapping[str, object] | None
) -> JsonObject:
    owner = session.user_id
    return {
        "id": thread_id,
        "createdAt": iso(session.created_at),
        "name": None if session.title == NEW_CHAT else session.title,
        "userId": None if owner is None else user_id_of(owner),
        "tags": list(session.tags),
        "metadata": metadata_of(session, state),
    }
