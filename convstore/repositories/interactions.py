"""The noun `interactions`: record what people and models did, and their feedback."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from convstore.db import interactions as rows
from convstore.db.codec.inputs import encode_time, row_size
from convstore.db.codec.interactions import (
    interaction_inputs,
    interaction_row,
    interaction_rows,
)
from convstore.db.interactions import ActFilter
from convstore.db.recording import RecordInteraction, RecordInteractions
from convstore.db.unit import Row
from convstore.repositories.act_search import search
from convstore.repositories.cursors import check_limit, decode_cursor, encode_cursor
from convstore.repositories.scope import Scope
from convstore.vocabulary.codec import check_int
from convstore.vocabulary.feedback import in_force, is_about, is_judgement, summary_of
from convstore.vocabulary.ids import check_id, check_optional_id
from convstore.vocabulary.records import (
    ActorKind,
    Choice,
    FeedbackSummary,
    Interaction,
    InteractionInput,
    Json,
    Judgement,
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
        key = self._scope.key(check_id("session_id", session_id))
        now = self._scope.now()
        row = interaction_row(
            self._scope.limits,
            now,
            InteractionInput(
                action=action,
                turn_seq=turn_seq,
                node_id=node_id,
                choice=choice,
                actor_id=actor_id,
                actor_kind=actor_kind,
                feedback=feedback,
                score=score,
                reason=reason,
                content=content,
                shown=shown,
                surface=surface,
                supersedes=supersedes,
                metadata={} if metadata is None else metadata,
                external_id=external_id,
                created_at=created_at,
            ),
        )
        return await self._scope.write(
            RecordInteraction(key, row, row_size(row), now, self._scope.user_id)
        )

    async def record_many(
        self,
        interactions: Iterable[InteractionInput | Mapping[str, Any]],
        *,
        session_id: str | None = None,
    ) -> tuple[Interaction, ...]:
        """Add many interactions, all in one commit or none; in the order given.

        Repeats by external id give the first ones back, here as in `record`. Of
        several sessions all are locked together: prefer calls for one session each
        where they need not be one.

        Args:
            interactions: At most 10,000; as mappings of the fields of
                `InteractionInput`, they may have a `session_id` of their own.
            session_id: Of those that name none.

        Raises:
            InvalidInputError: Names the field, as `interactions[3].score`.
            SessionNotFoundError, TurnNotFoundError, InteractionNotFoundError,
            ConflictError: As `record`, of any of them; nothing was recorded.
        """
        now, limits = self._scope.now(), self._scope.limits
        given = interaction_inputs(interactions, session_id)
        parts: dict[str, list[tuple[int, Row]]] = {}
        rows_of = interaction_rows(limits, now, [act for _, act in given])
        for place, ((of_session, _), row) in enumerate(
            zip(given, rows_of, strict=True)
        ):
            parts.setdefault(of_session, []).append((place, row))
        operations = [
            RecordInteractions(
                self._scope.key(of_session),
                [row for _, row in rows],
                sum(row_size(row) for _, row in rows),
                now,
                self._scope.user_id,
            )
            for of_session, rows in parts.items()
        ]
        if not operations:
            return ()
        if len(operations) == 1:
            recorded = [await self._scope.write(operations[0])]
        else:
            recorded = await self._scope.write_together(operations)
        found: dict[int, Interaction] = {}
        for placed, records in zip(parts.values(), recorded, strict=True):
            found |= zip((place for place, _ in placed), records, strict=True)
        return tuple(found[place] for place in range(len(given)))

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

    async def effective(
        self, session_id: str, turn_seq: int | None = None
    ) -> tuple[Judgement, ...]:
        """The judgements in force, in the order they were recorded.

        Of one actor, action and target only the last one not retracted; a label, a
        score, a choice, a comment given as feedback, or a correction. Of an archived
        session they are read where it lies, and it stays there. What labels and
        scores mean is read as `StoreConfig.feedback` says.

        Args:
            turn_seq: Only those upon this turn, or that chose between it and others.
        """
        if turn_seq is not None:
            check_int("turn_seq", turn_seq)
        acts, reading = await self._acts(session_id, turn_seq), self._scope.reading
        return tuple(
            reading.judgement(act)
            for act in in_force(acts)
            if is_judgement(act) and (turn_seq is None or is_about(act, turn_seq))
        )

    async def search(
        self,
        *,
        action: str | None = None,
        label: str | None = None,
        actor_id: str | None = None,
        since: datetime | None = None,
        limit: int = 100,
        cursor: str | None = None,
    ) -> Page[Interaction]:
        """Interactions of all sessions of the tenant, newest first.

        Every act that was recorded, in force or not. Where filters take few of many,
        a call looks at 10,000 acts at most, and `next_cursor` goes on behind them, be
        the page full or empty. Acts of archived sessions are read from their segments,
        of 64 sessions a call, those last active first. `complete` says whether
        everything that belongs on this page was looked at.

        Args:
            action: Only this one, such as `feedback`.
            label: Only with this label, as it was given.
            actor_id: Only of this actor.
            since: Only those done at this time or later.
            cursor: `next_cursor` of the page before.
        """
        return await search(
            self._scope,
            ActFilter(
                action=check_optional_id("action", action),
                label=check_optional_id("label", label),
                actor_id=check_optional_id("actor_id", actor_id),
                since=None if since is None else encode_time("since", since),
                user_id=self._scope.user_id,
            ),
            check_limit(self._scope.limits, limit),
            cursor,
        )

    async def summary(self, session_id: str) -> FeedbackSummary:
        """The effective feedback of a session, by label, turn and node."""
        return summary_of(await self._acts(session_id))

    async def _acts(
        self, session_id: str, turn_seq: int | None = None
    ) -> Sequence[Interaction]:
        """Every act that decides what stands, of a live or an archived session."""
        key = self._scope.key(check_id("session_id", session_id))
        return await self._scope.live(
            session_id, lambda c, _: rows.of_session(c, key, turn_seq=turn_seq)
        )
