"""The noun `sessions`: get or create, change, list, delete."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

from convstore.db import session_lists
from convstore.db import sessions as rows
from convstore.db.codec.inputs import (
    encode_object,
    encode_slots,
    encode_tags,
    encode_time,
    encode_title,
)
from convstore.db.engine import Connection
from convstore.db.ownership import TransferSession
from convstore.db.renewal import RenewSession
from convstore.db.unit import Row, check_usable, is_hidden
from convstore.repositories.cursors import check_limit
from convstore.repositories.forking import Sessions as Forking
from convstore.repositories.patching import Sessions as Patching
from convstore.repositories.session_cursors import cursor_of, place_of
from convstore.repositories.session_filter import session_filter, with_labels
from convstore.vocabulary.codec import check_optional_int, check_text
from convstore.vocabulary.errors import (
    InvalidInputError,
    SessionArchivedError,
    SessionDeletedError,
    SessionNotFoundError,
)
from convstore.vocabulary.ids import check_id, check_optional_id, new_id
from convstore.vocabulary.records import (
    UNSET,
    Json,
    Page,
    Session,
    SessionState,
    Unset,
)

_MAX_REASON_BYTES = 4096


class Sessions(Forking, Patching):
    """Sessions of the scope's tenant (and user)."""

    async def get(self, session_id: str) -> Session:
        """The session, live or as the stub of an archived one.

        With `restore_on_read` an archived one is restored.

        Raises:
            SessionNotFoundError: No such session of this tenant (and user).
            SessionDeletedError: It was deleted.
            SessionErasedError: It was erased.
        """
        session = await self._warm(session_id)
        if session is None:
            raise SessionNotFoundError(session_id)
        if session.state != "archived":
            check_usable(session.state, session.user_id, session_id, None)
        elif self._scope.restore_on_read:
            await self._revive(session_id)
            return await self.get(session_id)
        return session

    async def find(self, session_id: str) -> Session | None:
        """As `get`, with None in place of its errors. Restores nothing."""
        session = await self._warm(session_id)
        if session is None or session.state in ("deleted", "erased"):
            return None
        return session

    async def get_or_create(
        self,
        session_id: str | None = None,
        *,
        user_id: str | None = None,
        title: str | None = None,
        language: str | None = None,
        tags: Iterable[str] = (),
        metadata: Mapping[str, Json] | None = None,
        expires_at: datetime | None = None,
        created_at: datetime | None = None,
        renew: bool = False,
    ) -> tuple[Session, bool]:
        """The session, and whether this call created it. Atomic.

        Any number of callers at once, in any number of processes, get one session, and
        exactly one is told True. An archived session is restored. The other arguments
        matter only when it is created.

        Args:
            session_id: None makes a fresh, time-ordered, unguessable id.
            user_id: Owner. A session of another user is not found; one that has no
                owner becomes this user's in the same commit.
            title: None takes the first user turn's first 35 characters, later.
            expires_at: The session's own expiry, from when it is stale.
            created_at: When the conversation began, if not now.
            renew: A deleted id begins anew, empty and as if it were created: its
                `generation` counts up, its versions go on. The archived copy of what
                was deleted cannot be restored any more, is in no export, and goes
                with the next rewrite of its file. Without it a late write cannot
                bring a deleted id back. An erased one never comes back.

        Raises:
            SessionNotFoundError: The id belongs to another user.
            SessionErasedError, SessionDeletedError: The id must not come back.
            LegalHoldError: It was deleted, and its archived copy is under hold.
        """
        user_id = self._scope.owner(user_id)
        fresh = session_id is None
        if session_id is None:
            session_id = new_id()
        else:
            try:
                existing = await self._existing(session_id, user_id)
            except SessionDeletedError:
                if not renew:
                    raise
                existing = None
            if existing is not None:
                return existing, False
        values = self._values(
            user_id=user_id,
            title=title,
            language=language,
            tags=tags,
            metadata=metadata,
            expires_at=expires_at,
        )
        now = self._scope.now()
        if created_at is not None:
            values["created_at"] = encode_time("created_at", created_at)
        key = self._scope.key(check_id("session_id", session_id))
        ensure = rows.EnsureSession(key, values, now, user_id)
        session, created = await self._scope.write(
            RenewSession(ensure) if renew else ensure
        )
        assert created or not fresh
        return session, created

    async def update(
        self,
        session_id: str,
        *,
        title: str | Unset | None = UNSET,
        language: str | Unset | None = UNSET,
        tags: Iterable[str] | Unset = UNSET,
        metadata: Mapping[str, Json] | Unset = UNSET,
        expires_at: datetime | Unset | None = UNSET,
        current_slots: Mapping[str, str] | Unset = UNSET,
        current_template_id: str | Unset | None = UNSET,
        user_id: str | Unset = UNSET,
        expected_version: int | None = None,
    ) -> Session:
        """Change the fields mentioned; each replaces what was there.

        Args:
            user_id: The owner of a session that has none; costs so far become this
                user's. Another owner is given by `transfer`.
            title: None lets the next user turn give the title.
            metadata: The whole object, not a patch.
            expected_version: Change only if the session is at this version.

        Raises:
            VersionConflictError: It is at another one; both are on the error.
            ConflictError: The session has another owner already.
        """
        owner = None
        if not isinstance(user_id, Unset):
            owner = self._scope.owner(check_id("user_id", user_id))
        given = {
            name: value
            for name, value in {
                "title": title,
                "language": language,
                "tags": tags,
                "metadata": metadata,
                "expires_at": expires_at,
                "current_slots": current_slots,
                "current_template_id": current_template_id,
            }.items()
            if not isinstance(value, Unset)
        }
        values = self._values(**given)
        return await self._scope.write(
            rows.UpdateSession(
                self._scope.key(check_id("session_id", session_id)),
                values,
                self._scope.now(),
                expected_version,
                self._scope.user_id,
                owner=owner,
            )
        )

    async def transfer(
        self,
        session_id: str,
        *,
        user_id: str,
        actor_id: str | None = None,
        reason: str | None = None,
    ) -> Session:
        """Give a session to another user: an operator's act, not one of its users.

        What it has cost moves to the new owner's total, and an interaction with the
        action `transfer` says who did it and why. An archived session is restored
        first. Nothing happens where it is that user's already.

        Args:
            actor_id: Who does it.
            reason: Why; at most 4,096 bytes.

        Raises:
            SessionNotFoundError: No such session.
        """
        if self._scope.user_id is not None:
            raise InvalidInputError("user_id", "is not changed through a user's handle")
        return await self._scope.write(
            TransferSession(
                self._scope.key(check_id("session_id", session_id)),
                check_id("user_id", user_id),
                check_optional_id("actor_id", actor_id),
                None
                if reason is None
                else check_text("reason", reason, _MAX_REASON_BYTES),
                self._scope.now(),
            )
        )

    async def touch(self, session_id: str) -> Session:
        """Count as activity: the session is not stale for another while."""
        return await self._scope.write(
            rows.UpdateSession(
                self._scope.key(check_id("session_id", session_id)),
                {},
                self._scope.now(),
                user_id=self._scope.user_id,
                activity=True,
            )
        )

    async def list(
        self,
        *,
        user_id: str | None = None,
        language: str | None = None,
        state: SessionState | None = None,
        updated_since: datetime | None = None,
        title: str | None = None,
        tag: str | None = None,
        label: str | None = None,
        metadata: Mapping[str, Json] | None = None,
        judged: bool | None = None,
        disagreed: bool | None = None,
        held: bool | None = None,
        limit: int = 50,
        cursor: str | None = None,
    ) -> Page[Session]:
        """Live and archived sessions, newest activity first, a page at a time.

        A page costs the same however many sessions there are. Where no more than
        20,000 have a word of the title, the label, the tag or the metadata, these are
        found by an index and the page is whole. Where it would have to look at more
        than some 20,000, because few of them meet the filters, it ends early, perhaps
        empty, with `complete=False` and a cursor that goes on. So does
        one that comes to a quarter of an hour in which more than 20,000 were active,
        which is gone through by id. Sessions that become active while paging move to
        the front, which was read already.

        Args:
            state: Only `active`, `archived`, `deleted` or `erased` ones.
            updated_since: Active at or after this time.
            title: Words that the title has, in any order, case and accents aside; the
                beginning of each will do. The first 16 count. Of text without a word,
                such as `%`, that the title contains it.
            tag: A tag that the session has.
            label: A label that its effective feedback has, as it was given.
            metadata: Top-level keys and the scalar values that they must equal, as
                JSON: 1, 1.0, "1" and True are four values.
            judged: Whether their effective feedback has a label.
            disagreed: Whether it has one that means good and one that means bad, by
                the settings, among the tenant's first 1,000 labels.
            held: Whether they are under legal hold.
            limit: Sessions of one page.
            cursor: `next_cursor` of the page before, or `previous_cursor` of the one
                behind: the same sessions again, unless they became active meanwhile.
        """
        check_limit(self._scope.limits, limit)
        wanted = session_filter(
            self._scope.limits,
            user_id=self._scope.owner(user_id),
            language=language,
            state=state,
            updated_since=updated_since,
            title=title,
            tag=tag,
            label=label,
            metadata=metadata,
            judged=judged,
            disagreed=disagreed,
            held=held,
        )
        place = None if cursor is None else place_of(cursor)

        def read(connection: Connection) -> tuple[session_lists.Listed, bool]:
            tenant, reading = self._scope.tenant, self._scope.reading
            known, all_known = with_labels(connection, tenant, wanted, reading)
            listed = session_lists.list_page(connection, tenant, known, place, limit)
            return listed, all_known

        found, all_known = await self._scope.read_broadly(read)
        return Page(
            tuple(found.sessions),
            cursor_of(found.next),
            found.complete and all_known,
            cursor_of(found.previous),
        )

    async def count(
        self,
        *,
        user_id: str | None = None,
        language: str | None = None,
        state: SessionState | None = None,
        updated_since: datetime | None = None,
        title: str | None = None,
        tag: str | None = None,
        label: str | None = None,
        metadata: Mapping[str, Json] | None = None,
        judged: bool | None = None,
        disagreed: bool | None = None,
        held: bool | None = None,
    ) -> int:
        """How many sessions `list` with these filters would give.

        Their number, and that in a state, is kept. By any other filter it walks them.
        """
        wanted = session_filter(
            self._scope.limits,
            user_id=self._scope.owner(user_id),
            language=language,
            state=state,
            updated_since=updated_since,
            title=title,
            tag=tag,
            label=label,
            metadata=metadata,
            judged=judged,
            disagreed=disagreed,
            held=held,
        )
        tenant, reading = self._scope.tenant, self._scope.reading
        return await self._scope.runner.read(
            lambda c: rows.count(c, tenant, with_labels(c, tenant, wanted, reading)[0])
        )

    async def delete(
        self,
        session_id: str,
        *,
        archive: bool = True,
        expected_version: int | None = None,
    ) -> None:
        """Delete a session: it is archived and verified first, unless told not to.

        The id is refused from then on, so that a late write does not bring the session
        back; `get_or_create(renew=True)` begins it anew. Deleting it again does
        nothing. With `archive=True` it can be restored, and sessions that are deleted
        at the same time share a segment.

        Args:
            archive: False destroys the content without a copy; spell it out.
            expected_version: Delete only if the session is at this version.

        Raises:
            VersionConflictError: It is at another one; both are on the error.
            SessionNotFoundError: No such session.
            LegalHoldError: It is under legal hold.
        """
        scope = self._scope
        session = await self._find(session_id)
        if session is None:
            raise SessionNotFoundError(session_id)
        await scope.lifecycle.delete(
            scope.runner,
            scope.key(session_id),
            archive=archive,
            expected_version=check_optional_int("expected_version", expected_version),
        )

    async def _revive(self, session_id: str) -> None:
        scope = self._scope
        await scope.lifecycle.revive(scope.runner, scope.key(session_id))

    async def _warm(self, session_id: str) -> Session | None:
        """As `_find`, from the hot tier where there is one."""
        scope = self._scope
        if (tier := scope.tier) is None:
            return await self._find(session_id)
        key = scope.key(check_id("session_id", session_id))
        return self._own((await tier.read(scope.runner, key, 0)).session)

    async def _find(self, session_id: str) -> Session | None:
        key = self._scope.key(check_id("session_id", session_id))
        return self._own(
            await self._scope.runner.read(lambda connection: rows.find(connection, key))
        )

    def _own(self, session: Session | None) -> Session | None:
        """The session, unless it is another user's."""
        user_id = self._scope.user_id
        if session is None or is_hidden(session.state, session.user_id, user_id):
            return None
        return session

    async def _existing(self, session_id: str, user_id: str | None) -> Session | None:
        """The live session if no write is needed, restored if it was archived."""
        key = self._scope.key(check_id("session_id", session_id))
        while True:
            session = await self._scope.runner.read(
                lambda connection: rows.find(connection, key)
            )
            if session is None:
                return None
            if session.user_id is None and user_id is not None:
                return None  # to be claimed, by a write
            try:
                check_usable(session.state, session.user_id, session_id, user_id)
            except SessionArchivedError:
                await self._revive(session_id)
            else:
                return session

    def _values(self, **given: Any) -> Row:
        """The columns of the fields given."""
        limits, values = self._scope.limits, Row()
        for name in ("user_id", "language", "current_template_id"):
            if name in given:
                values[name] = check_optional_id(name, given[name])
        if "title" in given:
            values["title"] = encode_title(given["title"])
        if "tags" in given:
            values["tags"] = encode_tags(limits, given["tags"])
        if "metadata" in given:
            values["metadata"] = encode_object(limits, "metadata", given["metadata"])
        if "current_slots" in given:
            values["current_slots"] = encode_slots(limits, given["current_slots"] or {})
        if "expires_at" in given:
            at = given["expires_at"]
            values["expires_at"] = at and encode_time("expires_at", at)
        return values
