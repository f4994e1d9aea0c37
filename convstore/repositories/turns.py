"""The noun `turns`: append, read, window, branches."""

from __future__ import annotations

from collections.abc import Coroutine, Iterable, Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any, TypeAlias, Unpack

from convstore.db import turns as rows
from convstore.db.codec.inputs import begin_at, encode_turn, encode_turns, take_apart
from convstore.db.ledger import ChangeLedger
from convstore.db.unit import Row
from convstore.messages.incoming import turn_of_message
from convstore.repositories.cursors import check_limit, decode_cursor, encode_cursor
from convstore.repositories.ledger_changes import adding
from convstore.repositories.turn_search import find_all
from convstore.repositories.windows import Turns as Windowing
from convstore.vocabulary.codec import check_int, check_optional_int
from convstore.vocabulary.errors import InvalidInputError, TurnNotFoundError
from convstore.vocabulary.ids import check_id
from convstore.vocabulary.records import (
    Json,
    JsonObject,
    Page,
    Turn,
    TurnFields,
    TurnInput,
)

# Named here because inside the class `list` is the verb.
TurnList: TypeAlias = list[Turn]
JsonList: TypeAlias = list[Json]
ObjectList: TypeAlias = list[JsonObject]
RowList: TypeAlias = list[Row]


class Turns(Windowing):
    """Turns of the scope's sessions."""

    async def append(
        self,
        session_id: str,
        *,
        role: str,
        content: str | None = None,
        parts: JsonList | None = None,
        name: str | None = None,
        tool_call_id: str | None = None,
        model: str | None = None,
        finish_reason: str | None = None,
        tokens_in: int | None = None,
        tokens_out: int | None = None,
        cost_micros: int | None = None,
        language: str | None = None,
        resolved_question: str | None = None,
        template_id: str | None = None,
        slots: Mapping[str, str] | None = None,
        results: ObjectList | None = None,
        tools: JsonList | None = None,
        metadata: Mapping[str, Json] | None = None,
        external_id: str | None = None,
        parent_seq: int | None = None,
        created_at: datetime | None = None,
        payload: bytes | Json | None = None,
        payload_format: str | None = None,
        charge: bool = False,
        expected_head: int | None = None,
    ) -> Turn:
        """Add one turn; when this returns, it is on the disk.

        A user turn's slots merge into the session's and its template replaces it, in
        the same commit; its language becomes the session's. An archived session is
        restored first.

        Args:
            session_id: An existing session.
            role: `user`, `assistant`, `system`, `tool`, or any other word.
            content: Text, stored exactly; None when there are only `parts`.
            parts: Payload items, verbatim: tool calls, images, framework messages.
            tools: Tool definitions offered to the model, kept once per distinct set.
            external_id: The caller's own id. Repeating an append with it gives the
                first turn back, and puts it back on the active branch if that ends
                in its parent; with other content it is a conflict.
            parent_seq: None continues the active branch, 0 begins a new first turn,
                another number branches off after that turn and makes it active.
            created_at: When it was said, if not now; does not affect the order.
            payload: A framework's own object of this turn, which that framework's
                adapter reads again: bytes, kept as they are, or JSON, kept as its
                text. Counts in the size of the turn; no part of windows, histories
                and training data.
            payload_format: Whose object it is, such as `openai-agents`; goes together
                with `payload`.
            charge: Also add `cost_micros` to the session's ledger and to the totals,
                in the same commit; a repeat with the same external id adds nothing.
            expected_head: Refuse unless this is the tip of the active branch; 0 is the
                empty one. A repeat gives the first turn back all the same.

        Raises:
            InvalidInputError: A field cannot be stored; nothing was changed.
            SessionNotFoundError: No such session of this tenant (and user).
            SessionErasedError, SessionDeletedError: It must not come back.
            ConflictError: The external id is taken by another content.
            VersionConflictError: The active branch has another tip by now.
            TurnNotFoundError: There is no turn `parent_seq`.
            DatabaseBusyError: No place or lock within `busy_timeout_s`.
        """
        turn = TurnInput(
            role,
            content,
            parts,
            name,
            tool_call_id,
            model,
            finish_reason,
            tokens_in,
            tokens_out,
            cost_micros,
            language,
            resolved_question,
            template_id,
            slots,
            results,
            tools,
            {} if metadata is None else metadata,
            external_id,
            parent_seq,
            created_at,
            payload,
            payload_format,
        )
        added = await self._append_one(session_id, turn, charge, expected_head)
        return added.turns[0]

    async def append_once(
        self,
        session_id: str,
        *,
        charge: bool = False,
        expected_head: int | None = None,
        **turn: Unpack[TurnFields],
    ) -> tuple[Turn, bool]:
        """Add one turn as `append` does, and say whether it was new.

        With an external id it is False where the turn was stored before, by this caller
        or another: what was to happen with the turn has happened then.

        Args:
            turn: The fields of `append`.
        """
        given = TurnInput(**turn)
        added = await self._append_one(session_id, given, charge, expected_head)
        return added.turns[0], added.new[0]

    async def append_message(
        self,
        session_id: str,
        message: Mapping[str, Any],
        *,
        external_id: str | None = None,
        parent_seq: int | None = None,
        expected_head: int | None = None,
    ) -> Turn:
        """Add a message as OpenAI's or Anthropic's client has it, as one turn.

        It comes out of `history` and of the gateway's messages as it went in. Its
        model, usage and reason to stop become those of the turn; other fields are kept
        in the metadata under `message`.

        Raises:
            InvalidInputError: It is no message: names the field. Else as `append`.
        """
        turn = replace(turn_of_message(message), external_id=external_id)
        given = [replace(turn, parent_seq=parent_seq)]
        added = await self.append_many(session_id, given, expected_head=expected_head)
        return added[0]

    async def append_many(
        self,
        session_id: str,
        turns: Iterable[TurnInput | Mapping[str, Any]],
        *,
        parent_seq: int | None = None,
        expected_head: int | None = None,
    ) -> TurnList:
        """Add several turns in order, all in one commit or none.

        `parent_seq` may name a turn added earlier in the same call. Each turn's
        external id is looked at on its own, so a repeated call completes nothing
        twice.

        Args:
            parent_seq: Of the first turn, as in `append`: to branch and append in one.
            expected_head: As in `append`; looked at if any of the turns is new.

        Raises:
            VersionConflictError: The active branch has another tip by now.
            InvalidInputError: `turns[3].content`: which turn and field; or more turns
                than `max_turns_per_call`.
        """
        now = self._scope.now()
        encoded, kept, total = encode_turns(self._scope.limits, turns, now)
        check_optional_int("expected_head", expected_head)
        begin_at(encoded, parent_seq)
        if not encoded:
            return []
        added = self._append(session_id, encoded, kept, total, now, expected_head)
        return (await added).turns

    async def add_exchange(
        self,
        session_id: str,
        question: str,
        answer: str,
        *,
        resolved_question: str | None = None,
        template_id: str | None = None,
        slots: Mapping[str, str] | None = None,
        results: ObjectList | None = None,
        language: str | None = None,
        model: str | None = None,
        external_id: str | None = None,
    ) -> tuple[Turn, Turn]:
        """Add a user turn and its answer in one commit.

        `external_id` names the pair: `<id>#q` and `<id>#a` are stored.
        """
        asked, answered = await self.append_many(
            session_id,
            [
                TurnInput(
                    "user",
                    question,
                    resolved_question=resolved_question,
                    template_id=template_id,
                    slots=slots,
                    language=language,
                    external_id=None if external_id is None else f"{external_id}#q",
                ),
                TurnInput(
                    "assistant",
                    answer,
                    results=results,
                    model=model,
                    external_id=None if external_id is None else f"{external_id}#a",
                ),
            ],
        )
        return asked, answered

    async def get(self, session_id: str, seq: int) -> Turn:
        """One turn by its number, whatever its branch.

        Raises:
            TurnNotFoundError: The session has no such turn.
        """
        check_int("seq", seq)
        key = self._scope.key(check_id("session_id", session_id))

        found = await self._scope.live(session_id, lambda c, _: rows.find(c, key, seq))
        if found is None:
            raise TurnNotFoundError(session_id, seq)
        return found

    async def find(self, session_id: str, *, external_id: str) -> Turn | None:
        """The turn that was appended with this external id; None when none was.

        What a repeated request asks before it calls a model again.
        """
        check_id("external_id", external_id)
        key = self._scope.key(check_id("session_id", session_id))

        return await self._scope.live(
            session_id, lambda c, _: rows.find_external(c, key, external_id)
        )

    async def find_all(
        self,
        *,
        external_id: str,
        user_id: str | None = None,
        limit: int = 100,
        cursor: str | None = None,
    ) -> Page[Turn]:
        """The turns of all sessions of the tenant that have this external id: forks
        keep ids, so several may. Those of live sessions first, by session id.

        Archived sessions are read where they lie, 64 a call. While some are left,
        `complete` is False and `next_cursor` goes on, be the page full or empty. A
        session that is archived or restored meanwhile may come twice, or not.

        Args:
            user_id: Only of this user's sessions.
            limit: Turns of one page.
            cursor: `next_cursor` of the page before.
        """
        scope = self._scope
        return await find_all(
            scope,
            check_id("external_id", external_id),
            scope.owner(user_id),
            check_limit(scope.limits, limit),
            cursor,
        )

    async def list(
        self,
        session_id: str,
        *,
        limit: int = 100,
        cursor: str | None = None,
        newest_first: bool = False,
    ) -> Page[Turn]:
        """Turns of all branches in `seq` order, a page at a time."""
        check_limit(self._scope.limits, limit)
        after = 2**63 - 1 if newest_first else 0
        if cursor is not None:
            (after,) = decode_cursor(cursor, int)
        key = self._scope.key(check_id("session_id", session_id))

        found = await self._scope.live(
            session_id,
            lambda c, _: rows.page(
                c, key, after=after, limit=limit + 1, newest_first=newest_first
            ),
        )
        more = len(found) > limit
        return Page(
            tuple(found[:limit]), encode_cursor(found[limit - 1].seq) if more else None
        )

    async def tools(self, session_id: str, tools_hash: str) -> JsonList:
        """The tool definitions that a turn's `tools_hash` names."""
        key = self._scope.key(check_id("session_id", session_id))

        check_id("tools_hash", tools_hash)
        found = await self._scope.live(
            session_id, lambda c, _: rows.tool_set(c, key, tools_hash)
        )
        if found is None:
            raise InvalidInputError("tools_hash", "is not of a turn of this session")
        return found

    def _append_one(
        self,
        session_id: str,
        turn: TurnInput,
        charge: bool,
        expected_head: int | None,
    ) -> Coroutine[Any, Any, rows.Appended]:
        scope = self._scope
        now = scope.now()
        row, tools_text, size = encode_turn(scope.limits, turn, now)
        kept = {} if tools_text is None else {row["tools_hash"]: tools_text}
        cost = None
        if charge:
            if turn.cost_micros is None:
                raise InvalidInputError("charge", "needs cost_micros")
            micros, model = turn.cost_micros, row["model"]
            cost = adding(scope, session_id, "cost_micros", micros, model)
        check_optional_int("expected_head", expected_head)
        return self._append(session_id, [row], kept, size, now, expected_head, cost)

    def _append(
        self,
        session_id: str,
        encoded: RowList,
        kept: dict[str, str],
        size: int,
        now: int,
        expected_head: int | None,
        charge: ChangeLedger | None = None,
    ) -> Coroutine[Any, Any, rows.Appended]:
        scope = self._scope
        apart = take_apart(scope.limits, scope.tenant, encoded, now)
        return scope.write(
            rows.AppendTurns(
                (scope.tenant, check_id("session_id", session_id)),
                encoded,
                kept,
                size,
                now,
                scope.user_id,
                charge,
                expected_head,
                apart,
            )
        )
