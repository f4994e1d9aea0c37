"""A person's word that the archive folder which is there is the one to go on with: the
other is lost, or the database came back from a backup, or it is a copy that parts from
its original.

What was lost is told, and is damage from then on. Nothing in the folder is destroyed.
"""

from __future__ import annotations

from collections.abc import Sequence

from convstore.archive.context import Context
from convstore.archive.mark import Marked, publish_generation, read_folder, write_mark
from convstore.archive.ownership import folder_of, instance_of, look, renew
from convstore.db import archive_entries, archive_ownership, erasures, segments
from convstore.db.archive_ownership import Claim
from convstore.db.engine import Connection
from convstore.db.erasures import StoredErasure
from convstore.db.segments import StoredSegment
from convstore.erasure.tombstones import write_tombstone
from convstore.segments.reader import segment_keys
from convstore.vocabulary.errors import ArchiveTakenError, ConfigError
from convstore.vocabulary.ids import new_id
from convstore.vocabulary.reports import AdoptionReport

_LOST = "the file is missing: the archive was adopted without it"


async def adopt(context: Context, *, dry_run: bool = False) -> AdoptionReport:
    """Make the folder that is there this database's; idempotent, also after a crash.

    A folder without a mark gets a new one, so that the lost one, should it turn up, is
    not taken for it. One with a mark gets a generation that only this database knows: a
    copy or an original that works on it stops. Erasures are noted in it again.

    Raises:
        ConfigError: It holds another database's segments, and none of this one's; or
            there is no such bucket, and this database never had one.
        ArchiveAwayError: There is no such bucket.
        CorruptionError: Its mark cannot be read.
    """
    folder = await folder_of(context)
    present = set(await context.files(lambda: segment_keys(context.blobs)))
    known = await context.read(lambda c: segments.by_state(c, "sealed", "quarantined"))
    lost = [segment for segment in known if segment.key not in present]
    own = await context.read(archive_ownership.find)
    report = AdoptionReport(
        folder_id=folder.folder_id,
        segments_found=len(known) - len(lost),
        segments_lost=tuple(segment.segment_id for segment in lost),
        sessions_lost=await context.read(lambda c: _only_copies(c, lost)),
        segments_unknown=len(present - {segment.key for segment in known}),
        dry_run=dry_run,
    )
    is_own = own is not None and own.folder_id == folder.folder_id
    if folder.folder_id and not is_own and present and not report.segments_found:
        raise ConfigError(
            "ARCHIVE_DIR: the archive folder belongs to another database: none of its "
            "segments is this one's"
        )
    if not dry_run:
        if (await look(context)).kind == "ours":
            # Nothing to decide; and whatever dies here must not lock the owner out.
            await renew(context)
        else:
            await _take(context, folder, own)
        for erasure in await context.write(lambda c: _note_lost(c, lost)):
            await context.files(lambda e=erasure: write_tombstone(context.blobs, e))  # type: ignore[misc]
        context.on_step("adopt.settled")
    return report


async def _take(context: Context, folder: Marked, own: Claim | None) -> None:
    # The folder first, and the database in one step: whatever dies before it leaves a
    # folder that is not this database's yet, and can be adopted again.
    wanted = folder.folder_id or new_id()
    marked = await context.files(lambda: write_mark(context.blobs, wanted))
    context.on_step("adopt.marked")
    newest = await context.files(lambda: read_folder(context.blobs))
    number = max(newest.generation, own.generation if own else 0) + 1
    token = new_id()
    if marked != wanted or not await context.files(
        lambda: publish_generation(context.blobs, number, token)
    ):
        raise ArchiveTakenError("another database has taken it at this moment")
    context.on_step("adopt.published")
    instance = await instance_of(context, newest)
    claim = Claim(wanted, number, token, None, instance)
    await context.write(lambda c: archive_ownership.take(c, claim))


def _note_lost(
    connection: Connection, lost: Sequence[StoredSegment]
) -> list[StoredErasure]:
    """Note what is lost; the erasures that the folder must tell of."""
    for segment in sorted(lost, key=lambda segment: segment.segment_id):
        segments.lock(connection, segment.segment_id)
        segments.quarantine(connection, segment.segment_id, _LOST)
    return erasures.all_of(connection, "begun", "done")


def _only_copies(connection: Connection, lost: Sequence[StoredSegment]) -> int:
    return sum(
        archive_entries.only_copies(connection, segment.segment_id) for segment in lost
    )
