"""What the noun `sessions` changes in part, and keeps what others wrote meanwhile."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from convstore.db.applying import ApplyToSession
from convstore.db.codec.inputs import (
    begin_at,
    encode_tags,
    encode_title,
    encode_turns,
    row_size,
    take_apart,
)
from convstore.db.codec.interactions import interaction_inputs, interaction_rows
from convstore.db.patching import (
    Patch,
    PatchSession,
    find_state,
    find_states,
    state_field,
)
from convstore.db.recording import RecordInteractions
from convstore.db.turns import AppendTurns
from convstore.db.unit import Key, Row
from convstore.repositories.checkpoints import put_of
from convstore.repositories.cursors import check_limit
from convstore.repositories.item_changes import placed_changes
from convstore.repositories.scope import Scope
from convstore.vocabulary.checkpoints import CheckpointInput
from convstore.vocabulary.codec import check_optional_int, decode_json, encode_json
from convstore.vocabulary.errors import (
    InvalidInputError,
    NotFoundError,
    RefusedError,
)
from convstore.vocabulary.ids import check_id
from convstore.vocabulary.limits import Limits
from convstore.vocabulary.records import (
    UNSET,
    Applied,
    InteractionInput,
    ItemInput,
    Json,
    JsonObject,
    Session,
    TurnInput,
    Unset,
)


class Sessions:
    """The verbs of `sessions` that merge; named like the noun, because traces call a
    read by its verb: `Sessions.adapter_state`."""

    def __init__(self, scope: Scope) -> None:
        self._scope = scope

    async def patch(
        self,
        session_id: str,
        *,
        metadata: Mapping[str, Json] | None = None,
        adapter_state: Mapping[str, Mapping[str, Json] | None] | None = None,
        title: str | Unset | None = UNSET,
        add_tags: Iterable[str] = (),
        remove_tags: Iterable[str] = (),
        expected_version: int | None = None,
    ) -> Session:
        """Change only what is mentioned, and keep what others wrote meanwhile.

        `metadata` and each adapter's state are JSON merge patches (RFC 7386), carried
        out on what is stored under the session's lock: an object is merged key by key,
        None removes a key, any other value (a list too) takes the place of what was
        there. A patch that changes nothing leaves the version as it is. It does not
        count as activity. An archived session is restored first.

        Args:
            metadata: The patch of the application's own object.
            adapter_state: By name, the patch of what an adapter keeps of the session
                outside its row; None removes it whole. At most 64 names, each up to
                `max_state_bytes`. Read with `adapter_state`.
            title: None lets the next user turn give the title.
            add_tags: Behind those that are there.
            expected_version: Change only if the session is at this version.

        Raises:
            VersionConflictError: It is at another one; both are on the error.
            LegalHoldError: It would remove an adapter's state whole, and the session is
                under legal hold.
            InvalidInputError: A patch cannot be stored, or what it makes is too large;
                names the field, and nothing was changed.
        """
        patch = encode_patch(
            self._scope.limits,
            {} if isinstance(title, Unset) else {"title": encode_title(title)},
            metadata,
            adapter_state,
            add_tags,
            remove_tags,
        )
        return await self._scope.write(
            PatchSession(
                self._scope.key(check_id("session_id", session_id)),
                patch,
                self._scope.limits,
                self._scope.now(),
                check_optional_int("expected_version", expected_version),
                self._scope.user_id,
            )
        )

    async def apply(
        self,
        session_id: str,
        *,
        create: bool = False,
        renew: bool = False,
        user_id: str | None = None,
        turns: Iterable[TurnInput | Mapping[str, Any]] = (),
        parent_seq: int | None = None,
        switch: int | None = None,
        expected_head: int | None = None,
        expected_version: int | None = None,
        expected_turn_count: int | None = None,
        metadata: Mapping[str, Json] | None = None,
        adapter_state: Mapping[str, Mapping[str, Json] | None] | None = None,
        title: str | Unset | None = UNSET,
        interactions: Iterable[InteractionInput | Mapping[str, Any]] = (),
        items: Iterable[ItemInput | Mapping[str, Any]] = (),
        checkpoint: CheckpointInput | None = None,
    ) -> Applied:
        """Do all of this to a session in one commit, or nothing of it.

        In this order: it is made if it is not there, the conditions are looked at,
        the head is moved, turns are appended, interactions recorded, items changed, a
        checkpoint put.
        Many callers share commits, as they do when they append. The version is raised
        by one.

        Where every turn and interaction has an external id and all are stored
        already, the call is a repeat: it gives the first results whatever the
        conditions say by now, and neither patches nor items are changed again. So
        give each an external id where a call may come twice.

        Args:
            create: Make the session where there is none; else that is an error.
            renew: With `create`: a deleted id begins anew, as `get_or_create(renew=)`.
            user_id: Owner of a session that is made, or has none.
            turns: As `turns.append_many`.
            parent_seq: Of the first turn: None goes on from the head, 0 begins anew.
            switch: Move the head to this turn before, 0 to the empty branch.
            expected_head: Refuse unless the active branch ended there before the call;
                0 is the empty one.
            expected_version: Refuse unless the session was at this version; 0 means
                that it must not be there.
            expected_turn_count: Refuse unless the session had so many turns, on all
                branches, and unless all given here are new: then their numbers are the
                next ones, and what is written with them can name them.
            metadata, adapter_state, title: As `patch`.
            interactions: As `interactions.record_many`, of this session; they may be
                about turns of this call, by the numbers that these get.
            items: Changes of items, outside sessions or (`inside`) of this one.
            checkpoint: As `checkpoints.put`.

        Raises:
            VersionConflictError: The head, the session or an item has moved on.
            ConflictError: An external id stands for another content, or for a turn
                that is no new one.
            CheckpointsEndedError: As `checkpoints.put`.
            LegalHoldError: An item of the session, or an adapter's state, would be
                destroyed, and it is under legal hold.
            InvalidInputError: Names the field, as `turns[0].content`.
            SessionNotFoundError, TurnNotFoundError, InteractionNotFoundError: As the
                names say.
        """
        scope = self._scope
        key = scope.key(check_id("session_id", session_id))
        owner = scope.owner(user_id)
        operation = ApplyToSession(
            key,
            self._turns(key, turns, parent_seq, owner),
            self._acts(key, interactions, owner),
            encode_patch(
                scope.limits,
                {} if isinstance(title, Unset) else {"title": encode_title(title)},
                metadata,
                adapter_state,
            ),
            placed_changes(scope.limits, items),
            scope.limits,
            scope.now(),
            {"user_id": owner} if create else None,
            create and renew,
            owner,
            check_optional_int("switch", switch),
            check_optional_int("expected_head", expected_head),
            check_optional_int("expected_version", expected_version),
            check_optional_int("expected_turn_count", expected_turn_count),
            None if checkpoint is None else put_of(scope, key, checkpoint, owner),
        )
        return await scope.write(operation)

    def _turns(
        self,
        key: Key,
        turns: Iterable[TurnInput | Mapping[str, Any]],
        parent_seq: int | None,
        owner: str | None,
    ) -> AppendTurns:
        now = self._scope.now()
        rows, kept, size = encode_turns(self._scope.limits, turns, now)
        begin_at(rows, parent_seq)
        apart = take_apart(self._scope.limits, key[0], rows, now)
        return AppendTurns(key, rows, kept, size, now, owner, kept_apart=apart)

    def _acts(
        self,
        key: Key,
        interactions: Iterable[InteractionInput | Mapping[str, Any]],
        owner: str | None,
    ) -> RecordInteractions:
        now = self._scope.now()
        given = interaction_inputs(interactions, key[1])
        for place, (of_session, _) in enumerate(given):
            if of_session != key[1]:
                where = f"interactions[{place}].session_id"
                raise InvalidInputError(where, "is another session")
        rows = interaction_rows(self._scope.limits, now, [act for _, act in given])
        size = sum(row_size(row) for row in rows)
        return RecordInteractions(key, rows, size, now, owner)

    async def adapter_states(
        self, session_ids: Iterable[str], name: str
    ) -> dict[str, JsonObject]:
        """What an adapter keeps of several sessions, by id; for lists.

        With one statement for all that are live; each that is archived is read where
        it lies. Left out are those of which it keeps nothing, and those that are not
        there.

        Args:
            session_ids: At most `max_page`.
        """
        check_id("name", name)
        scope = self._scope
        ids = [check_id("session_ids", each) for each in dict.fromkeys(session_ids)]
        if not ids:
            return {}
        check_limit(scope.limits, len(ids))
        keys = [scope.key(session_id) for session_id in ids]
        found, archived = await scope.runner.read(
            lambda c: find_states(c, keys, name, scope.user_id)
        )
        for session_id in archived:
            try:
                state = await self.adapter_state(session_id, name)
            except (NotFoundError, RefusedError):
                continue  # gone meanwhile
            if state is not None:
                found[session_id] = state
        return {
            session_id: found[session_id] for session_id in ids if session_id in found
        }

    async def adapter_state(self, session_id: str, name: str) -> JsonObject | None:
        """What an adapter keeps of a session; None when that is nothing.

        Read on demand: it is in no list, window or cache.

        Raises:
            SessionNotFoundError: No such session of this tenant (and user).
        """
        check_id("name", name)
        key = self._scope.key(check_id("session_id", session_id))
        user_id = self._scope.user_id
        return await self._scope.read(
            session_id, lambda c: find_state(c, key, name, user_id)
        )


def encode_patch(
    limits: Limits,
    values: Row,
    metadata: Mapping[str, Json] | None,
    adapter_state: Mapping[str, Mapping[str, Json] | None] | None,
    add_tags: object = (),
    remove_tags: object = (),
) -> Patch:
    """What to change of a session; `values` are columns as they are stored.

    Raises:
        InvalidInputError: Names the field.
    """
    states: dict[str, str | None] = {}
    if adapter_state is not None and not isinstance(adapter_state, Mapping):
        raise InvalidInputError("adapter_state", "must be an object of objects")
    for name, state in (adapter_state or {}).items():
        check_id("adapter_state", name)
        if state is None:
            states[name] = None
        else:
            states[name] = _patch_text(
                state_field(name), state, limits.max_state_bytes, limits
            )
    return Patch(
        values,
        None
        if metadata is None
        else _patch_text("metadata", metadata, limits.max_metadata_bytes, limits),
        states,
        tuple(decode_json(encode_tags(limits, add_tags))),
        tuple(decode_json(encode_tags(limits, remove_tags))),
    )


def _patch_text(field: str, patch: object, most: int, limits: Limits) -> str:
    if not isinstance(patch, dict):
        raise InvalidInputError(field, f"must be a dict, not {type(patch).__name__}")
    return encode_json(field, patch, most, limits.max_json_depth)
