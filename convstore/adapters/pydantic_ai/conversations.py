"""The `ConversationStore` of Pydantic AI over the sessions of a store."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from contextlib import suppress
from heapq import nlargest
from itertools import pairwise
from typing import NamedTuple

from pydantic_ai.conversation_store import (
    ConversationConflict,
    ConversationEntry,
    ConversationRecord,
    ConversationStore,
)

from convstore.adapters.pydantic_ai.entries import (
    entries_of,
    entry_id_of,
    turns_of_entry,
)
from convstore.adapters.pydantic_ai.records import (
    NAME,
    is_current,
    record_of,
    state_of,
)
from convstore.blocking.wrapping import AnyStore, awaited
from convstore.messages.model_messages import FORMAT
from convstore.messages.neutral import plain_id
from convstore.vocabulary.errors import (
    ConflictError,
    InvalidInputError,
    NotFoundError,
    SessionDeletedError,
    SessionErasedError,
    SessionNotFoundError,
    VersionConflictError,
)
from convstore.vocabulary.records import (
    InteractionInput,
    Session,
    Turn,
    TurnInput,
)

_PAGE = 100
_MOST_TURNS = 1_000
_MOST_HOMES = 10_000
_ABSENT = (NotFoundError, SessionDeletedError, SessionErasedError)


class ConvstoreConversations(ConversationStore):
    """A `ConversationStore` of the framework over the sessions of a store.

    Safe to share between tasks, and with `convstore.blocking`'s `awaitable` store
    between threads and event loops. Closing it is closing the store.

    Args:
        store: An open `convstore.Store`, of the tenant that is meant, or one of
            `convstore.blocking.open_store`, which serves any event loop.
        archive_deleted: Whether what `delete` deletes is archived first, from where it
            can be restored; False destroys it without a copy.
    """

    def __init__(self, store: AnyStore, *, archive_deleted: bool = True) -> None:
        self._store = awaited(store)
        self._archive_deleted = archive_deleted
        # Where entries were seen last: entries are asked for without a conversation.
        # Only a place to look first, so that others may be forgotten.
        self._homes: OrderedDict[str, str] = OrderedDict()

    async def read_record(self, conversation_id: str) -> ConversationRecord | None:
        """The record of a session, whoever began it; None where there is none, or it
        was deleted or erased."""
        seen = await self._look(conversation_id)
        return None if seen is None else seen.record

    async def read_records(
        self, *, scope: str | None = None, limit: int | None = None
    ) -> Sequence[ConversationRecord]:
        """The records of live and archived sessions, newest `updated_at` first.

        That time is the framework's own, by which sessions are not sorted: all of the
        scope are looked at, a page at a time, whatever the limit.
        """
        best: list[ConversationRecord] = []
        cursor: str | None = None
        while limit != 0:
            page = await self._store.sessions.list(
                user_id=scope, limit=_PAGE, cursor=cursor
            )
            ids = [session.id for session in page.items]
            states = await self._store.sessions.adapter_states(ids, NAME)
            for session in page.items:
                state = states.get(session.id)
                if is_current(state, session):
                    best.append(record_of(session, state))
                elif (seen := await self._look(session.id)) is not None:
                    best.append(seen.record)
            most = len(best) if limit is None else limit
            best = nlargest(most, best, key=lambda record: record.updated_at)
            if (cursor := page.next_cursor) is None:
                break
        return best

    async def write_record(
        self,
        record: ConversationRecord,
        *,
        new_entries: Sequence[ConversationEntry] = (),
        expected_revision: str | None,
    ) -> None:
        """Store a record and its new entries in one commit.

        What leaves entries behind says so on the last of them: an interaction `compact`
        for a history that was rewritten, `clear` for one that begins anew.

        Raises:
            ConversationConflict: As the framework says; also where the id was deleted
                in another scope.
            InvalidInputError: An id or a message cannot be stored; nothing was.
        """
        _check_line(record, new_entries)
        conflict = ConversationConflict(record.conversation_id)
        while True:
            seen = await self._look(record.conversation_id)
            if (None if seen is None else seen.record.revision) != expected_revision:
                raise conflict
            try:
                await self._write(seen, record, new_entries, conflict)
            except VersionConflictError:
                continue  # a save of somebody else, or only feedback: look again
            except (ConflictError, SessionNotFoundError, SessionDeletedError) as error:
                raise conflict from error
            break
        for known in (record.head_id, *record.branches):
            self._remember(known, record.conversation_id)

    async def delete_record(
        self, conversation_id: str, *, expected_revision: str
    ) -> None:
        """Delete a session, all its entries with it: forks have copies of theirs.

        Raises:
            ConversationConflict: It was saved, continued or deleted meanwhile.
            LegalHoldError: It is under legal hold.
        """
        while True:
            seen = await self._look(conversation_id)
            if seen is None or seen.record.revision != expected_revision:
                raise ConversationConflict(conversation_id)
            with suppress(VersionConflictError):
                try:
                    return await self._store.sessions.delete(
                        conversation_id,
                        archive=self._archive_deleted,
                        expected_version=seen.session.version,
                    )
                except SessionNotFoundError as error:
                    raise ConversationConflict(conversation_id) from error

    async def read_entry(self, entry_id: str) -> ConversationEntry:
        """The entry with this id.

        Raises:
            LookupError: No conversation has it.
        """
        return (await self.read_history(entry_id, limit=1))[0]

    async def read_history(
        self, head_id: str | None, *, limit: int | None = None
    ) -> list[ConversationEntry]:
        """The entries up to `head_id`, or the last `limit` of them.

        Raises:
            LookupError: No conversation has that entry.
        """
        if head_id is None or limit == 0:
            return []
        place = await self._locate(head_id)
        found: list[ConversationEntry] = []
        if place is not None:
            with suppress(*_ABSENT):
                found = await self._path(*place, limit)
        if not found:
            raise LookupError(f"no entry {head_id!a}")
        return found

    # Reading

    async def _look(self, conversation_id: str) -> _Seen | None:
        """A session and what is kept beside it, of one moment."""
        sessions = self._store.sessions
        while (session := await sessions.find(conversation_id)) is not None:
            try:
                state = await sessions.adapter_state(conversation_id, NAME)
            except _ABSENT:
                continue
            if state is not None and not is_current(state, session):
                again = await sessions.find(conversation_id)
                if again is None or again.version != session.version:
                    continue
            record = record_of(session, state)
            if not is_current(state, session):
                record.head_id = await self._head_id(session)
            for known in (record.head_id, *record.branches):
                self._remember(known, session.id)
            return _Seen(session, record)
        return None

    async def _head_id(self, session: Session) -> str | None:
        if session.head_seq is None:
            return None
        return entry_id_of(await self._store.turns.get(session.id, session.head_seq))

    async def _path(
        self, session_id: str, head: int, limit: int | None
    ) -> list[ConversationEntry]:
        """The entries up to a turn, the last `limit` of them."""
        turns: list[Turn] = []
        size = None if limit is None else min(2 * limit + 8, _MOST_TURNS)
        before: int | None = None
        while True:
            where = {"head": head} if before is None else {"before": before}
            page = await self._store.turns.branch(session_id, **where, limit=size)
            turns = page + turns
            entries = entries_of(turns)
            if size is None or not page or page[0].parent_seq is None:
                break
            # The first may be a part, and the calls of the second's results with it.
            if limit is not None and len(entries) >= limit + 2:
                break
            before, size = turns[0].seq, min(2 * size, _MOST_TURNS)
        for entry in entries[-1:]:
            self._remember(entry.id, session_id)
        return entries if limit is None else entries[-limit:]

    async def _locate(self, entry_id: str, *homes: str) -> tuple[str, int] | None:
        """The session and number of the turn that an entry ends with."""
        known = self._homes.get(entry_id, ""), entry_id.rpartition("#")[0]
        for home in dict.fromkeys([*homes, *known]):
            if (seq := await self._find(home, entry_id)) is not None:
                return home, seq
        cursor: str | None = None
        while plain_id(entry_id) is not None:
            page = await self._store.turns.find_all(external_id=entry_id, cursor=cursor)
            for turn in page.items:
                if turn.payload_format == FORMAT:
                    return turn.session_id, turn.seq
            if (cursor := page.next_cursor) is None:
                break
        return None

    async def _find(self, session_id: str, entry_id: str) -> int | None:
        """The number of an entry's last turn in a session; None if it is not there."""
        if plain_id(session_id) is None or plain_id(entry_id) is None:
            return None
        turns, turn = self._store.turns, None
        with suppress(*_ABSENT):
            turn = await turns.find(session_id, external_id=entry_id)
            if turn is not None and turn.payload_format == FORMAT:
                return turn.seq
            home, _, number = entry_id.rpartition("#")
            if home == session_id and number.isdecimal() and len(number) < 19:
                turn = await turns.get(session_id, int(number))
                return turn.seq if entry_id_of(turn) == entry_id else None
        return None

    def _remember(self, entry_id: str | None, session_id: str) -> None:
        if entry_id is not None:
            self._homes[entry_id] = session_id
            self._homes.move_to_end(entry_id)
            if len(self._homes) > _MOST_HOMES:
                self._homes.popitem(last=False)

    # Writing

    async def _write(
        self,
        seen: _Seen | None,
        record: ConversationRecord,
        entries: Sequence[ConversationEntry],
        conflict: ConversationConflict,
    ) -> None:
        turns = [turn for entry in entries for turn in turns_of_entry(entry)]
        parent = entries[0].parent_id if entries else record.head_id
        at = await self._place(seen, parent)
        if at is None:
            assert parent is not None
            await self._fork(seen, record, parent, turns, conflict)
            return
        session = None if seen is None else seen.session
        head = 0 if session is None else session.head_seq or 0
        count = 0 if session is None else session.turn_count
        moved = at if at != head else None
        why = "compact" if turns else "clear" if at == 0 else None
        left = why is not None and moved is not None and head > 0
        done = await self._store.sessions.apply(
            record.conversation_id,
            create=session is None,
            renew=session is None,
            user_id=record.scope,
            turns=turns,
            parent_seq=moved if turns else None,
            switch=None if turns else moved,
            expected_version=0 if session is None else session.version,
            adapter_state=state_of(record, count, len(turns), at),
            interactions=[InteractionInput(why, turn_seq=head, actor_kind="code")]
            if left and why
            else (),
        )
        if done.repeated:
            raise conflict  # the entries are stored already, and the record moved on

    async def _fork(
        self,
        seen: _Seen | None,
        record: ConversationRecord,
        parent: str,
        turns: list[TurnInput],
        conflict: ConversationConflict,
    ) -> None:
        """Begin a conversation with the history of another one."""
        homes = [] if record.forked_from is None else [record.forked_from]
        place = None if seen is not None else await self._locate(parent, *homes)
        if place is None:
            raise conflict
        source, at = place
        session_id, scope = record.conversation_id, record.scope
        async with self._store.transaction() as tx:
            made = await tx.sessions.fork(source, session_id, at, renew=True)
            if scope is not None and made.user_id not in (None, scope):
                await tx.sessions.transfer(session_id, user_id=scope)
            count = made.turn_count
            await tx.sessions.apply(
                session_id,
                user_id=scope,
                turns=turns,
                adapter_state=state_of(record, count, len(turns), count),
            )

    async def _place(self, seen: _Seen | None, entry_id: str | None) -> int | None:
        """The number of an entry's last turn in a session, 0 for the empty history;
        None where the session does not have it."""
        if entry_id is None:
            return 0
        if seen is None:
            return None
        if entry_id == seen.record.head_id and seen.session.head_seq is not None:
            return seen.session.head_seq
        return await self._find(seen.session.id, entry_id)


class _Seen(NamedTuple):
    """A session, and its record."""

    session: Session
    record: ConversationRecord


def _check_line(
    record: ConversationRecord, entries: Sequence[ConversationEntry]
) -> None:
    for place, (entry, after) in enumerate(pairwise(entries), 1):
        if after.parent_id != entry.id:
            where = f"new_entries[{place}].parent_id"
            raise InvalidInputError(where, "is not the entry before")
    if entries and record.head_id != entries[-1].id:
        raise InvalidInputError("record.head_id", "is not the last of the new entries")
