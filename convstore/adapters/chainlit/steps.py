"""Steps of a thread, and the turns that its messages are."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, NamedTuple
from weakref import WeakValueDictionary

from convstore.adapters.chainlit.codec import (
    FAVORITES,
    STEPS,
    is_ours,
    kept,
    native,
    says_the_same,
    step_id_of,
    turn_of,
)
from convstore.messages.neutral import again, fitting_id
from convstore.vocabulary.errors import (
    ConflictError,
    SessionNotFoundError,
    VersionConflictError,
)
from convstore.vocabulary.records import (
    InteractionInput,
    Item,
    ItemInput,
    Json,
    JsonObject,
    Turn,
    TurnInput,
)

if TYPE_CHECKING:
    from convstore.store import Store

_TAIL, _PAGE = 16, 500
_MOST_TIPS = 10_000
# How the names of all our namespaces begin.
_OURS = "chainlit."


class Change(NamedTuple):
    """What becomes of a branch: turns after `switch`, or after its tip where that is
    None, and acts that say why the rest was left."""

    turns: Sequence[TurnInput] = ()
    switch: int | None = None
    acts: Sequence[InteractionInput] = ()


class Tip(NamedTuple):
    """The newest message of a branch, as this process put it there."""

    seq: int
    said_at: datetime


class Steps:
    """Keeps steps, and has the active branch say what the messages among them say.

    Steps of one thread are kept in the order in which they come: Chainlit has each of
    them stored by a task of its own.
    """

    def __init__(self, store: Store, *, keep_turns: bool) -> None:
        self._store = store
        self._keep_turns = keep_turns
        self._locks: WeakValueDictionary[tuple[int, str], asyncio.Lock]
        self._locks = WeakValueDictionary()
        # Only what saves a look: a head that has moved since refuses, and is read.
        self._tips: dict[str, Tip] = {}

    async def keep(
        self, step: Mapping[str, Json], owner: str | None, *, is_new: bool = False
    ) -> None:
        """Store a step in place of what was stored of it, and its turn where it is a
        message that has been said: in one commit.

        Args:
            is_new: It is looked for only if it turns out to be there already.
        """
        session_id = fitting_id(step["threadId"])
        async with self._in_order(session_id):
            await self._keep(session_id, step, owner, is_new)

    async def _keep(
        self,
        session_id: str,
        step: Mapping[str, Json],
        owner: str | None,
        is_new: bool,
    ) -> None:
        key, said = fitting_id(step["id"]), turn_of(step)
        if said is None or not self._keep_turns:
            items = [ItemInput(STEPS, key, kept(step), inside=True)]
            if _is_favorite(step):
                items += _favorite(session_id, key, step, owner)
            await self._store.sessions.apply(
                session_id, create=True, user_id=owner, items=items
            )
            return
        # A turn of this name may be there: of one who was here at the same time, of a
        # message that was removed, or of an import.
        named = key.startswith("turn-")
        while True:
            found = None
            if named or not is_new:
                found = await self.find(session_id, key)
            is_new = False
            deep = named or found is not None
            head, change = await self._plan(session_id, key, said, named, deep=deep)
            put = ItemInput(
                *(STEPS, key, kept(step)),
                inside=True,
                expected_version=found.version if found else 0,
            )
            items = [put]
            if found is not None or _is_favorite(step):
                items += _favorite(session_id, key, step, owner)
            try:
                repeated = await self._apply(session_id, head, change, items, owner)
            except VersionConflictError:
                continue  # somebody else was here; what they did stays
            except ConflictError:
                if named:
                    raise
                named = True
                continue
            if not repeated:
                return
            named = True

    async def remove(
        self, session_id: str, key: str, elements: Iterable[str], namespace: str
    ) -> None:
        """Destroy a step and its elements; its turn is left behind, and what was said
        after it goes on after the one before. Nothing happens where it is not there."""
        async with self._in_order(session_id):
            while True:
                found = await self.find(session_id, key)
                turns: list[Turn] = []
                if self._keep_turns:
                    turns = await self._back(session_id, key, None, deep=True)
                change = _unsaid(turns, key)
                if found is None and change.switch is None:
                    return
                names = [(STEPS, key), *((namespace, each) for each in elements)]
                gone = [ItemInput(*n, delete=True, inside=True) for n in names]
                gone.append(ItemInput(FAVORITES, key, delete=True))
                try:
                    head = turns[-1].seq if turns else 0
                    await self._apply(session_id, head, change, gone, None)
                except VersionConflictError:
                    continue
                return

    async def find(self, session_id: str, key: str) -> Item | None:
        """What is kept of a step."""
        try:
            return await self._store.items.find(STEPS, key, session_id=session_id)
        except SessionNotFoundError:
            return None

    async def turn(self, session_id: str, key: str) -> Turn | None:
        """The turn on the active branch that a step is. Of a run it is the last answer
        that was given in it."""
        found = await self.find(session_id, key)
        step = None if found is None else native(found.value)
        if step is not None and turn_of(step) is None:
            step = await self._answer(session_id, key)
            if step is None:
                return None
            key = fitting_id(step["id"])
        said = None if step is None else turn_of(step)
        turns = await self._back(session_id, key, None, deep=True)
        for turn in reversed(turns):
            if step_id_of(turn) == key:
                return turn
        if said is None or self._keep_turns:
            return None
        # The conversation is written by the agent's own framework.
        return next((t for t in reversed(turns) if says_the_same(t, said)), None)

    async def all(self, session_id: str, namespace: str | None = None) -> list[Item]:
        """Every item of a namespace of a session, by key; or of all of ours."""
        found: list[Item] = []
        cursor: str | None = None
        while True:
            page = await self._store.items.list(
                namespace,
                prefix=_OURS if namespace is None else None,
                session_id=session_id,
                limit=_PAGE,
                cursor=cursor,
            )
            found += page.items
            if (cursor := page.next_cursor) is None:
                return found

    async def _answer(self, session_id: str, run: str) -> JsonObject | None:
        steps = {i.key: native(i.value) for i in await self.all(session_id, STEPS)}
        said = [
            step
            for step in steps.values()
            if step.get("type") == "assistant_message"
            and turn_of(step) is not None
            and _is_below(step, run, steps)
        ]
        return max(said, key=lambda step: str(step.get("createdAt")), default=None)

    async def _back(
        self, session_id: str, key: str, since: datetime | None, *, deep: bool
    ) -> list[Turn]:
        """The active branch from its tip back to a turn that is not later than `since`;
        with `deep`, to the turn of the step, or to the first."""
        turns: list[Turn] = []
        before: int | None = None
        size = _TAIL
        while True:
            try:
                page = await self._store.turns.branch(
                    session_id, before=before, limit=size
                )
            except SessionNotFoundError:
                return []
            turns = page + turns
            if not page or page[0].parent_seq is None:
                return turns
            if deep:
                if any(step_id_of(turn) == key for turn in page):
                    return turns
            elif _place(turns, since) > 0:
                return turns
            before, size = page[0].seq, _PAGE

    async def _plan(
        self, session_id: str, key: str, said: TurnInput, named: bool, *, deep: bool
    ) -> tuple[int, Change]:
        """The tip of the branch, and what it takes for that to say a message."""
        tip = None if deep else self._tips.get(session_id)
        if tip and said.created_at and tip.said_at <= said.created_at:
            return tip.seq, Change([_with_id(said, key)])
        turns = await self._back(session_id, key, said.created_at, deep=deep)
        head = turns[-1].seq if turns else 0
        return head, _said(turns, key, said, named=named)

    async def _apply(
        self,
        session_id: str,
        head: int,
        change: Change,
        items: Sequence[ItemInput],
        owner: str | None,
    ) -> bool:
        """Whether it was found to be done before, and so was not done."""
        self._tips.pop(session_id, None)  # until it is known how it ended
        applied = await self._store.sessions.apply(
            session_id,
            create=True,
            user_id=owner,
            turns=change.turns,
            switch=change.switch,
            expected_head=head,
            interactions=change.acts,
            items=items,
        )
        if applied.turns and not applied.repeated:
            if len(self._tips) >= _MOST_TIPS:
                self._tips.clear()
            last = applied.turns[-1]
            self._tips[session_id] = Tip(last.seq, last.created_at)
        return applied.repeated

    def _in_order(self, session_id: str) -> asyncio.Lock:
        """One at a time in the order of asking, among those of one event loop."""
        place = (id(asyncio.get_running_loop()), session_id)
        lock = self._locks.get(place)
        if lock is None:
            lock = self._locks[place] = asyncio.Lock()
        return lock


def _said(turns: Sequence[Turn], key: str, said: TurnInput, *, named: bool) -> Change:
    """What it takes for the branch to say a message in its place."""
    at = _index(turns, key)
    if at is None:
        place = _place(turns, said.created_at)
        new = said if named else _with_id(said, key)
        if place == len(turns):
            return Change([new])
        rest = turns[place:]
    else:
        if says_the_same(turns[at], said):
            return Change()
        place, new = at, said
        # Whoever says something else is answered anew; what was answered stays on the
        # branch that was left.
        if said.role == "user":
            return Change([new], turns[at].parent_seq or 0)
        rest = turns[at + 1 :]
    left = InteractionInput("compact", turn_seq=turns[-1].seq, actor_kind="code")
    copies = [again(turn) for turn in rest]
    return Change([new, *copies], turns[place].parent_seq or 0, [left])


def _unsaid(turns: Sequence[Turn], key: str) -> Change:
    """What it takes for the branch to say a message no more."""
    at = _index(turns, key)
    if at is None:
        return Change()
    rest = [again(turn) for turn in turns[at + 1 :]]
    action = "compact" if rest else "pop"
    left = InteractionInput(action, turn_seq=turns[-1].seq, actor_kind="code")
    return Change(rest, turns[at].parent_seq or 0, [left])


def _index(turns: Sequence[Turn], key: str) -> int | None:
    places = range(len(turns) - 1, -1, -1)
    return next((at for at in places if step_id_of(turns[at]) == key), None)


def _place(turns: Sequence[Turn], at: datetime | None) -> int:
    """Before which turn a message is to stand that was made at a time: what was queued
    until the user spoke is stored after that, and was said before."""
    place = len(turns)
    while (
        at is not None
        and place
        and is_ours(turns[place - 1])
        and turns[place - 1].created_at > at
    ):
        place -= 1
    return place


def _with_id(said: TurnInput, key: str) -> TurnInput:
    return TurnInput(
        said.role,
        said.content,
        model=said.model,
        metadata=said.metadata,
        created_at=said.created_at,
        external_id=key,
    )


def _is_below(step: JsonObject, run: str, steps: Mapping[str, JsonObject]) -> bool:
    above = step.get("parentId")
    for _ in range(len(steps)):
        if above is None:
            return False
        if fitting_id(above) == run:
            return True
        above = steps.get(fitting_id(above), {}).get("parentId")
    return False


def _is_favorite(step: Mapping[str, Json]) -> bool:
    metadata = step.get("metadata")
    return isinstance(metadata, dict) and bool(metadata.get("favorite"))


def _favorite(
    session_id: str, key: str, step: Mapping[str, Json], owner: str | None
) -> list[ItemInput]:
    """Favourites are found by their user, whichever thread they are in."""
    if owner is None:
        return []
    if not _is_favorite(step):
        return [ItemInput(FAVORITES, key, delete=True)]
    where = {"session_id": session_id}
    return [ItemInput(FAVORITES, key, where, user_id=owner)]
