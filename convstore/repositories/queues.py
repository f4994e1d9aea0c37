"""The noun `queues`: who judges what next, so that no two do the same.

A queue, a lease and a rater's place are items: small documents that expire by
themselves and change under their version. What was judged is told by the judgements
alone, so that nothing has to be kept in step with them.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any

from convstore.repositories.cursors import check_limit
from convstore.repositories.interactions import Interactions
from convstore.repositories.items import Items
from convstore.repositories.scope import Scope
from convstore.repositories.sessions import Sessions
from convstore.repositories.turns import Turns
from convstore.vocabulary.codec import check_text
from convstore.vocabulary.errors import (
    InvalidInputError,
    ItemNotFoundError,
    NotFoundError,
    VersionConflictError,
)
from convstore.vocabulary.feedback import offered
from convstore.vocabulary.ids import check_id, check_optional_id
from convstore.vocabulary.queues import Queue, QueueItem, QueueTurn
from convstore.vocabulary.records import Item, Page, Session

LEASE_S = 600.0
"""How long an item is one rater's: long enough to read, and to fetch coffee."""
SKIP_S = 30 * 86_400.0
"""How long what a rater skipped is kept from them."""
MOST_RATERS = 20
_MOST_NAME_CHARS = 100
_MOST_QUESTION_BYTES = 4_000
_NAMESPACE = "convstore/queues"
_PAGE = 20
_MOST_LOOKED_AT = 1_000
"""Sessions that one call looks at."""
_LAST_TURNS = 16
"""Of a branch, among which its last answer is looked for: calls and results follow."""
_FILTERS = ("user_id", "language", "tag", "label", "title")


class Queues:
    """What is to be judged. No call of one waits for another."""

    def __init__(self, scope: Scope) -> None:
        self._scope = scope
        self._items, self._sessions = Items(scope), Sessions(scope)
        self._turns, self._interactions = Turns(scope), Interactions(scope)

    async def put(
        self,
        name: str,
        *,
        raters: int = 1,
        question: str | None = None,
        user_id: str | None = None,
        language: str | None = None,
        tag: str | None = None,
        label: str | None = None,
        title: str | None = None,
    ) -> Queue:
        """Make a queue, or give it other filters; what was judged stays judged.

        Args:
            name: Up to 100 characters.
            raters: How many people judge each session, 1 to 20.
            question: What they are asked.
            user_id: The filters of `sessions.list`: only live sessions that meet all.
                A queue of one user's is erased with them, and stays theirs.

        Raises:
            ConflictError: The queue is of another user's sessions: end it first.
        """
        _check_name(name)
        if type(raters) is not int or not 1 <= raters <= MOST_RATERS:
            raise InvalidInputError("raters", f"must be from 1 to {MOST_RATERS}")
        if question is not None:
            check_text("question", question, _MOST_QUESTION_BYTES)
        if title is not None:
            check_text("title", title, _MOST_QUESTION_BYTES)
        given = {"user_id": user_id, "language": language, "tag": tag, "label": label}
        for field, wanted in given.items():
            check_optional_id(field, wanted)
        value = {"raters": raters, "question": question, **given, "title": title}
        # Of a user: erased with them, as the filter names them.
        return _queue(await self._items.put(_NAMESPACE, name, value, user_id=user_id))

    async def get(self, name: str) -> Queue:
        """One queue.

        Raises:
            NotFoundError: There is none of this name.
        """
        found = await self.find(name)
        if found is None:
            raise ItemNotFoundError(_NAMESPACE, name)
        return found

    async def find(self, name: str) -> Queue | None:
        """As `get`, with None where there is none."""
        item = await self._items.find(_NAMESPACE, _check_name(name))
        return None if item is None else _queue(item)

    async def list(self, *, limit: int = 100, cursor: str | None = None) -> Page[Queue]:
        """The queues of the tenant by name, a page at a time."""
        check_limit(self._scope.limits, limit)
        page = await self._items.list(_NAMESPACE, limit=limit, cursor=cursor)
        return Page(tuple(map(_queue, page.items)), page.next_cursor)

    async def delete(self, name: str) -> bool:
        """End a queue; whether it was there. Judgements stay."""
        return await self._items.delete(_NAMESPACE, _check_name(name))

    async def next(self, name: str, *, rater: str) -> QueueTurn:
        """Give a rater something to judge, for ten minutes.

        Never what they have judged or skipped, nor what enough others have judged or
        hold now. What they hold already is given again. Newest activity first, from
        where the rater was last.

        Args:
            rater: The `actor_id` that their judgements are recorded under.

        Raises:
            NotFoundError: There is no such queue.
        """
        queue, who = await self.get(name), check_id("rater", rater)
        place = await self._items.find(_of(name), _place_of(who))
        start = None if place is None else place.value.get("cursor")
        looked_at, whole = 0, start is None
        cursor = start
        while looked_at < _MOST_LOOKED_AT:
            page = await self._sessions.list(
                **{field: getattr(queue, field) for field in _FILTERS},
                state="active",
                limit=_PAGE,
                cursor=cursor,
            )
            for session in page.items:
                given = await self._give(queue, session, who)
                if given is not None:
                    await self._note(name, who, cursor)
                    return QueueTurn(given, True)
            # A page that ended early has passed over very many that the filter leaves.
            passed = max(1, len(page.items))
            looked_at += passed if page.complete else _MOST_LOOKED_AT
            cursor = page.next_cursor
            if cursor is None:
                if whole:
                    await self._note(name, who, None)
                    return QueueTurn(None, True)
                whole = True  # from the beginning, once
        await self._note(name, who, cursor)
        return QueueTurn(None, False)

    async def release(
        self, name: str, session_id: str, *, rater: str, skip: bool = False
    ) -> None:
        """Give an item back, judged or not. Idempotent; leases also end by themselves.

        Args:
            skip: Do not give it to this rater again, for a month.
        """
        who, space = check_id("rater", rater), _of(_check_name(name))
        if skip:
            key = _key("skip", session_id, who)
            # The key tells a name to whoever guesses it: erased with the rater.
            await self._items.put(space, key, {}, ttl_s=SKIP_S, user_id=who)
        for slot in range(MOST_RATERS):
            key = _key("lease", session_id, str(slot))
            held = await self._items.find(space, key)
            if held is not None and held.value.get("rater") == who:
                await self._free(space, key, held.version)
                return

    async def _give(
        self, queue: Queue, session: Session, rater: str
    ) -> QueueItem | None:
        space = _of(queue.name)
        names = [(space, _key("skip", session.id, rater))]
        slots = [_key("lease", session.id, str(n)) for n in range(queue.raters)]
        names += [(space, slot) for slot in slots]
        there = await self._items.find_many(names)
        if names[0] in there:
            return None
        answer = await self._answer(session)
        if answer is None:
            return None
        judged = await self._judges(session, answer)
        if rater in judged:
            return None
        until = self._scope.clock.now() + timedelta(seconds=LEASE_S)
        free = [slot for slot in slots if (space, slot) not in there]
        holders = _raters(there)
        if len(judged | holders) >= queue.raters + (rater in holders):
            return None
        if rater in holders:
            return await self._item(queue, session, answer, rater, until)
        slot = await self._lease(space, free, rater)
        if slot is None:
            return None
        # Who judged between the look and the lease is seen now: a lease is given back
        # only after its judgement was stored.
        there = await self._items.find_many([(space, one) for one in slots])
        judged = await self._judges(session, answer)
        if rater in judged or len(judged | _raters(there)) > queue.raters:
            await self._free(space, slot, 1)
            return None
        return await self._item(queue, session, answer, rater, until)

    async def _lease(self, space: str, free: Sequence[str], rater: str) -> str | None:
        for slot in free:
            try:
                # Owned by the rater, so that their erasure takes it along.
                await self._items.put(
                    space,
                    slot,
                    {"rater": rater},
                    ttl_s=LEASE_S,
                    expected_version=0,
                    user_id=rater,
                )
            except VersionConflictError:
                continue
            return slot
        return None

    async def _free(self, space: str, key: str, version: int) -> None:
        try:
            await self._items.delete(space, key, expected_version=version)
        except (VersionConflictError, ItemNotFoundError):
            return  # it ended by itself, and may be another's by now

    async def _answer(self, session: Session) -> int | None:
        """The last answer of the active branch."""
        try:
            last = await self._turns.branch(session.id, limit=_LAST_TURNS)
        except NotFoundError:
            return None  # it went since it was listed
        said = [turn for turn in last if turn.role == "assistant"]
        return said[-1].seq if said else None

    async def _judges(self, session: Session, answer: int) -> set[str | None]:
        acts = await self._interactions.effective(session.id, answer)
        return {
            act.actor_id
            for act in acts
            if act.actor_kind == "human"
            and (act.turn_seq == answer or answer in (offered(act.choice) or ()))
        }

    async def _item(
        self, queue: Queue, session: Session, answer: int, rater: str, until: Any
    ) -> QueueItem:
        family = await self._turns.siblings(session.id, [answer])
        others = tuple(
            turn.seq
            for turn in family[answer]
            if turn.seq != answer and turn.role == "assistant"
        )
        return QueueItem(queue.name, session, answer, others, rater, until)

    async def _note(self, name: str, rater: str, cursor: str | None) -> None:
        """Where the rater is: what they judged is not looked at again and again."""
        value = {"cursor": cursor}
        place = _place_of(rater)
        await self._items.put(_of(name), place, value, ttl_s=SKIP_S, user_id=rater)


def _check_name(name: str) -> str:
    check_id("name", name)
    if len(name) > _MOST_NAME_CHARS:
        raise InvalidInputError("name", f"at most {_MOST_NAME_CHARS} characters")
    return name


def _of(name: str) -> str:
    return f"{_NAMESPACE}/{name}"


def _place_of(rater: str) -> str:
    return _key("place", rater)


def _key(kind: str, *ids: str) -> str:
    """A key that names nobody: what is erased leaves nothing here to be found by."""
    told = "\0".join(f"{len(one)} {one}" for one in ids)
    return f"{kind}/{hashlib.sha256(told.encode()).hexdigest()}"


def _raters(leases: Mapping[tuple[str, str], Item]) -> set[str | None]:
    return {item.value["rater"] for item in leases.values() if "rater" in item.value}


def _queue(item: Item) -> Queue:
    value = item.value
    return Queue(
        name=item.key,
        raters=value["raters"],
        question=value["question"],
        **{field: value[field] for field in _FILTERS},
        updated_at=item.updated_at,
    )
