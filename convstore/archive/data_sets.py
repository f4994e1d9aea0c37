"""Data set shards beside a segment: one JSONL file for each format the policy names.

A shard is made from its segment alone, so it is made again when the segment is
rewritten, and destroyed with it.
"""

from __future__ import annotations

import io
from collections.abc import Callable

from convstore.blobs.base import BlobStore, publish_whole
from convstore.segments.manifest import Manifest
from convstore.segments.reader import Fault, iterate_documents
from convstore.segments.segment import segment_id_of
from convstore.vocabulary.errors import AlreadyExistsError
from convstore.vocabulary.policy import FeedbackPolicy


def check_formats(formats: tuple[str, ...]) -> None:
    """Refuse names that no format has.

    Raises:
        InvalidInputError: Names the format, and those that exist.
    """
    if formats:
        from convstore.export.formats import pick_formats

        pick_formats(formats)


def write_shards(
    blobs: BlobStore,
    manifest: Manifest,
    formats: tuple[str, ...],
    feedback: FeedbackPolicy,
    on_fault: Callable[[Fault], None] | None = None,
) -> int:
    """Write the shards of a sealed segment; how many are new. Idempotent.

    With `on_fault`, a damaged session has no rows; without, it is an error.
    """
    if not formats:
        return 0
    from convstore.export.options import ExportOptions
    from convstore.export.stages.single_file import write_shard

    options = ExportOptions().on(feedback)
    written = 0
    for name in formats:
        rows, provenance = io.BytesIO(), io.BytesIO()
        found = iterate_documents(blobs, manifest, on_fault=on_fault)
        documents = (document for _, document in found)
        write_shard(documents, name, rows, options, provenance=provenance)
        folder = _folder(manifest.key)
        written += _publish(blobs, f"{folder}{name}.jsonl", rows.getvalue())
        if provenance.tell():
            _publish(blobs, f"{folder}{name}.provenance.jsonl", provenance.getvalue())
    return written


def delete_shards(blobs: BlobStore, key: str) -> int:
    """Destroy every shard of the segment with this key; how many. Idempotent."""
    return sum(blobs.delete(shard) for shard in blobs.keys(_folder(key)))


def _folder(key: str) -> str:
    _, year, month, _ = key.split("/")
    return f"shards/{year}/{month}/{segment_id_of(key)}/"


def _publish(blobs: BlobStore, key: str, data: bytes) -> int:
    try:
        publish_whole(blobs, key, data)
    except AlreadyExistsError:
        return 0  # a run that was cut short got this far
    return 1
