"""Takes out of the archive what must not be kept: each segment that holds a copy is
rewritten without it, verified, and the old file destroyed.

The copies still to be removed are always a query over the ledger, so whatever dies in
between is finished by the next sweep.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TypeAlias

from convstore.archive.archiver import (
    destroy_files,
    give_up,
    stored_entries,
    stored_segment,
)
from convstore.archive.context import WRITER, Context
from convstore.archive.data_sets import write_shards
from convstore.archive.ownership import guard, renew
from convstore.db import archive_entries, archived_actors, segments, unfinished
from convstore.db.archive_entries import StoredEntry
from convstore.db.dialects import dialect_of
from convstore.db.engine import Connection
from convstore.db.holds import under_hold
from convstore.db.segments import StoredSegment
from convstore.db.unit import Key, Unit
from convstore.erasure.counting import Count
from convstore.erasure.known_manifests import key_of, known_manifest
from convstore.erasure.naming import find_naming
from convstore.segments.manifest import Entry, Manifest
from convstore.segments.readable import write_readable
from convstore.segments.reader import Fault
from convstore.segments.rewrite import Edit, copy_segment
from convstore.segments.segment import segment_key
from convstore.vocabulary.actors import Renaming, actors_of
from convstore.vocabulary.errors import (
    ConvstoreError,
    DatabaseBusyError,
    LegalHoldError,
    NewerFormatError,
    SegmentCorruptError,
    SegmentNotFoundError,
)
from convstore.vocabulary.ids import new_id
from convstore.vocabulary.records import SessionDocument

log = logging.getLogger(__name__)

_PATIENCE_S = 1.0
"""For a session that another transaction holds; the next sweep comes back for it."""

_ROUNDS = 5
"""Other workers may move a copy to another segment while it is looked for, and another
erasure cancels every segment that is being written."""

_MOVING = (
    "other erasures are at work on the segments of this one: the rows are gone, and "
    "the next recovery finishes it"
)

SweepError: TypeAlias = (
    SegmentCorruptError | NewerFormatError | DatabaseBusyError | LegalHoldError
)


@dataclass(slots=True)
class Swept:
    """What a sweep destroyed; `failed` says of segments that it had to leave that they
    are damaged or of a newer format, that another transaction held a session of theirs
    for too long, that one is under legal hold which was to be changed, or that other
    erasures were always quicker.

    `count` is kept with each copy that names an actor no more. `damaged` are the new
    names of segments in which the frame of another session was damaged before, and
    still is. `missing` have no file in the folder. Of an actor who is to get another
    name, `renamed` are the sessions of which a copy was written anew, `read` the
    segments that were looked through, and `still` the sessions of which a copy goes on
    to name them, for what they did later.
    """

    count: Count | None = None
    rewritten: list[str] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)
    damaged: list[str] = field(default_factory=list)
    shards: int = 0
    renamed: set[Key] = field(default_factory=set)
    read: set[str] = field(default_factory=set)
    still: set[Key] = field(default_factory=set)
    failed: list[SweepError] = field(default_factory=list)

    def note(
        self, old_id: str, copy_id: str, faults: Sequence[Fault], named: Iterable[Key]
    ) -> None:
        """That a segment was replaced, with what faults, and whose copies changed."""
        self.renamed.update(named)
        if faults:
            _tell_damaged(copy_id, faults)
            self.damaged.append(copy_id)
        elif old_id in self.read:
            self.read.add(copy_id)


class Sweeper:
    """Rewrites segments."""

    def __init__(self, context: Context) -> None:
        self._context = context

    async def sweep(
        self,
        keys: Sequence[Key] | None = None,
        renaming: Renaming | None = None,
        swept: Swept | None = None,
    ) -> Swept:
        """Rewrite every segment that holds a copy of what is erased or deleted.

        With `keys`, only their copies; without, all that the ledger knows of. With
        `renaming`, also every segment with a copy that names the actor; one that cannot
        be read is told in the result, and its copy is left. `swept` is what another
        sweep for the same has done, to be gone on with.

        What is left of another session's damaged frame goes into the new segment, which
        is in quarantine from then on. Where it cannot be told whose the damaged bytes
        are, the segment is left as it is and told in the result. One whose file is
        missing is left too: should it come back, the next sweep finds it.

        Raises:
            ArchiveAwayError, ArchiveTakenError: There is a copy, and the folder is not
                proven to be this database's.
        """
        swept = Swept() if swept is None else swept
        # What was looked through stays as it is: segments are not changed.
        context, done = self._context, set(swept.read)
        only = None if keys is None else frozenset(keys)
        for tried in range(_ROUNDS + 1):
            found = await context.read(lambda c: concerned(c, only, renaming))
            left = [segment_id for segment_id in found if segment_id not in done]
            if not left:
                break
            if tried == _ROUNDS:
                swept.failed.append(DatabaseBusyError(_MOVING))
                break
            await guard(context)
            for segment_id in left:
                leaving = await context.read(
                    lambda c, s=segment_id: unfinished.unwanted(c, s)  # type: ignore[misc]
                )
                if only is not None:
                    leaving &= only
                edits = await self._edits(segment_id, leaving, renaming, swept)
                if not (leaving or edits) or await self._rewrite_or_leave(
                    segment_id, leaving, edits, swept
                ):
                    done.add(segment_id)
        return swept

    async def _edits(
        self,
        segment_id: str,
        leaving: set[Key],
        renaming: Renaming | None,
        swept: Swept,
    ) -> dict[Key, Edit]:
        """What is to be changed in a segment, of the copies that stay."""
        if renaming is None:
            return {}
        naming = await find_naming(self._context, segment_id, renaming)
        swept.failed += naming.failed
        swept.still |= naming.still - leaving
        found = naming.found - leaving
        held = await self._context.read(lambda c: under_hold(c, found))
        if held:
            ids = (session_id for _, session_id in sorted(held))
            swept.failed.append(LegalHoldError(tuple(ids)))
        if not (naming.failed or naming.missing or held):
            swept.read.add(segment_id)
        return dict.fromkeys(found - held, renaming.of)

    async def _rewrite_or_leave(
        self,
        segment_id: str,
        leaving: set[Key],
        edits: Mapping[Key, Edit],
        swept: Swept,
    ) -> bool:
        """Whether there is nothing left to try; False: somebody else was quicker."""
        try:
            shards = await self._rewrite(segment_id, leaving, edits, swept)
        except SegmentNotFoundError:
            segment = await self._context.read(lambda c: segments.find(c, segment_id))
            if segment is None or segment.state not in ("sealed", "quarantined"):
                return False
            key = segment.key
            if await self._context.files(lambda: self._context.blobs.exists(key)):
                return False  # the new one: another erasure cancelled and destroyed it
            await guard(self._context)  # is it the file that is away, or all of them?
            if segment_id in swept.missing:
                return True  # told in the round before
            swept.missing.append(segment_id)
            log.warning(
                "segment %s holds what must go, and its file is missing",
                segment_id,
                extra={"event": "segment_missing", "segment_id": segment_id},
            )
            return True
        except LegalHoldError:
            return False  # placed while the copy was written: the others go on
        except (SegmentCorruptError, NewerFormatError, DatabaseBusyError) as error:
            swept.failed.append(error)
            return True
        if shards is None:
            return False
        swept.shards += shards
        swept.rewritten.append(segment_id)
        return True

    async def _rewrite(
        self,
        segment_id: str,
        leaving: set[Key],
        edits: Mapping[Key, Edit],
        swept: Swept,
    ) -> int | None:
        """Replace a segment by one without `leaving`, and with `edits` made; how many
        shards it had.

        None when it is not there any more to be replaced: look again where the copies
        are.
        """
        context = self._context
        segment = await context.read(lambda c: segments.find(c, segment_id))
        if segment is None or segment.state not in ("sealed", "quarantined"):
            return None
        entries = await context.read(
            lambda c: archive_entries.of_segment(c, segment_id)
        )
        staying = [entry for entry in entries if entry.key not in leaving]
        old = await context.files(lambda: known_manifest(context, segment, staying))
        if all(key_of(entry) in leaving for entry in old.entries):
            return await self._swap(segment, None, [], leaving, {}, swept)
        copy_id = new_id()
        copy_key = segment_key(copy_id, old.created_at)
        # Announced like any segment being written, so that recovery leaves it alone.
        await context.write(
            lambda c: segments.begin(
                c, copy_id, copy_key, context.holder, context.now()
            )
        )
        try:
            copy, faults, named = await context.files(
                lambda: self._copy(old, copy_id, leaving, edits)
            )
        except ConvstoreError:
            await give_up(context, copy_id, copy_key)
            raise
        context.on_step("erase.rewrite.published")
        new = stored_segment(copy, context.now())
        if faults:
            new = replace(new, state="quarantined", problem=faults[0].problem)
        entries = stored_entries(copy, "")
        shards = await self._swap(segment, new, entries, leaving, named, swept)
        if shards is None:
            await give_up(context, copy_id, copy_key)
        else:
            swept.note(segment_id, copy_id, faults, named)
        return shards

    async def _swap(
        self,
        old: StoredSegment,
        new: StoredSegment | None,
        entries: Sequence[StoredEntry],
        leaving: Collection[Key],
        named: Mapping[Key, set[str]],
        swept: Swept,
    ) -> int | None:
        """Let the new one take the place of the old one, which is destroyed with the
        copies of `leaving`; `named` is whom those copies name now that were written
        anew."""
        context, now = self._context, self._context.now()
        await renew(context)

        def work(connection: Connection) -> tuple[bool, Count | None]:
            dialect_of(connection).bound_waits(connection, _PATIENCE_S)
            if not segments.replace_segment(connection, old.segment_id, new, entries):
                return False, None
            archived_actors.forget_gone(connection, leaving)
            if new is None or not named:
                return True, None
            unit = Unit(connection)
            fresh = archived_actors.note_renamed(unit, new.segment_id, named, now)
            unit.flush()
            if swept.count is None:
                return True, None
            more = swept.count.with_copies(fresh)
            more.keep(connection)
            return True, more

        try:
            swapped, more = await context.write(work)
        except (DatabaseBusyError, LegalHoldError):
            if new is not None:  # nothing names it
                await give_up(context, new.segment_id, new.key)
            raise
        if not swapped:
            return None
        if swept.count is not None and more is not None:
            swept.count.take(more)
        context.on_step("erase.rewrite.swapped")
        await context.on_changed(sorted(named))
        shards = await context.files(lambda: destroy_files(context, old.key))
        await context.write(lambda c: segments.forget(c, old.segment_id))
        context.on_step("erase.rewrite.done")
        return shards

    def _copy(
        self, old: Manifest, copy_id: str, leaving: set[Key], edits: Mapping[Key, Edit]
    ) -> tuple[Manifest, list[Fault], dict[Key, set[str]]]:
        """The new segment, what was damaged in the old one and still is, and whom those
        name whose copies were changed."""
        context = self._context
        faults: list[Fault] = []
        named: dict[Key, set[str]] = {}

        def edit(entry: Entry) -> Edit | None:
            change = edits.get(key_of(entry))
            if change is None:
                return None

            def changed(document: SessionDocument) -> SessionDocument:
                new = change(document)
                named[key_of(entry)] = actors_of(new)
                return new

            return changed

        new = copy_segment(
            context.blobs,
            old,
            lambda entry: key_of(entry) not in leaving,
            edit=edit,
            writer=WRITER,
            # The time of the old one: how long an archive is kept counts from there.
            created_at=old.created_at,
            segment_id=copy_id,
            on_fault=faults.append,
            on_step=context.on_step,
        )
        assert new is not None  # somebody stays
        told: Callable[[Fault], None] | None = _pass_over if faults else None
        write_shards(context.blobs, new, context.policy.exports, context.feedback, told)
        if context.policy.readable_json:
            write_readable(context.blobs, new, on_fault=told)
        return new, faults, named


def concerned(
    connection: Connection, only: Collection[Key] | None, renaming: Renaming | None
) -> list[str]:
    """Segments with a copy that must go or be changed: see `Sweeper.sweep`."""
    found = unfinished.with_unwanted(connection, only)
    if renaming is not None:
        tenant, was = renaming.tenant_id, renaming.was
        found += archived_actors.segments_naming(connection, tenant, was)
    return list(dict.fromkeys(found))


def _pass_over(_: Fault) -> None:
    """Told already, when it was copied."""


def _tell_damaged(segment_id: str, faults: Sequence[Fault]) -> None:
    log.error(
        "segment %s was rewritten with %d damaged sessions in it",
        segment_id,
        len(faults),
        extra={"event": "segment_corrupt", "segment_id": segment_id},
    )
