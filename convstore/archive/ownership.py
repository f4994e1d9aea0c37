"""Whether the archive folder is this database's, asked before anything is destroyed.

In a folder that two databases shared, each would take the other's segments for what a
crash left behind, and the other's erasures for its own. And in an empty folder, where a
volume is not mounted, a database would archive and purge beside its archive. So it has
a mark, known to both sides, and a generation, which both sides write when a worker
begins, seals or destroys: whoever finds a newer one than it wrote is a copy of the
database that wrote it, or the original of one. See decision 27.
"""

from __future__ import annotations

import asyncio
from typing import Literal

from convstore.archive.context import Context
from convstore.archive.mark import (
    IN_FOLDER,
    Marked,
    publish_generation,
    read_folder,
    read_mark,
    write_mark,
)
from convstore.blobs.base import BlobStore
from convstore.db import archive_ownership
from convstore.db.archive_ownership import Claim
from convstore.db.engine import Backend, Connection
from convstore.vocabulary.errors import (
    ArchiveAwayError,
    ArchiveTakenError,
    ConfigError,
    ConvstoreError,
    CorruptionError,
    SegmentNotFoundError,
    StorageFullError,
    UnavailableError,
)
from convstore.vocabulary.ids import new_id
from convstore.vocabulary.record import Value

Kind = Literal["ours", "unclaimed", "foreign", "away", "taken"]

# Other workers of this database take generations meanwhile.
_TRIES = 20

_LOOKS = 5

# A database of before the marks is believed to have the folder that holds one of these.
_PROOFS = 8

_FOREIGN = (
    "ARCHIVE_DIR: the archive folder belongs to another database: give each database a "
    "folder of its own"
)


class Standing(Value, frozen=True):
    """How a database and an archive folder stand to each other.

    Attributes:
        kind: `ours`; `unclaimed`, when neither knows the other; `foreign`, when this
            database has no folder, and this one has another's mark; `away`, when it has
            one, and this is not it; `taken`, when another database with the same past
            has worked here since.
        claim: The database's half.
        folder: The folder's half.
        problem: What is wrong, for a person.
    """

    kind: Kind
    claim: Claim | None
    folder: Marked
    problem: str = ""

    def error(self) -> ConvstoreError | None:
        """Why nothing may be changed in the folder; None if it may."""
        if self.kind == "away":
            return ArchiveAwayError(self.problem)
        if self.kind == "taken":
            return ArchiveTakenError(self.problem)
        if self.kind == "foreign":
            return ConfigError(
                f"{_FOREIGN}; if that database is gone, `convstore archive rebuild` "
                "makes the folder this one's"
            )
        return None

    def check(self) -> Standing:
        """Itself, where the folder may be changed.

        Raises:
            ArchiveAwayError, ArchiveTakenError, ConfigError: See `kind`.
        """
        error = self.error()
        if error is not None:
            raise error
        return self


async def look(context: Context) -> Standing:
    """How the database and its folder stand to each other now; changes nothing.

    Raises:
        CorruptionError: The mark cannot be read.
    """
    database = await context.backend.instance()
    standing = None
    for _ in range(_LOOKS):
        # The folder first: what the database says is then not older.
        try:
            folder = await folder_of(context)
        except StorageFullError:
            raise
        except UnavailableError as error:
            claim = await context.read(archive_ownership.find)
            if claim is None:
                raise
            problem = f"it cannot be read: {error}"
            if isinstance(error, ArchiveAwayError):
                problem = error.problem
            return Standing("away", claim, Marked(None), problem)
        claim, archived = await context.read(_known)
        if claim is None:
            return await _unbound(context, folder, archived)
        standing = _judge(claim, folder, archived, {*database, *folder.place})
        if standing.kind != "away" or folder.folder_id != claim.folder_id:
            return standing
        # Behind the database: another worker went on between the two, or it is behind.
    assert standing is not None
    return standing


async def folder_of(context: Context) -> Marked:
    """What the folder says of itself.

    Raises:
        ConfigError: It is not there, and no worker has begun in one: a setting is
            wrong.
        UnavailableError: It cannot be read.
        CorruptionError: Its mark cannot be read.
    """
    try:
        return await context.files(lambda: read_folder(context.blobs))
    except ArchiveAwayError as error:
        if _has_begun(*await context.read(_known)):
            raise
        raise ConfigError(f"ARCHIVE_DIR: {error.problem}") from None


async def archives_to(backend: Backend, blobs: BlobStore) -> bool:
    """Whether a folder has this database's mark. One that cannot be read is not known
    to be its own."""
    own = await backend.read(archive_ownership.find)
    if own is None:
        return False
    try:
        return await asyncio.to_thread(read_mark, blobs) == own.folder_id
    except (CorruptionError, UnavailableError):
        return False


async def guard(context: Context) -> Standing:
    """Refuse to go on where the folder is not proven to be this database's.

    A database that has archived nothing yet passes: see `Standing.kind`.

    Raises:
        ArchiveAwayError, ArchiveTakenError: As `Standing.check`.
    """
    standing = await look(context)
    return standing if standing.kind == "foreign" else standing.check()


async def claim(context: Context, *, take_over: bool = False) -> None:
    """Make sure that the archive folder is this database's; one without a mark becomes
    it, if this database has none. Idempotent.

    Args:
        context: Of the database and the folder.
        take_over: A database that has no folder yet may take one that was another's.

    Raises:
        ConfigError: The folder is another database's; nothing was changed in it.
        ArchiveAwayError: This database has another folder, which is away.
        ArchiveTakenError: A database with the same past works there.
        CorruptionError: Its mark cannot be read.
    """
    standing = await look(context)
    if standing.kind == "foreign" and take_over and standing.claim is None:
        await _take_over(context, standing.folder)
        return
    own = standing.check().claim
    # With the first generation the claim is whole: from there on a folder without this
    # mark is not taken for the one that was meant.
    if own is None or not own.generation:
        await renew(context)


async def renew(context: Context) -> None:
    """Take the next generation, on both sides: before anything is sealed or destroyed.

    Durable on both sides when this returns. A worker that dies in between leaves a
    token that the next one knows for its own. A folder without a mark gets one first,
    if this database has no other.

    Raises:
        ArchiveAwayError, ArchiveTakenError: Nothing may be changed here.
    """
    for _ in range(_TRIES):
        standing = (await look(context)).check()
        instance = await instance_of(context, standing.folder)
        claim = standing.claim
        if claim is None or standing.kind == "unclaimed":
            await _mark(context, standing)
            continue
        number = claim.generation + 1
        if standing.folder.generation == number and claim.next_token is not None:
            # Published, and not noted here: a copy made meanwhile would know it too.
            left = claim.next_token
            await context.write(
                lambda c, n=number, t=left, i=instance: archive_ownership.advance(  # type: ignore[misc]
                    c, n, t, i
                )
            )
            continue
        token = new_id()
        noted = await context.write(
            lambda c, n=claim.generation, t=token: archive_ownership.announce(c, n, t)  # type: ignore[misc]
        )
        context.on_step("generation.announced")
        if noted is None or noted.generation != claim.generation:
            continue  # another worker of this database has taken it meanwhile
        token = noted.next_token or token
        published = await context.files(
            lambda n=number, t=token: publish_generation(context.blobs, n, t)  # type: ignore[misc]
        )
        context.on_step("generation.published")
        if not published:
            continue  # look again: who was it?
        await context.write(
            lambda c, n=number, t=token, i=instance: archive_ownership.advance(  # type: ignore[misc]
                c, n, t, i
            )
        )
        context.on_step("generation.settled")
        return
    raise UnavailableError("too many workers begin to archive at once: try again")


async def instance_of(context: Context, folder: Marked) -> tuple[str, ...]:
    """What tells this pair of a database and a folder from copies of them."""
    return (*await context.backend.instance(), *folder.place)


async def _mark(context: Context, standing: Standing) -> None:
    """Bind the database, and mark the folder.

    The database knows the id first: after a crash in between, the next claim goes on
    here with the same one.
    """
    claim, instance = standing.claim, await instance_of(context, standing.folder)
    wanted = new_id() if claim is None else claim.folder_id
    bound = await context.write(lambda c: archive_ownership.bind(c, wanted, instance))
    context.on_step("folder.bound")
    marked = await context.files(lambda: write_mark(context.blobs, bound))
    context.on_step("folder.marked")
    if marked != bound:
        raise ConfigError(_FOREIGN)


async def _take_over(context: Context, folder: Marked) -> None:
    """Let a database without a folder have one whose database is gone. If that is not
    gone, it finds a newer generation than it wrote."""
    assert folder.folder_id is not None
    instance = await instance_of(context, folder)
    number, token = folder.generation + 1, new_id()
    if not await context.files(
        lambda: publish_generation(context.blobs, number, token)
    ):
        raise ConfigError(_FOREIGN)
    own = Claim(folder.folder_id, number, token, None, instance)
    await context.write(lambda c: archive_ownership.take(c, own))


def _known(connection: Connection) -> tuple[Claim | None, bool]:
    return archive_ownership.find(connection), archive_ownership.has_archived(
        connection
    )


def _has_begun(claim: Claim | None, archived: bool) -> bool:
    """Whether a folder is this database's. One that it is bound to is not before it has
    a generation: the worker may have died before the mark."""
    return archived or (claim is not None and claim.generation > 0)


async def _unbound(context: Context, folder: Marked, archived: bool) -> Standing:
    """Of a database that has bound itself to no folder: new, or of before the marks."""
    if folder.folder_id is not None:
        return Standing("foreign", None, folder, "it has the mark of that one")
    if archived:
        proofs = await context.read(
            lambda c: archive_ownership.newest_segments(c, _PROOFS)
        )
        if not await context.files(lambda: _holds_one(context.blobs, proofs)):
            return Standing(
                "away", None, folder, "no segment of this database is there"
            )
    return Standing("unclaimed", None, folder)


def _holds_one(blobs: BlobStore, segments: list[tuple[str, int]]) -> bool:
    for key, size_bytes in segments:
        try:
            if blobs.size(key) == size_bytes:
                return True
        except SegmentNotFoundError:
            continue
    return False


def _judge(
    claim: Claim, folder: Marked, archived: bool, instance: set[str]
) -> Standing:
    """Of a database that has bound itself to a folder."""

    def standing(kind: Kind, problem: str = "") -> Standing:
        return Standing(kind, claim, folder, problem)

    begun = _has_begun(claim, archived)
    if folder.folder_id is None:
        if not begun:
            return standing("unclaimed")
        return standing("away", "it has no mark: is its volume mounted?")
    if folder.folder_id != claim.folder_id:
        if not begun:
            return standing("foreign", "it has the mark of that one")
        return standing("away", "the folder there has the mark of another database")
    if _is_copy(set(claim.instance), instance):
        return standing(
            "taken", "this database is a copy of the one that archives here"
        )
    if folder.generation < claim.generation:
        return standing("away", "the folder there is an older copy of it")
    own = {claim.generation: claim.token}
    if claim.next_token is not None:
        own[claim.generation + 1] = claim.next_token
    if folder.generation not in own or folder.token != own[folder.generation]:
        return standing("taken", "a copy of this database has worked on it since")
    return standing("ours")


def _is_copy(noted: set[str], instance: set[str]) -> bool:
    """Whether the database is another one than wrote last, and the folder is not: both
    may be moved, or copied, together."""

    def of_folder(names: set[str]) -> set[str]:
        return {name for name in names if name.startswith(IN_FOLDER)}

    if not noted or (noted - of_folder(noted)) & instance:
        return False
    then, now = of_folder(noted), of_folder(instance)
    return not (then and now) or bool(then & now)
