"""What the noun `turns` does with branches: read them, leave them, go back to them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Literal, TypeAlias

from convstore.db import branches as rows
from convstore.db.engine import Connection
from convstore.db.heads import PopTurn, SwitchBranch
from convstore.db.unit import Key
from convstore.repositories.cursors import check_limit
from convstore.repositories.scope import Scope
from convstore.vocabulary.codec import check_int, check_optional_int
from convstore.vocabulary.errors import InvalidInputError, TurnNotFoundError
from convstore.vocabulary.ids import check_id
from convstore.vocabulary.records import Branch, Session, Turn

Leaving: TypeAlias = Literal["clear", "compact"]
Family: TypeAlias = dict[int, tuple[Turn, ...]]
_LEAVING = ("clear", "compact")


class Turns:
    """The verbs of `turns` that are about branches; named like the noun, because traces
    call a read by its verb: `Turns.branch`."""

    def __init__(self, scope: Scope) -> None:
        self._scope = scope

    async def branch(
        self,
        session_id: str,
        *,
        head: int | None = None,
        before: int | None = None,
        limit: int | None = None,
    ) -> list[Turn]:
        """The newest `limit` turns of a branch, oldest first: exactly so many, unless
        it has fewer. For protocols and pages; `window` is for models, and shortens.

        Args:
            head: The last turn of the branch; None is the active branch, 0 the empty
                one.
            before: A turn on it: reading starts at its parent. Pass the first turn of
                the last page to get the one before; each page costs what it gives,
                and a head that moves meanwhile changes nothing.
            limit: Most turns; None gives the whole branch.

        Raises:
            TurnNotFoundError: The session has no turn `head` or `before`.
        """
        if limit is not None:
            check_limit(self._scope.limits, limit)
        check_optional_int("head", head)
        check_optional_int("before", before)
        if before == 0 or (head is not None and before is not None and before > head):
            raise InvalidInputError("before", "is not a turn on the branch")
        key, scope = self._key(session_id), self._scope
        if head is None and before is None:  # one statement for the session and all
            most = limit or rows.WHOLE
            return await scope.read(
                session_id,
                lambda c: rows.newest(c, key, most, scope.user_id, payload=True),
            )
        # From `before` itself: one statement tells whether there is such a turn.
        seq, most = before or head or 0, limit or rows.WHOLE
        if before is not None and most < rows.WHOLE:
            most += 1

        def read(connection: Connection, session: Session) -> list[Turn]:
            if not seq:
                return []
            straight = not session.branched and seq <= session.turn_count
            return rows.read(connection, key, seq, most, straight=straight)

        found = await scope.live(session_id, read)
        if not found and seq:
            raise TurnNotFoundError(session_id, seq)
        return found if before is None else found[:-1]

    async def branches(self, session_id: str) -> list[Branch]:
        """Every branch by its last turn, oldest first; one is active, or none where the
        empty one is. Reads the numbers of all turns."""
        key = self._key(session_id)

        return await self._scope.live(
            session_id, lambda c, session: rows.tips(c, key, session.head_seq)
        )

    async def siblings(self, session_id: str, seqs: Iterable[int]) -> Family:
        """For each of these turns the ones with the same parent, itself among them, in
        `seq` order: what a page shows as `2 / 3`. Passes over the session once.

        Raises:
            TurnNotFoundError: The session has no such turn.
        """
        return await self._family(session_id, seqs, rows.siblings)

    async def children(self, session_id: str, seqs: Iterable[int]) -> Family:
        """For each of these turns the ones that follow it, in `seq` order; for 0 the
        first turns. Passes over the session once.

        Raises:
            TurnNotFoundError: The session has no such turn.
        """
        return await self._family(session_id, seqs, rows.children)

    async def switch(
        self,
        session_id: str,
        seq: int,
        *,
        action: Leaving | None = None,
        expected_head: int | None = None,
    ) -> None:
        """Make the branch that ends in turn `seq` active: windows show it, appends
        continue it, slots, template and language become those of its path. Idempotent.

        Args:
            seq: A turn; 0 for the empty branch, from which the next append begins anew.
            action: Why the branch is left; recorded on its tip, by actor kind `code`,
                in the same commit, so that no export takes it for a rejected answer.
            expected_head: Refuse unless this is the tip; 0 is the empty branch.

        Raises:
            TurnNotFoundError: The session has no such turn.
            VersionConflictError: The active branch has another tip by now.
        """
        check_int("seq", seq)
        check_optional_int("expected_head", expected_head)
        if action is not None and action not in _LEAVING:
            raise InvalidInputError("action", "must be clear, compact or None")
        scope, key = self._scope, self._key(session_id)
        await scope.write(
            SwitchBranch(
                key,
                seq,
                scope.now(),
                scope.user_id,
                action=action,
                expected_head=expected_head,
            )
        )

    async def pop(
        self, session_id: str, *, expected_head: int | None = None
    ) -> Turn | None:
        """Take the last turn off the active branch and give it back; None if the branch
        is empty. Nothing is destroyed: the turn stays as the tip of a branch that is
        no longer active, with an interaction `pop` in the same commit.

        Two callers get two turns. Appending the turn again with its external id puts it
        back.

        Args:
            expected_head: Refuse unless this is the tip; 0 is the empty branch.

        Raises:
            VersionConflictError: The active branch has another tip by now.
        """
        check_optional_int("expected_head", expected_head)
        scope, key = self._scope, self._key(session_id)
        return await scope.write(
            PopTurn(key, scope.now(), scope.user_id, expected_head=expected_head)
        )

    def _key(self, session_id: str) -> Key:
        return self._scope.key(check_id("session_id", session_id))

    async def _family(
        self,
        session_id: str,
        seqs: Iterable[int],
        read: Callable[[Connection, Key, Sequence[int]], Family],
    ) -> Family:
        key, asked = self._key(session_id), list(seqs)
        if len(asked) > self._scope.limits.max_page:
            raise InvalidInputError("seqs", f"at most {self._scope.limits.max_page}")
        for seq in asked:
            check_int("seqs", seq)
        found = await self._scope.live(
            session_id,
            lambda c, _: read(c, key, asked),
            # Nobody below any of them: that may be the rows of a session that goes.
            is_nothing=lambda family: not any(family.values()),
        )
        for seq in asked:
            if seq not in found:
                raise TurnNotFoundError(session_id, seq)
        return found
