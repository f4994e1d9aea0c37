"""A bucket as a folder, for checks that read files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from convstore.blobs.selection import blob_store
from convstore.vocabulary.policy import ObjectStoragePolicy


def mirrored(
    archive: str, folder: Path, settings: ObjectStoragePolicy | None = None
) -> Path:
    """The folder of an archive; of one in a bucket a copy, made in `folder`, of all
    that is there, staged objects too."""
    if "://" not in archive:
        return Path(archive)
    import obstore

    client: Any = blob_store(archive, settings)
    folder.mkdir(mode=0o700)
    for page in obstore.list(client._store):
        for found in page:
            path = folder / found["path"]
            for parent in reversed(path.relative_to(folder).parents[:-1]):
                (folder / parent).mkdir(mode=0o700, exist_ok=True)
            path.touch(0o600)
            path.write_bytes(client.read_range(found["path"], 0, None))
    return folder
