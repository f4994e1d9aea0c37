"""The noun `items`: small documents in a namespace, outside sessions or in one."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from typing import TypeAlias, TypeVar

from convstore.db import item_reads as rows
from convstore.db.engine import Connection
from convstore.db.item_upkeep import AT_ONCE, RemoveExpiredItems
from convstore.db.items import ChangeItem, ChangeSessionItem, Life, Verb
from convstore.repositories.cursors import check_limit, decode_cursor, encode_cursor
from convstore.repositories.item_changes import item_change, life_of
from convstore.repositories.scope import Scope
from convstore.vocabulary.errors import InvalidInputError, ItemNotFoundError
from convstore.vocabulary.ids import check_id, check_optional_id
from convstore.vocabulary.records import UNSET, Item, Json, Page, Unset

T = TypeVar("T")
Named: TypeAlias = dict[tuple[str, str], Item]


class Items:
    """Items of the scope's tenant; with `session_id`, those of one of its sessions.

    An item of a session travels with it: in its document, the archive and back, and
    away when it is erased. Reading one in an archived session leaves that where it
    is; a write restores it. One outside sessions is neither archived nor purged; where
    it has an owner, it goes when the owner is erased.

    One that has expired is not there, from that instant on.
    """

    def __init__(self, scope: Scope, session_id: str | None = None) -> None:
        self._scope = scope
        self._session_id = session_id

    async def put(
        self,
        namespace: str,
        key: str,
        value: Json,
        *,
        user_id: str | None = None,
        expires_at: datetime | None = None,
        ttl_s: float | None = None,
        expected_version: int | None = None,
        session_id: str | None = None,
    ) -> Item:
        """Store a value in place of what is there. Durable when this returns.

        Args:
            value: Any JSON value, up to `max_item_bytes`.
            user_id: The owner, kept until the item is deleted: None leaves the one
                that it has. Not with a session, whose owner counts.
            expires_at: It is not found from then on. None with no `ttl_s`: never.
            ttl_s: It is not found so many seconds after its last use: a put, a patch
                or a `touch`; reading is none. In place of `expires_at`.
            expected_version: Put only if it is at this version; 0 means that it must
                not be there, None puts without asking.

        Raises:
            VersionConflictError: It is at another version, on the error.
            ConflictError: It has another owner.
            InvalidInputError: A field cannot be stored.
        """
        life = life_of(expires_at, ttl_s) or Life()
        item, _ = await self._change(
            "put", namespace, key, session_id, expected_version, value, life, user_id
        )
        assert item is not None
        return item

    async def patch(
        self,
        namespace: str,
        key: str,
        patch: Mapping[str, Json],
        *,
        user_id: str | None = None,
        expires_at: datetime | Unset | None = UNSET,
        ttl_s: float | None = None,
        expected_version: int | None = None,
        session_id: str | None = None,
    ) -> Item:
        """Merge a JSON merge patch (RFC 7386) into the value, and keep what others
        wrote meanwhile. One that is not there is made of the patch.

        A patch that changes nothing leaves the version as it is. Arguments and errors
        as `put`; when it expires stays as it was unless that is given.

        Args:
            patch: None removes a key, an object is merged, any other value takes the
                place of what was there.
        """
        life = None
        if ttl_s is not None or not isinstance(expires_at, Unset):
            until = None if isinstance(expires_at, Unset) else expires_at
            life = life_of(until, ttl_s) or Life()
        item, _ = await self._change(
            "patch", namespace, key, session_id, expected_version, patch, life, user_id
        )
        assert item is not None
        return item

    async def touch(
        self, namespace: str, key: str, *, session_id: str | None = None
    ) -> Item | None:
        """Count as a use of an item with a `ttl_s`; its version stays. None when it is
        not there."""
        item, _ = await self._change("touch", namespace, key, session_id)
        return item

    async def delete(
        self,
        namespace: str,
        key: str,
        *,
        expected_version: int | None = None,
        session_id: str | None = None,
    ) -> bool:
        """Destroy an item; whether it was there.

        Raises:
            VersionConflictError: It is at another version.
            LegalHoldError: It is of a session under legal hold.
        """
        _, was_there = await self._change(
            "delete", namespace, key, session_id, expected_version
        )
        return was_there

    async def remove_expired(self) -> int:
        """Remove the items outside sessions that have expired; how many there were.

        The upkeep of the store does so for all tenants, and for the items of sessions.
        Nobody finds them before that either: this gives their room back at once, and
        counts them. One that is being changed is left to the next time.

        Raises:
            InvalidInputError: These are the items of a session.
        """
        if self._session_id is not None:
            raise InvalidInputError("session_id", "is removed from by upkeep alone")
        scope, count = self._scope, 0
        while True:
            work = RemoveExpiredItems(scope.tenant, scope.now())
            due, gone = await scope.runner.write(work)
            count += gone
            if due < AT_ONCE or not gone:
                return count

    async def get(
        self, namespace: str, key: str, *, session_id: str | None = None
    ) -> Item:
        """One item.

        Raises:
            ItemNotFoundError: It is not there, or has expired.
        """
        found = await self.find(namespace, key, session_id=session_id)
        if found is None:
            raise ItemNotFoundError(namespace, key)
        return found

    async def find(
        self, namespace: str, key: str, *, session_id: str | None = None
    ) -> Item | None:
        """As `get`, with None in place of its error."""
        found = await self.find_many([(namespace, key)], session_id=session_id)
        return found.get((namespace, key))

    async def find_many(
        self, names: Iterable[tuple[str, str]], *, session_id: str | None = None
    ) -> Named:
        """Those that are there of some items, with one statement; by namespace and key.

        Args:
            names: At most `max_page` pairs of a namespace and a key.
        """
        asked = [
            (check_id("namespace", namespace), check_id("key", key))
            for namespace, key in names
        ]
        check_limit(self._scope.limits, len(asked) or 1)
        now = self._scope.now()
        return await self._read(
            session_id,
            lambda connection, owner: rows.find(connection, owner, asked, now),
        )

    async def list(
        self,
        namespace: str | None = None,
        *,
        prefix: str | None = None,
        key_prefix: str | None = None,
        user_id: str | None = None,
        limit: int = 100,
        cursor: str | None = None,
        session_id: str | None = None,
    ) -> Page[Item]:
        """Items in the order of namespace and key, a page at a time.

        What only values can tell is for the caller to look at, page by page.

        Args:
            namespace: Of this one alone.
            prefix: Of all that begin with this text. To match whole labels, end each
                label of a namespace with a separator, and the prefix too.
            key_prefix: Whose keys begin with this text.
            user_id: Owned by this user.
        """
        check_limit(self._scope.limits, limit)
        check_optional_id("namespace", namespace)
        for field, text in (("prefix", prefix), ("key_prefix", key_prefix)):
            check_optional_id(field, text or None)
        if user_id is not None and self._session(session_id) is not None:
            raise InvalidInputError("user_id", "the items of a session have no owner")
        check_optional_id("user_id", user_id)
        after: tuple[str, str] | None = None
        if cursor is not None:
            last_namespace, last_key = decode_cursor(cursor, str, str)
            after = last_namespace, last_key
        wanted = rows.ItemFilter(namespace, prefix, key_prefix, user_id)
        now = self._scope.now()
        found = await self._read(
            session_id,
            lambda connection, owner: rows.page(
                connection, owner, wanted, after, limit + 1, now
            ),
        )
        items = tuple(found[:limit])
        if len(found) <= limit:
            return Page(items, None)
        return Page(items, encode_cursor(items[-1].namespace, items[-1].key))

    async def namespaces(
        self,
        *,
        prefix: str | None = None,
        limit: int = 100,
        cursor: str | None = None,
        session_id: str | None = None,
    ) -> Page[str]:
        """Namespaces that hold an item, in order, a page at a time.

        A page costs the same however many items they hold. Suffixes and depths are
        for the caller to look at, page by page.
        """
        check_limit(self._scope.limits, limit)
        check_optional_id("prefix", prefix or None)
        after = None if cursor is None else decode_cursor(cursor, str)[0]
        now = self._scope.now()
        found = await self._read(
            session_id,
            lambda connection, owner: rows.namespaces(
                connection,
                owner,
                prefix=prefix,
                after=after,
                limit=limit + 1,
                now=now,
            ),
        )
        names = tuple(found[:limit])
        return Page(names, encode_cursor(names[-1]) if len(found) > limit else None)

    async def _change(
        self,
        verb: Verb,
        namespace: str,
        key: str,
        session_id: str | None,
        expected_version: int | None = None,
        value: Json = None,
        life: Life | None = None,
        user_id: str | None = None,
    ) -> tuple[Item | None, bool]:
        scope, session_id = self._scope, self._session(session_id)
        if user_id is not None and session_id is not None:
            raise InvalidInputError("user_id", "the items of a session have no owner")
        change = item_change(
            scope.limits,
            verb,
            namespace,
            key,
            value,
            life=life,
            user_id=user_id,
            expected_version=expected_version,
        )
        now = scope.now()
        if session_id is None:
            return await scope.runner.write(ChangeItem(scope.tenant, change, now))
        return await scope.write(
            ChangeSessionItem(scope.key(session_id), change, now, scope.user_id)
        )

    async def _read(
        self, session_id: str | None, read: Callable[[Connection, rows.Owner], T]
    ) -> T:
        scope, session_id = self._scope, self._session(session_id)
        owner = scope.tenant, session_id
        if session_id is None:
            return await scope.runner.read(lambda connection: read(connection, owner))
        return await scope.live(session_id, lambda c, _: read(c, owner))

    def _session(self, session_id: str | None) -> str | None:
        if session_id is None:
            return self._session_id
        if self._session_id not in (None, session_id):
            raise InvalidInputError("session_id", "is not the session of this handle")
        return check_id("session_id", session_id)
