"""What the noun `sessions` does with forks: make one, find those of a session."""

from __future__ import annotations

from convstore.db import forks as rows
from convstore.db import sessions
from convstore.db.engine import Connection
from convstore.db.forks import ForkSession
from convstore.db.unit import is_hidden
from convstore.repositories.cursors import check_limit, decode_cursor, encode_cursor
from convstore.repositories.scope import Scope
from convstore.vocabulary.codec import check_optional_int
from convstore.vocabulary.errors import InvalidInputError, SessionNotFoundError
from convstore.vocabulary.ids import check_id
from convstore.vocabulary.records import Page, Session


class Sessions:
    """The verbs of `sessions` that are about forks; named like the noun, because traces
    call a read by its verb."""

    def __init__(self, scope: Scope) -> None:
        self._scope = scope

    async def fork(
        self,
        source: str,
        new_id: str,
        at_seq: int | None = None,
        *,
        renew: bool = False,
    ) -> Session:
        """Begin a session with a branch of another one, in one transaction.

        The database copies the turns of the branch, numbered from 1 anew, with their
        payloads, external ids and tool definitions; the session takes over title,
        owner, language, tags and metadata, with slots and template as they were at that
        turn, what adapters keep, and its items, as these are now. Feedback, graph
        states, ledger and legal holds stay with the source.
        Nothing is shared from then on. An archived source is restored first.

        Args:
            source: The session to go on from. It does not change.
            new_id: Of the session that is made.
            at_seq: The last turn to take over, whatever its branch; None is the tip of
                the active one, 0 takes none.
            renew: If `new_id` was deleted it begins anew, as with
                `get_or_create(renew=True)`.

        Raises:
            SessionNotFoundError: No session `source` of this tenant (and user); or
                `new_id` is another user's.
            TurnNotFoundError: The source has no such turn.
            AlreadyExistsError: There is a session `new_id`.
            SessionDeletedError, SessionErasedError: Either id must not come back.
        """
        scope = self._scope
        check_optional_int("at_seq", at_seq)
        key = scope.key(check_id("session_id", source))
        if check_id("new_id", new_id) == source:
            raise InvalidInputError("new_id", "is the session that is forked")
        return await scope.write(
            ForkSession(key, new_id, at_seq, scope.now(), scope.user_id, renew)
        )

    async def forks(
        self, session_id: str, *, limit: int = 50, cursor: str | None = None
    ) -> Page[Session]:
        """The live and archived sessions that were forked from this one, by id.

        Raises:
            SessionNotFoundError: No such session of this tenant (and user).
        """
        scope = self._scope
        check_limit(scope.limits, limit)
        after = "" if cursor is None else decode_cursor(cursor, str)[0]
        key = scope.key(check_id("session_id", session_id))

        def read(connection: Connection) -> list[Session] | None:
            source, user_id = sessions.find(connection, key), scope.user_id
            if source is None or is_hidden(source.state, source.user_id, user_id):
                return None
            return rows.forks(connection, key, after, limit + 1, user_id)

        found = await scope.runner.read(read)
        if found is None:
            raise SessionNotFoundError(session_id)
        more = len(found) > limit
        found = found[:limit]
        return Page(tuple(found), encode_cursor(found[-1].id) if more else None)
