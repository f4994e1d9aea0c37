"""What one worker of an export reads: a few sessions, and where to find them.

A split is plain data that can be sent anywhere. It names sessions and says nothing of
what is in them, so it is read as things are when its turn comes: a session that was
archived, restored or moved meanwhile is found, one that was erased is not.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import chain, groupby
from operator import attrgetter

from convstore.db.session_places import Placed
from convstore.vocabulary.codec import dumps
from convstore.vocabulary.documents import encode_document
from convstore.vocabulary.policy import ObjectStoragePolicy
from convstore.vocabulary.records import DEFAULT_TENANT, SessionDocument

MOST_SESSIONS = 64
MOST_BYTES = 1024 * 1024
"""JSON of documents in a split; one that is larger is a split of its own."""


@dataclass(frozen=True, slots=True)
class Source:
    """A database and its archive, to be opened for reading by whoever has this.

    The URL may hold a password: it is in no text that is made of this.

    Attributes:
        url: Of the database.
        schema: Of its tables; None is the URL's own, or the role's first.
        pooler: As the setting of that name.
        archive: Folder, or URL of a bucket.
        object_storage: How the bucket is spoken to.
    """

    url: str = field(repr=False)
    archive: str
    schema: str | None = None
    pooler: str = "none"
    object_storage: ObjectStoragePolicy = field(default_factory=ObjectStoragePolicy)


@dataclass(frozen=True, slots=True)
class Split:
    """A few sessions of one tenant. Can be pickled; small.

    Attributes:
        tenant: Whose they are.
        session_ids: Those to be read from the `source`: live ones in order of id, or
            archived ones of one segment in the order of its frames.
        source: Where; None where the documents are here.
        segment_id: Where archived ones lay when this was planned.
        snapshot: Name of the moment that live ones are read as of, which a connection
            of PostgreSQL holds; empty is whenever it is read.
        documents: Sessions that were handed over, as lines of JSON.
        fingerprint: Changes when one of the sessions does.
    """

    tenant: str = DEFAULT_TENANT
    session_ids: tuple[str, ...] = ()
    source: Source | None = None
    segment_id: str | None = None
    snapshot: str = ""
    documents: tuple[bytes, ...] = field(default=(), repr=False)
    fingerprint: bytes = b""

    def of(self, session_ids: tuple[str, ...]) -> Split:
        """Some of its sessions alone."""
        return replace(self, session_ids=session_ids, documents=())


def splits_of(
    placed: Sequence[Placed], source: Source, tenant: str, snapshot: str
) -> Iterator[Split]:
    """The splits of sessions that were listed together, each session in one.

    Live ones come by id, a range at a time; archived ones by segment and frame.
    """
    live = [each for each in placed if each.segment_id is None]
    frames = [each for each in placed if each.segment_id is not None]
    frames.sort(key=attrgetter("segment_id", "ordinal"))
    by_segment = groupby(frames, key=attrgetter("segment_id"))
    for segment_id, some in chain(
        [(None, live)], ((name, list(group)) for name, group in by_segment)
    ):
        for start in range(0, len(some), MOST_SESSIONS):
            taken = some[start : start + MOST_SESSIONS]
            yield Split(
                tenant,
                tuple(each.session_id for each in taken),
                source,
                segment_id,
                snapshot,
                fingerprint=hashlib.sha256(
                    dumps([tenant, [tuple(each) for each in taken]])
                ).digest(),
            )


def splits_of_documents(documents: Iterable[SessionDocument]) -> Iterator[Split]:
    """The splits of sessions that are here already."""
    lines: list[bytes] = []
    size = 0
    for document in documents:
        lines.append(encode_document(document))
        size += len(lines[-1])
        if size >= MOST_BYTES or len(lines) >= MOST_SESSIONS:
            yield _of_lines(lines)
            lines, size = [], 0
    if lines:
        yield _of_lines(lines)


def _of_lines(lines: list[bytes]) -> Split:
    fingerprint = hashlib.sha256(b"\n".join(lines)).digest()
    return Split(documents=tuple(lines), fingerprint=fingerprint)
