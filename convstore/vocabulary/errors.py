"""Every error the library raises, in one tree, each with a stable code.

    ConvstoreError
    ├── ConfigError                    the settings or the call's set-up are wrong
    │   ├── DatabaseAccessError        this user or role lacks rights on the database
    │   │   └── ReadOnlyDatabaseError  a standby, or a server that takes no writes
    │   └── MissingExtraError          an optional dependency is not installed
    ├── InvalidInputError              a field cannot be stored; nothing was changed
    ├── NotFoundError                  what was asked for is not there (or not yours)
    │   ├── SessionNotFoundError
    │   ├── TurnNotFoundError
    │   ├── InteractionNotFoundError
    │   ├── GraphStateNotFoundError
    │   ├── ItemNotFoundError
    │   ├── AttachmentNotFoundError
    │   ├── CheckpointNotFoundError
    │   ├── HoldNotFoundError
    │   ├── LedgerEntryNotFoundError
    │   ├── ErasureNotFoundError
    │   └── SegmentNotFoundError
    ├── ConflictError                  the world moved, or the id means something else
    │   ├── VersionConflictError
    │   ├── AlreadyExistsError
    │   └── CheckpointsEndedError
    ├── RefusedError                   understood, and deliberately not done
    │   ├── LegalHoldError
    │   ├── SessionErasedError
    │   ├── SessionDeletedError
    │   ├── SessionArchivedError
    │   ├── LimitExceededError
    │   ├── ExportRefusedError
    │   ├── ArchiveTakenError
    │   └── RetentionHaltedError
    ├── UnavailableError               try again later (transient)
    │   ├── DatabaseBusyError
    │   ├── DatabaseUnavailableError
    │   │   └── ShardUnavailableError  one database of a store over several
    │   ├── StorageFullError
    │   ├── ArchiveAwayError
    │   ├── WorkerLostError
    │   └── StoreClosedError
    ├── DatabaseFaultError             the database refused one of our statements
    ├── SchemaMismatchError            the database is at another revision
    ├── NewerFormatError               a file that a later version wrote
    └── CorruptionError                bytes are not what was written
        ├── RowCorruptError
        └── SegmentCorruptError

`code` never changes once released. `transient` answers one question: may the
caller retry the same call (with the same external id)? No message contains what
people said: ids, numbers and field names only.
"""

from __future__ import annotations

import errno
from typing import ClassVar

NO_SPACE = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
"""Of the system: the disk or quota is full, or the process's own limit is reached."""

NEEDS_SETUP = frozenset(
    {
        errno.EACCES,
        errno.EPERM,
        errno.EROFS,
        errno.ENOTDIR,
        errno.EISDIR,
        errno.ELOOP,
        errno.ENAMETOOLONG,
        errno.EXDEV,
        errno.EMLINK,
        errno.EINVAL,
        errno.ENOTSUP,
        errno.EOPNOTSUPP,
        errno.ENOSYS,
    }
)
"""Of the system: waiting cures none; somebody has to change rights, mounts or paths."""


def shown(value: str) -> str:
    """An id as it may appear in a message: quoted, escaped and short."""
    return ascii(value if len(value) <= 64 else value[:61] + "...")


class ConvstoreError(Exception):
    """Base of everything that this library raises on purpose.

    To do: Catch it where every fault of the store is handled alike; `code` and
    `transient` say which it is.
    """

    code: ClassVar[str] = "convstore_error"
    transient: ClassVar[bool] = False


class ConfigError(ConvstoreError):
    """A setting, URL or argument of the set-up cannot be used.

    To do: Correct the setting or argument that the message names; the same call
    will fail again until then.
    """

    code = "config"


class DatabaseAccessError(ConfigError):
    """This user or role lacks rights on the database; the message says which to give.

    Waiting does not help, so it is not transient; nothing was changed.

    To do: Give the rights that the message names to this user or role.
    """

    code = "database_access"


class ReadOnlyDatabaseError(DatabaseAccessError):
    """The server takes no writes: it is a standby, or was told to take none.

    Reading goes on. In a failover another server of the same URL may take them:
    connections to this one are let go of, and the next call looks for it.

    To do: Point the URL at the primary, or name both servers and
    `target_session_attrs`; after a failover, call again.
    """

    code = "read_only_database"


class MissingExtraError(ConfigError, ImportError):
    """An optional dependency is not installed, or as another release than is wanted.

    The message says which extra, and of a framework which release is there. It is an
    `ImportError` too.

    To do: Run the `pip install` of the message in the same environment.
    """

    code = "missing_extra"

    def __init__(self, feature: str, extra: str, installed: str = "") -> None:
        self.feature, self.extra = feature, extra
        needed = "another release of a" if installed else "an optional"
        there = f" (installed: {installed})" if installed else ""
        super().__init__(
            f"{feature} needs {needed} dependency: "
            f"pip install 'convstore[{extra}]'{there}"
        )


class InvalidInputError(ConvstoreError):
    """A value cannot be stored exactly; `field` names it and nothing changed.

    To do: Correct the field, or refuse what the user sent: it is never stored
    differently. The same value will fail again.
    """

    code = "invalid_input"

    def __init__(self, field: str, problem: str) -> None:
        self.field, self.problem = field, problem
        super().__init__(f"{field}: {problem}")


class NotFoundError(ConvstoreError):
    """What was asked for does not exist, or belongs to someone else.

    To do: Use `find` where absence is no fault; look at the id and the tenant
    otherwise.
    """

    code = "not_found"


class SessionNotFoundError(NotFoundError):
    """No session has this id in this tenant, for this user.

    To do: Use `sessions.get_or_create` where a new one is meant; look at the id,
    the tenant and the user otherwise.
    """

    code = "session_not_found"

    def __init__(self, session_id: str, where: str = "") -> None:
        self.session_id = session_id
        super().__init__(f"session {shown(session_id)} not found {where}".rstrip())


class TurnNotFoundError(NotFoundError):
    """The session has no turn with this number.

    To do: List the turns, or ask for the one by `external_id`.
    """

    code = "turn_not_found"

    def __init__(self, session_id: str, seq: int) -> None:
        self.session_id, self.seq = session_id, seq
        super().__init__(f"session {shown(session_id)} has no turn {seq}")


class InteractionNotFoundError(NotFoundError):
    """The session has no interaction with this number.

    To do: List the interactions of the session.
    """

    code = "interaction_not_found"

    def __init__(self, session_id: str, seq: int) -> None:
        self.session_id, self.seq = session_id, seq
        super().__init__(f"session {shown(session_id)} has no interaction {seq}")


class GraphStateNotFoundError(NotFoundError):
    """The session has no graph state in this namespace at this version.

    To do: Use `graph_states.find`, or put the first one with `expected_version=0`.
    """

    code = "graph_state_not_found"

    def __init__(self, session_id: str, namespace: str, version: int | None) -> None:
        self.session_id, self.namespace, self.version = session_id, namespace, version
        at = "" if version is None else f" at version {version}"
        super().__init__(
            f"session {shown(session_id)} has no graph state {shown(namespace)}{at}"
        )


class ItemNotFoundError(NotFoundError):
    """There is no item with this key in the namespace, or it has expired.

    To do: Use `items.find`, or put it.
    """

    code = "item_not_found"

    def __init__(self, namespace: str, key: str) -> None:
        self.namespace, self.key = namespace, key
        super().__init__(f"{shown(namespace)} has no item {shown(key)}")


class AttachmentNotFoundError(NotFoundError):
    """No attachment with this hash is kept in the tenant.

    To do: Put the bytes first, then append what names them.
    """

    code = "attachment_not_found"

    def __init__(self, hash_: str) -> None:
        self.hash = hash_
        super().__init__(f"no attachment has the hash {shown(hash_)}")


class CheckpointNotFoundError(NotFoundError):
    """The session has no such checkpoint.

    To do: Use `checkpoints.find`, or list those of the run.
    """

    code = "checkpoint_not_found"

    def __init__(self, session_id: str, checkpoint_id: str | None) -> None:
        self.session_id, self.checkpoint_id = session_id, checkpoint_id
        which = "no checkpoint"
        if checkpoint_id is not None:
            which = f"no checkpoint {shown(checkpoint_id)}"
        super().__init__(f"session {shown(session_id)} has {which} here")


class HoldNotFoundError(NotFoundError):
    """The session is not under legal hold.

    To do: Nothing: there is no hold. `holds.list` has those that there are.
    """

    code = "hold_not_found"

    def __init__(self, session_id: str) -> None:
        self.session_id = session_id
        super().__init__(f"session {shown(session_id)} has no legal hold to release")


class LedgerEntryNotFoundError(NotFoundError):
    """The session has no ledger entry, or it has expired.

    To do: Use `ledger.find`; a first record makes the entry.
    """

    code = "ledger_entry_not_found"

    def __init__(self, session_id: str) -> None:
        self.session_id = session_id
        super().__init__(f"session {shown(session_id)} has no ledger entry")


class ErasureNotFoundError(NotFoundError):
    """The tenant has no erasure with this id.

    To do: List the receipts: `convstore erase --list`.
    """

    code = "erasure_not_found"

    def __init__(self, erasure_id: str) -> None:
        self.erasure_id = erasure_id
        super().__init__(f"there is no erasure {shown(erasure_id)}")


class SegmentNotFoundError(NotFoundError):
    """The archive folder has no file for this segment.

    To do: Run `convstore doctor`; bring the file back from a backup, then
    `convstore archive verify`.
    """

    code = "segment_not_found"

    def __init__(self, segment_id: str) -> None:
        self.segment_id = segment_id
        super().__init__(f"segment {shown(segment_id)} is not in the archive")


class ConflictError(ConvstoreError):
    """The request contradicts what is stored.

    To do: Read what is stored and decide; the same call will fail again.
    """

    code = "conflict"


class VersionConflictError(ConflictError):
    """A conditional update lost the race; read again and decide.

    To do: Read again, apply the change to what is there now, and call with its
    version.
    """

    code = "version_conflict"

    def __init__(
        self, what: str, expected: int, actual: int, *, at: str = "version"
    ) -> None:
        self.what, self.expected, self.actual = what, expected, actual
        super().__init__(f"{what} is at {at} {actual}, not {expected}")


class AlreadyExistsError(ConflictError):
    """Something with this id exists already.

    To do: Use what exists, or another id.
    """

    code = "already_exists"

    def __init__(self, what: str) -> None:
        self.what = what
        super().__init__(f"{what} exists already")


class CheckpointsEndedError(ConflictError):
    """The checkpoints of the session were ended; this belongs to one from before.

    To do: Begin a new run: this one was told to stop.
    """

    code = "checkpoints_ended"

    def __init__(self, session_id: str) -> None:
        self.session_id = session_id
        super().__init__(f"the checkpoints of session {shown(session_id)} were ended")


class RefusedError(ConvstoreError):
    """The request was understood and is deliberately not done.

    To do: Decide: the message says what stands against it.
    """

    code = "refused"


class LegalHoldError(RefusedError):
    """A legal hold blocks purge, deletion, erasure and archive expiry.

    To do: Wait until the hold is released, or release it: `convstore hold release`.
    """

    code = "legal_hold"

    def __init__(self, session_ids: tuple[str, ...]) -> None:
        self.session_ids = session_ids
        more = "" if len(session_ids) == 1 else f" and {len(session_ids) - 1} more"
        super().__init__(
            f"session {shown(session_ids[0])}{more} is under legal hold; release it"
        )


class SessionErasedError(RefusedError):
    """The session was erased; its id is refused for ever.

    To do: Begin a session with a new id: an erased one never comes back.
    """

    code = "session_erased"

    def __init__(self, session_id: str) -> None:
        self.session_id = session_id
        super().__init__(f"session {shown(session_id)} was erased; use a new id")


class SessionDeletedError(RefusedError):
    """The session was deleted; a late write does not bring it back.

    To do: Restore it (`store.restore`), begin anew under the id with `renew=True`,
    or use a new id.
    """

    code = "session_deleted"

    def __init__(self, session_id: str) -> None:
        self.session_id = session_id
        super().__init__(
            f"session {shown(session_id)} was deleted; restore it if it was archived, "
            "or use a new id"
        )


class SessionArchivedError(RefusedError):
    """The session is archived, and this call does not restore it by itself.

    To do: Call `store.restore` first.
    """

    code = "session_archived"

    def __init__(self, session_id: str) -> None:
        self.session_id = session_id
        super().__init__(f"session {shown(session_id)} is archived; restore it first")


class LimitExceededError(RefusedError):
    """A configured bound would be passed; `limit` is the setting's name.

    To do: Send less, or raise the setting that `limit` names; of a budget, wait or
    raise it.
    """

    code = "limit_exceeded"

    def __init__(self, limit: str, allowed: int, actual: int) -> None:
        self.limit, self.allowed, self.actual = limit, allowed, actual
        super().__init__(f"{limit}: {actual} is over the limit of {allowed}")


class ExportRefusedError(RefusedError):
    """More candidate rows than allowed were faulty; nothing was published.

    To do: Read the counts of the report, mend the data, or allow more with
    `max_drop_rate`.
    """

    code = "export_refused"

    def __init__(self, format_name: str, drop_rate: float, allowed: float) -> None:
        self.format_name, self.drop_rate, self.allowed = format_name, drop_rate, allowed
        super().__init__(
            f"{format_name}: {drop_rate:.1%} of the candidate rows are faulty; "
            f"at most {allowed:.1%} may be"
        )


class RetentionHaltedError(RefusedError):
    """Retention stopped itself because the clock or the plan looks wrong.

    To do: See the clock, and what `convstore archive plan` says; a run with
    `--older-than` is an operator's own word.
    """

    code = "retention_halted"


class ArchiveTakenError(RefusedError):
    """A copy of this database, or the database that it is a copy of, works on the
    archive folder.

    Nothing is archived, purged or destroyed: the other one may need what this one knows
    nothing of. Reading and restoring go on. `problem` says how it was told.

    To do: Give the copy of the database a copy of the folder; `convstore archive
    adopt` where this one is to go on.
    """

    code = "archive_taken"

    def __init__(self, problem: str) -> None:
        self.problem = problem
        super().__init__(
            f"the archive folder is not this database's alone: {problem}. Give a copy "
            "a copy of the folder; `convstore archive adopt` lets this database go on "
            "with this one, and stops the other"
        )


class UnavailableError(ConvstoreError):
    """Something outside is away for now; retry with the same external id.

    To do: Call again, a little later each time, with the same `external_id`: what
    was stored is not stored twice.
    """

    code = "unavailable"
    transient = True


class DatabaseBusyError(UnavailableError):
    """No write slot within `Limits.busy_timeout_s` seconds; nothing was written.

    To do: Call again. Often: more lanes, PostgreSQL in place of SQLite, or end what
    holds the write lock.
    """

    code = "database_busy"


class DatabaseUnavailableError(UnavailableError):
    """The database cannot be reached, or the connection was lost.

    When it was lost during a commit the outcome is unknown: repeat the call with
    its `external_id`, and the first result comes back if it was stored.

    To do: Call again with the same `external_id`; see that the server runs and can
    be reached.
    """

    code = "database_unavailable"


class ShardUnavailableError(DatabaseUnavailableError):
    """One database of a store over several is away; `shard` is its number, from 0, of
    `shards`, or -1 for the home database. The sessions of the others go on.

    To do: Try again with pauses. As with any lost connection, a write may have
    happened: repeat it with its `external_id`.
    """

    code = "shard_unavailable"

    def __init__(self, shard: int, shards: int, problem: str) -> None:
        self.shard, self.shards, self.problem = shard, shards, problem
        where = "the home database" if shard < 0 else f"shard {shard} of {shards}"
        super().__init__(f"{where} is away: {problem}")


class StorageFullError(UnavailableError):
    """The disk, quota or database is full; nothing was acknowledged.

    To do: Make room, then call again. Reading goes on.
    """

    code = "storage_full"


class ArchiveAwayError(UnavailableError):
    """The archive folder of this database is not there: missing, empty or another one.

    Nothing is archived, purged or deleted, and what is archived cannot be read, until
    it is back; live sessions go on. `problem` says what is there instead.

    To do: Mount its volume. If the archive is lost for good, `convstore archive
    adopt`.
    """

    code = "archive_away"

    def __init__(self, problem: str) -> None:
        self.problem = problem
        super().__init__(
            f"the archive folder is away: {problem}. If it is lost for good, "
            "`convstore archive adopt` begins with the one that is there"
        )


class WorkerLostError(UnavailableError):
    """A process that helped with an export ended before its work was done.

    Nothing was published. The same export goes on where it stopped; if its workers are
    lost again, let it run without them (`workers=0`).

    To do: Run the export again, with fewer workers where memory was short.
    """

    code = "worker_lost"


class StoreClosedError(UnavailableError):
    """The store was closed; open it again.

    To do: Open a store, and close it when the last of its callers is done.
    """

    code = "store_closed"
    transient = False


class DatabaseFaultError(ConvstoreError):
    """The database refused a statement of ours; nothing was changed.

    A fault of this library, or of a schema that somebody altered. `fault` is the
    driver's name for it; its text may quote rows, and is left out.

    To do: See the cause in the log, compare the tables with `convstore db check`,
    and report it.
    """

    code = "database_fault"

    def __init__(self, fault: str) -> None:
        self.fault = fault
        super().__init__(f"the database refused a statement: {fault}")


class SchemaMismatchError(ConvstoreError):
    """The database is at another revision; the message says what to run.

    To do: Run what the message names, usually `convstore db upgrade`; upgrade
    convstore where the database is newer.
    """

    code = "schema_mismatch"

    def __init__(self, found: str | None, wanted: str, remedy: str) -> None:
        self.found, self.wanted, self.remedy = found, wanted, remedy
        super().__init__(
            f"database schema is at {found or 'no revision'}, this version of "
            f"convstore needs {wanted}: {remedy}"
        )


class NewerFormatError(ConvstoreError):
    """A segment or session document of a later version of convstore: no damage.

    Nothing was changed, and nothing is: a later version reads it. `what` is what is
    newer, `problem` how, `segment_id` where, if it lies in a segment.

    To do: Upgrade convstore. Nothing is damaged.
    """

    code = "newer_format"

    def __init__(self, what: str, problem: str, segment_id: str | None = None) -> None:
        self.what, self.problem, self.segment_id = what, problem, segment_id
        where = "" if segment_id is None else f"segment {shown(segment_id)}: "
        super().__init__(
            f"{where}{what} of a newer format than this version of convstore reads "
            f"({problem}): upgrade convstore"
        )


class CorruptionError(ConvstoreError):
    """Stored bytes are not what was written; nothing was changed.

    To do: Bring the file back from a backup; stop writing to it until then.
    """

    code = "corruption"


class RowCorruptError(CorruptionError):
    """A row's content does not match its checksum.

    To do: Bring the database back from a backup; until then the session is left as
    it is, and retention counts it.
    """

    code = "row_corrupt"

    def __init__(self, session_id: str, what: str) -> None:
        self.session_id, self.what = session_id, what
        super().__init__(
            f"{what} of session {shown(session_id)} does not match its checksum"
        )


class SegmentCorruptError(CorruptionError):
    """A segment, manifest or session document in it cannot be trusted.

    To do: Bring the segment back from a backup, then `convstore archive verify`.
    """

    code = "segment_corrupt"

    def __init__(
        self, segment_id: str, problem: str, session_ids: tuple[str, ...] = ()
    ) -> None:
        self.segment_id, self.problem, self.session_ids = (
            segment_id,
            problem,
            session_ids,
        )
        super().__init__(f"segment {shown(segment_id)}: {problem}")
