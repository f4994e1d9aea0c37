"""The noun `interactions`: record what people and models did, and their feedback."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from math import isfinite
from typing import get_args

from convstore.db import interactions as rows
from convstore.db.rows import interaction_digest
from convstore.db.unit import Row
from convstore.repositories.cursors import check_limit, decode_cursor, encode_cursor
from convstore.repositories.encoding import encode_object, encode_time, row_size
from convstore.repositories.scope import Scope
from convstore.vocabulary.codec import check_int, check_text, dumps, encode_json
from convstore.vocabulary.errors import InvalidInputError
from convstore.vocabulary.ids import check_id, check_optional_id
from convstore.vocabulary.records import (
    ActorKind,
    Choice,
    FeedbackSummary,
    Interaction,
    Json,
    Page,
)


class Interactions:
    """Interactions of the scope's sessions."""

    def __init__(self, scope: Scope) -> None:
        self._scope = scope

    async def record(
        self,
        session_id: str,
        *,
        action: str,
        turn_seq: int | None = None,
        node_id: str | None = None,
        choice: Choice | None = None,
        actor_id: str | None = None,
        actor_kind: ActorKind = "human",
        feedback: str | None = None,
        score: float | None = None,
        reason: str | None = None,
        content: str | None = None,
        shown: Json = None,
        surface: str | None = None,
        supersedes: int | None = None,
        metadata: Mapping[str, Json] | None = None,
        external_id: str | None = None,
        created_at: datetime | None = None,
    ) -> Interaction:
        """Add one interaction; durable on return. None is ever overwritten.

        The effective feedback of an actor, action and target is the last one that no
        interaction supersedes; the session's `feedback_counts` count just those, in
        the same commit.

        Args:
            action: `feedback`, `prune`, `inject`, `resurrect`, `edit`, `regenerate`,
                `choose`, `copy`, `retract`, or any other word.
            turn_seq: Target turn; with `node_id` and `choice` absent too, the target
                is the session.
            choice: Which of several turns was taken.
            actor_id: Who. None is the session's one unnamed actor: its later feedback
                replaces its earlier one.
            feedback: A label: `correct`, `thumbs_down`, or any other word.
            score: Any finite number; the scale is the application's.
            content: Comment, correction or injected text.
            shown: What else was on the screen, and in which position.
            supersedes: An earlier interaction that no longer counts (a retraction).
            external_id: As in `Turns.append`.

        Raises:
            TurnNotFoundError, InteractionNotFoundError: The target does not exist.
        """
        limits, now = self._scope.limits, self._scope.now()
        size = limits.max_turn_bytes
        row: Row = {
            "action": check_id("action", action),
            "turn_seq": None if turn_seq is None else check_int("turn_seq", turn_seq),
            "node_id": check_optional_id("node_id", node_id),
            "choice": None if choice is None else _choice(choice),
            "actor_id": check_optional_id("actor_id", actor_id),
            "actor_kind": actor_kind,
            "feedback": check_optional_id("feedback", feedback),
            "score": None if score is None else _score(score),
            "reason": None if reason is None else check_text("reason", reason, size),
            "content": None
            if content is None
            else check_text("content", content, size),
            "shown": None
            if shown is None
            else encode_json(
                "shown", shown, limits.max_metadata_bytes, limits.max_json_depth
            ),
            "surface": check_optional_id("surface", surface),
            "supersedes": None
            if supersedes is None
            else check_int("supersedes", supersedes),
            "metadata": encode_object(limits, "metadata", metadata),
            "external_id": check_optional_id("external_id", external_id),
            "created_at": now
            if created_at is None
            else encode_time("created_at", created_at),
        }
        if actor_kind not in get_args(ActorKind):
            raise InvalidInputError("actor_kind", "must be human, model or code")
        row["digest"] = interaction_digest(row)
        key = self._scope.key(check_id("session_id", session_id))
        return await self._scope.write(
            rows.RecordInteraction(key, row, row_size(row), now, self._scope.user_id)
        )

    async def add_feedback(
        self,
        session_id: str,
        *,
        feedback: str,
        node_id: str | None = None,
        turn_seq: int | None = None,
        score: float | None = None,
        reason: str | None = None,
        actor_id: str | None = None,
        context: Mapping[str, Json] | None = None,
        external_id: str | None = None,
    ) -> Interaction:
        """Record feedback on a node, a turn or the session; `context` is metadata."""
        return await self.record(
            session_id,
            action="feedback",
            node_id=node_id,
            turn_seq=turn_seq,
            feedback=feedback,
            score=score,
            reason=reason,
            actor_id=actor_id,
            metadata=context,
            external_id=external_id,
        )

    async def list(
        self, session_id: str, *, limit: int = 100, cursor: str | None = None
    ) -> Page[Interaction]:
        """Interactions in the order they were recorded, a page at a time."""
        check_limit(self._scope.limits, limit)
        after = 0 if cursor is None else decode_cursor(cursor, int)[0]
        key = self._scope.key(check_id("session_id", session_id))

        found = await self._scope.live(
            session_id, lambda c, _: rows.page(c, key, after=after, limit=limit + 1)
        )
        more = len(found) > limit
        return Page(
            tuple(found[:limit]), encode_cursor(found[limit - 1].seq) if more else None
        )

    async def summary(self, session_id: str) -> FeedbackSummary:
        """The effective feedback of a session, by label, turn and node."""
        key = self._scope.key(check_id("session_id", session_id))

        return await self._scope.live(
            session_id,
            lambda c, _: rows.summary(c, key),
            is_nothing=lambda found: not found.total and found.mean_score is None,
        )


def _choice(choice: Choice) -> str:
    if not isinstance(choice, Choice):
        raise InvalidInputError("choice", "must be a Choice")
    seqs = [*choice.rejected, *([] if choice.chosen is None else [choice.chosen])]
    for seq in seqs:
        check_int("choice", seq)
    if len(set(seqs)) != len(seqs) or len(seqs) < 2:
        raise InvalidInputError("choice", "must name two or more different turns")
    return dumps({"chosen": choice.chosen, "rejected": list(choice.rejected)}).decode()


def _score(score: float) -> float:
    if isinstance(score, bool) or not isinstance(score, int | float):
        raise InvalidInputError("score", "must be a number")
    try:
        value = float(score)
    except OverflowError:
        raise InvalidInputError("score", "is too large") from None
    if not isfinite(value):
        raise InvalidInputError("score", "must be finite")
    return value
