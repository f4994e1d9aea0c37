"""The noun `checkpoints`: the state of a graph's run, step by step."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from convstore.db import checkpoint_reads as reads
from convstore.db.checkpoints import (
    CopyCheckpoints,
    DeleteCheckpoints,
    EndCheckpoints,
    PutCheckpoint,
    PutWrites,
)
from convstore.db.codec.inputs import encode_object
from convstore.db.engine import Connection
from convstore.db.unit import Key, Row
from convstore.repositories.cursors import check_limit, decode_cursor, encode_cursor
from convstore.repositories.scope import Scope
from convstore.vocabulary.checkpoints import (
    Checkpoint,
    CheckpointInput,
    CheckpointValue,
    CheckpointWrite,
    StoredCheckpoint,
)
from convstore.vocabulary.codec import check_int, check_text
from convstore.vocabulary.errors import CheckpointNotFoundError, InvalidInputError
from convstore.vocabulary.ids import check_id, check_optional_id
from convstore.vocabulary.limits import Limits
from convstore.vocabulary.records import Json, Page, Session

MAX_NAMESPACE_BYTES = 1_024
# UTF-8 bytes of all ids that are in one key: an index of PostgreSQL takes some 2,700.
_MAX_KEY_BYTES = 2_560

_MAX_PATH_BYTES = 16 * 1024
_MAX_CHANNELS = 10_000
_MAX_ELEMENTS = 1_000_000
# Rows that one page looks at for metadata that meets the filter.
_LOOKED_AT = 2_000


class Checkpoints:
    """Checkpoints of the scope's sessions. What they hold is never decoded here."""

    def __init__(self, scope: Scope) -> None:
        self._scope = scope

    async def put(
        self,
        session_id: str,
        checkpoint_id: str,
        *,
        body: CheckpointValue,
        values: Mapping[str, CheckpointValue] | None = None,
        lists: Mapping[str, Sequence[CheckpointValue]] | None = None,
        namespace: str = "",
        parent_id: str | None = None,
        run_id: str | None = None,
        metadata: Mapping[str, Json] | None = None,
        create: bool = False,
    ) -> None:
        """Store the state of a step, in place of any that has its id.

        A value that the session holds already is not stored again, nor is what a list
        has in common with that of the parent.

        Args:
            checkpoint_id: Ids of later steps are greater, as text.
            body: All but the channels.
            values: Channels that hold one value.
            lists: Channels that grow, element by element.
            namespace: Which graph; empty is the root. At most 1,024 bytes.
            parent_id: The step before.
            create: Make the session in the same commit, if there is none.

        Raises:
            CheckpointsEndedError: The checkpoints were ended, and this one follows one
                from before.
        """
        given = CheckpointInput(
            checkpoint_id,
            body,
            {} if values is None else values,
            {} if lists is None else lists,
            namespace,
            parent_id,
            run_id,
            {} if metadata is None else metadata,
        )
        key = self._scope.key(check_id("session_id", session_id))
        owner = self._scope.user_id
        await self._scope.write(put_of(self._scope, key, given, owner, create=create))

    async def put_writes(
        self,
        session_id: str,
        checkpoint_id: str,
        writes: Sequence[CheckpointWrite],
        *,
        namespace: str = "",
        replace: bool = False,
        create: bool = False,
    ) -> None:
        """Store what tasks have written after a step; the step may be put later.

        Args:
            replace: Those that are there already, by task and number, are replaced;
                else they are left alone.
            create: As in `put`.

        Raises:
            CheckpointsEndedError: The checkpoint is from before their end.
        """
        limits, now = self._scope.limits, self._scope.now()
        key = self._scope.key(check_id("session_id", session_id))
        cid = check_id("checkpoint_id", checkpoint_id)
        place: Row = {"namespace": _namespace(namespace), "checkpoint_id": cid}
        rows, size = [], 0
        for write in writes:
            size += _check_value(limits, "writes.value", write.value)
            rows.append({**place, **_write(write)})
            _check_key(*key, place["namespace"], cid, rows[-1]["task_id"])
        if rows:
            user_id = self._scope.user_id
            await self._scope.write(
                PutWrites(key, rows, cid, now, replace, create, user_id, size)
            )

    async def get(
        self, session_id: str, checkpoint_id: str | None = None, *, namespace: str = ""
    ) -> Checkpoint:
        """One checkpoint with all its values, or the latest.

        Raises:
            CheckpointNotFoundError: There is none.
        """
        found = await self.find(session_id, checkpoint_id, namespace=namespace)
        if found is None:
            raise CheckpointNotFoundError(session_id, checkpoint_id)
        return found

    async def find(
        self, session_id: str, checkpoint_id: str | None = None, *, namespace: str = ""
    ) -> Checkpoint | None:
        """As `get`, with None when the session has no such checkpoint."""
        key = self._scope.key(check_id("session_id", session_id))
        graph = _namespace(namespace)
        cid = check_optional_id("checkpoint_id", checkpoint_id)
        user_id = self._scope.user_id

        def look(connection: Connection) -> Checkpoint | None:
            return reads.whole(lambda: reads.find(connection, key, graph, cid, user_id))

        return await self._scope.read(session_id, look)

    async def list(
        self,
        session_id: str | None = None,
        *,
        namespace: str | None = None,
        metadata: Mapping[str, Json] | None = None,
        run_id: str | None = None,
        before: str | None = None,
        limit: int = 20,
        cursor: str | None = None,
    ) -> Page[Checkpoint]:
        """Checkpoints of a session, or of all live sessions of the tenant, newest
        first: the greatest id.

        Args:
            namespace: Only those of this graph; None is all.
            metadata: Only those whose metadata has these keys with equal values. A page
                that looked at many and found few says `complete=False`.
            before: Only those with smaller ids.
        """
        check_limit(self._scope.limits, limit)
        wanted = reads.Wanted(
            check_optional_id("session_id", session_id),
            None if namespace is None else _namespace(namespace),
            before=check_optional_id("before", before),
            run_id=check_optional_id("run_id", run_id),
        )
        after = None
        if cursor is not None:
            cid, sid, place = decode_cursor(cursor, str, str, str)
            after = cid, sid, place.removeprefix("/")
        tenant, asked = self._scope.tenant, _plain(metadata) or {}

        def look(connection: Connection, *_: Session) -> Page[Checkpoint]:
            return reads.whole(
                lambda: _page(connection, tenant, wanted, asked, limit, after)
            )

        if session_id is None:
            return await self._scope.runner.read(look)
        return await self._scope.live(
            session_id, look, is_nothing=lambda page: not page.items
        )

    async def delete(
        self, session_id: str, checkpoints: Sequence[tuple[str, str]]
    ) -> int:
        """Delete checkpoints, each named by namespace and id, and what tasks wrote to
        them; gives how many there were.

        Raises:
            LegalHoldError: There are some, and the session is under legal hold.
        """
        return await self._delete(session_id, _places("checkpoints", checkpoints), None)

    async def prune(
        self, session_id: str, *, keep: int = 1, also: Sequence[tuple[str, str]] = ()
    ) -> int:
        """Delete all but the newest `keep` of each namespace; gives how many went.

        Args:
            also: Others that stay, each named by namespace and id, such as ancestors
                that those that stay are made from.

        Raises:
            LegalHoldError: Some would go, and the session is under legal hold.
        """
        check_int("keep", keep)
        return await self._delete(session_id, _places("also", also), keep)

    async def end(self, session_id: str, *, through: str) -> int:
        """Delete all checkpoints of a session, and refuse whatever comes late; gives
        how many there were.

        Args:
            through: An id that is greater than all before and smaller than all to come.

        Raises:
            LegalHoldError: The session is under legal hold.
        """
        key = self._scope.key(check_id("session_id", session_id))
        check_id("through", through)
        user_id, now = self._scope.user_id, self._scope.now()
        return await self._scope.write(EndCheckpoints(key, through, now, user_id))

    async def copy(self, session_id: str, to: str) -> int:
        """Copy all checkpoints to another session, in place of what that had; it is
        made if there is none. Gives how many. Nothing passes through the client.

        Raises:
            LegalHoldError: `to` has some, and is under legal hold.
        """
        source = self._scope.key(check_id("session_id", session_id))
        key = self._scope.key(check_id("to", to))
        if key == source:
            raise InvalidInputError("to", "is the session itself")
        user_id, now = self._scope.user_id, self._scope.now()
        return await self._scope.write(CopyCheckpoints(key, source, now, user_id))

    async def _delete(
        self, session_id: str, places: Sequence[tuple[str, str]], keep: int | None
    ) -> int:
        key = self._scope.key(check_id("session_id", session_id))
        user_id, now = self._scope.user_id, self._scope.now()
        return await self._scope.write(
            DeleteCheckpoints(key, places, now, keep, user_id)
        )


def put_of(
    scope: Scope,
    key: Key,
    given: CheckpointInput,
    user_id: str | None,
    *,
    create: bool = False,
) -> PutCheckpoint:
    """The write of a checkpoint.

    Raises:
        InvalidInputError: Names the field.
    """
    if not isinstance(given, CheckpointInput):
        raise InvalidInputError(
            "checkpoint", f"must be a CheckpointInput, not {type(given).__name__}"
        )
    limits, now = scope.limits, scope.now()
    row: Row = {
        "namespace": _namespace(given.namespace),
        "checkpoint_id": check_id("checkpoint_id", given.checkpoint_id),
        "parent_id": check_optional_id("parent_id", given.parent_id),
        "run_id": check_optional_id("run_id", given.run_id),
        "metadata": encode_object(limits, "metadata", _plain(given.metadata)),
        "created_at": now,
    }
    _check_key(*key, row["namespace"], row["checkpoint_id"])
    size = _check_value(limits, "body", given.body) + len(row["metadata"])
    row |= {"type": given.body.type, "body": given.body.data}
    values, lists = dict(given.values), dict(given.lists)
    _check_channels(values, lists)
    size += sum(_check_value(limits, "values", value) for value in values.values())
    size += sum(_check_list(limits, elements) for elements in lists.values())
    return PutCheckpoint(key, row, values, lists, now, create, user_id, size)


def _page(
    connection: Connection,
    tenant: str,
    wanted: reads.Wanted,
    metadata: dict[str, Json],
    limit: int,
    after: tuple[str, str, str] | None,
) -> Page[Checkpoint]:
    met: list[StoredCheckpoint] = []
    looked_at, more = 0, True
    most = _LOOKED_AT // 10 if metadata else limit + 1
    while more and len(met) < limit and looked_at < _LOOKED_AT:
        rows = reads.rows(connection, tenant, wanted, most, after)
        more = len(rows) == most
        for row in rows:
            if len(met) == limit:
                more = True
                break
            one = reads.stored(row)
            after = one.checkpoint_id, one.session_id, one.namespace
            looked_at += 1
            if reads.meets(one.metadata, metadata):
                met.append(one)
    cursor = None
    if more and after is not None:
        # An empty text is no part of a cursor.
        cursor = encode_cursor(after[0], after[1], "/" + after[2])
    full = len(met) == limit or not more
    return Page(tuple(reads.filled(connection, tenant, met)), cursor, full)


def _plain(metadata: Mapping[str, Json] | None) -> dict[str, Json] | None:
    return dict(metadata) if isinstance(metadata, Mapping) else metadata


def _namespace(value: object) -> str:
    return check_text("namespace", value, MAX_NAMESPACE_BYTES)


def _check_key(*parts: str) -> None:
    if sum(len(part.encode()) for part in parts) > _MAX_KEY_BYTES:
        raise InvalidInputError(
            "namespace", f"and the ids have more than {_MAX_KEY_BYTES} bytes together"
        )


def _check_channels(values: Mapping[str, object], lists: Mapping[str, object]) -> None:
    for name in (*values, *lists):
        check_id("channel", name)
    if len(values) + len(lists) > _MAX_CHANNELS:
        raise InvalidInputError("values", f"more than {_MAX_CHANNELS} channels")
    if values.keys() & lists.keys():
        raise InvalidInputError("lists", "a channel is among the values, too")


def _check_list(limits: Limits, elements: Sequence[CheckpointValue]) -> int:
    if len(elements) > _MAX_ELEMENTS:
        raise InvalidInputError("lists", f"one has more than {_MAX_ELEMENTS} elements")
    return sum(_check_value(limits, "lists", element) for element in elements)


def _check_value(limits: Limits, field: str, value: object) -> int:
    if not isinstance(value, CheckpointValue):
        raise InvalidInputError(
            field, f"must be a CheckpointValue, not {type(value).__name__}"
        )
    check_id(f"{field}.type", value.type)
    if type(value.data) is not bytes:
        raise InvalidInputError(
            f"{field}.data", f"must be bytes, not {type(value.data).__name__}"
        )
    if len(value.data) > limits.max_checkpoint_bytes:
        raise InvalidInputError(
            f"{field}.data",
            f"has {len(value.data)} bytes; at most {limits.max_checkpoint_bytes} fit",
        )
    return len(value.data)


def _write(write: CheckpointWrite) -> Row:
    return {
        "task_id": check_id("writes.task_id", write.task_id),
        "idx": _number(write.idx),
        "channel": check_id("writes.channel", write.channel),
        "type": write.value.type,
        "data": write.value.data,
        "task_path": check_text("writes.task_path", write.task_path, _MAX_PATH_BYTES),
    }


def _number(idx: object) -> int:
    if type(idx) is not int or not -(2**31) <= idx < 2**31:
        raise InvalidInputError("writes.idx", "must be an integer of 32 bits")
    return idx


def _places(field: str, places: Sequence[tuple[str, str]]) -> list[tuple[str, str]]:
    return [(_namespace(n), check_id(field, c)) for n, c in places]
