"""Feedback of Chainlit's users: interactions on the turns that they judge."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Final

from convstore.adapters.chainlit.codec import LABELS, feedback_id, step_id_of
from convstore.adapters.chainlit.steps import Steps
from convstore.adapters.chainlit.users import here
from convstore.messages.neutral import fitting_id
from convstore.vocabulary.errors import SessionNotFoundError
from convstore.vocabulary.records import (
    InteractionInput,
    JsonObject,
    Judgement,
    Session,
    Turn,
)

if TYPE_CHECKING:
    from convstore.store import Store

_FOR: Final = "for_id"
_VALUES = {"bad": 0, "good": 1}


class Feedbacks:
    """What a user thinks of the steps of a thread: one judgement in force each."""

    def __init__(self, store: Store, steps: Steps) -> None:
        self._store = store
        self._steps = steps

    async def give(
        self, thread_id: str, step_id: str, value: int, comment: str | None
    ) -> str:
        """Judge a step, in place of what the same user thought of it before: its turn,
        or, where it is none, the step alone.

        Raises:
            SessionNotFoundError: There is no such thread.
        """
        session, actor = await self._asked(thread_id)
        before = await self._of(session, actor, step_id)
        turn = await self._steps.turn(session.id, fitting_id(step_id))
        await self._store.interactions.record(
            session.id,
            action="feedback",
            turn_seq=None if turn is None else turn.seq,
            node_id=fitting_id(step_id) if turn is None else None,
            actor_id=actor,
            feedback=LABELS[1 if value else 0],
            content=comment or None,
            surface="chainlit",
            supersedes=before[-1].seq if before else None,
            metadata={_FOR: fitting_id(step_id)},
        )
        return feedback_id(thread_id, step_id)

    async def take_back(self, thread_id: str, step_id: str) -> bool:
        """Retract what the user thought of a step; whether that was anything."""
        try:
            session, actor = await self._asked(thread_id)
        except SessionNotFoundError:
            return False
        before = await self._of(session, actor, step_id)
        acts = [
            InteractionInput(
                "retract",
                turn_seq=judgement.turn_seq,
                node_id=judgement.node_id,
                actor_id=actor,
                supersedes=judgement.seq,
                surface="chainlit",
            )
            for judgement in before
        ]
        await self._store.interactions.record_many(acts, session_id=session.id)
        return bool(acts)

    async def told(self, session: Session, turns: Iterable[Turn]) -> JsonObject:
        """What the owner of a thread thinks of its steps, by the key of the step."""
        names = {turn.seq: step_id_of(turn) for turn in turns}
        found: JsonObject = {}
        for judgement in await self._in_force(session, session.user_id):
            key = judgement.metadata.get(_FOR) or names.get(judgement.turn_seq or 0)
            if isinstance(key, str):
                found[key] = {
                    "value": _VALUES[judgement.meaning or ""],
                    "comment": judgement.content,
                }
        return found

    async def _asked(self, thread_id: str) -> tuple[Session, str | None]:
        """The thread's session, and who judges: whoever is logged in where that is
        known, else the owner, as nobody else is shown the thread."""
        session = await self._store.sessions.get(fitting_id(thread_id))
        return session, here() or session.user_id

    async def _of(
        self, session: Session, actor: str | None, step_id: str
    ) -> list[Judgement]:
        key = fitting_id(step_id)
        turn = await self._steps.turn(session.id, key)
        return [
            judgement
            for judgement in await self._in_force(session, actor)
            if judgement.metadata.get(_FOR) == key
            or (turn is not None and judgement.turn_seq == turn.seq)
        ]

    async def _in_force(self, session: Session, actor: str | None) -> list[Judgement]:
        return [
            judgement
            for judgement in await self._store.interactions.effective(session.id)
            if judgement.action == "feedback"
            and judgement.actor_id == actor
            and judgement.meaning in _VALUES
        ]
