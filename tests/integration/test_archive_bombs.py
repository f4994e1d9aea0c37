"""Files that somebody put into the archive to use up memory: small, and a gigabyte."""

from __future__ import annotations

import hashlib
import tracemalloc
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path

import pytest

from convstore import SegmentCorruptError, Store
from convstore.blobs.local import LocalBlobs
from convstore.segments.frames import MAGIC
from convstore.segments.manifest import encode_manifest
from convstore.segments.reader import read_manifest
from tests.integration.archives import (
    OpenAnother,
    archived,
    fill,
    segment_files,
)

GIB = 1 << 30
BLOCK = 128 * 1024
# The limit that RELIABILITY sets for bombs is 256 MB; a tenth of that is enough.
MOST = 32 * 1024 * 1024


def bomb(begins: bytes = b"") -> bytes:
    """A frame of 32 kB that unpacks to a gigabyte of spaces behind `begins`.

    Its blocks say "this byte, 128 KiB of it" (RFC 8878, section 3.1.1.2.2).
    """
    raw = (len(begins) << 3).to_bytes(3, "little") + begins if begins else b""
    count, left = divmod(GIB - len(begins), BLOCK)
    sizes = [BLOCK] * count + ([left] if left else [])
    same = b"".join(
        ((size << 3) | 2 | (n == len(sizes) - 1)).to_bytes(3, "little") + b" "
        for n, size in enumerate(sizes)
    )
    # Size in eight bytes, a checksum, and a window of 8 MiB.
    head = MAGIC + b"\xc4" + b"\x68" + GIB.to_bytes(8, "little")
    return head + raw + same + bytes(4)


def exchange(archive: Path, *, manifest: str) -> None:
    """Put a bomb in the place of the only segment's first frame.

    `manifest` is what becomes of the manifest: `kept`, `gone`, or one that `lies`.
    """
    (path,) = segment_files(archive)
    blobs = LocalBlobs(archive)
    key = str(path.relative_to(archive))
    told = read_manifest(blobs, key)
    first, *others = told.entries
    data, packed = path.read_bytes(), bomb()
    rest = data[first.end :]
    beside = path.with_name(path.name.replace(".jsonl.zst", ".manifest.json"))
    if manifest == "kept":
        # Of the same length: what does not fit is cut off.
        packed = (packed + bytes(first.length))[: first.length]
    path.chmod(0o600)
    path.write_bytes(packed + rest)
    if manifest == "gone":
        beside.unlink()
    elif manifest == "lies":
        moved = len(packed) - first.length
        entries = (
            replace(first, length=len(packed), raw_length=GIB - 1),
            *(replace(e, offset=e.offset + moved) for e in others),
        )
        whole = replace(
            told,
            entries=entries,
            size_bytes=len(packed + rest),
            sha256=hashlib.sha256(packed + rest).hexdigest(),
        )
        beside.write_bytes(encode_manifest(whole))


async def peak_of(call: Callable[[], Awaitable[object]]) -> int:
    """Bytes that Python held at most while it ran."""
    tracemalloc.start()
    try:
        await call()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("manifest", ["kept", "gone", "lies"])
async def test_no_reader_of_the_archive_can_be_made_to_ask_for_a_gigabyte(
    store: Store, archive_dir: Path, manifest: str
) -> None:
    await archived(store, "s-1", "s-2")
    exchange(archive_dir, manifest=manifest)

    async def restore() -> None:
        with pytest.raises(SegmentCorruptError):
            await store.restore("s-1")

    async def verify() -> None:
        assert (await store.archive.verify()).faults

    async def recover() -> None:
        await store.archive.recover()

    async def erase() -> None:
        await fill(store, "s-3")
        await store.run_retention(older_than_s=0)
        await store.erase(session_id="s-3")

    for call in (restore, verify, recover, erase):
        assert await peak_of(call) < MOST, call.__name__


@pytest.mark.parametrize("manifest", ["gone", "lies"])
async def test_a_rebuild_passes_over_a_bomb(
    store: Store,
    open_another: OpenAnother,
    archive_dir: Path,
    tmp_path: Path,
    manifest: str,
) -> None:
    await archived(store, "s-1", "s-2")
    exchange(archive_dir, manifest=manifest)
    fresh = await open_another(url=f"sqlite:///{tmp_path / 'fresh.db'}")

    async def rebuild() -> None:
        report = await fresh.archive.rebuild()
        assert report.faults
        assert report.sessions == 1

    assert await peak_of(rebuild) < MOST
    assert await fresh.restore("s-2")
