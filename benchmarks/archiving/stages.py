"""What is measured of convstore, each stage in a process of its own.

So the peak of memory that a stage tells is its own, and not that of the filling.
"""

from __future__ import annotations

import asyncio
import json
import resource
import sys
import time
from pathlib import Path
from typing import Any

from benchmarks.contestants import Target

Figures = dict[str, Any]
AT_ONCE = 50
"""Users who return at the same time."""


async def life(target: list[Any], sessions: int, restored: int) -> Figures:
    """Fill, archive and purge all, restore some, and rebuild from the files alone."""
    await asyncio.to_thread(_upgrade, target)
    await _stage("benchmarks.archiving.conversations:fill", target, sessions=sessions)
    done = {"archive": await _stage(f"{__name__}:archive", target)}
    returning = {"sessions": sessions, "restored": restored}
    done["restore"] = await _stage(f"{__name__}:restore", target, **returning)
    await _empty(target)
    done["rebuild"] = await _stage(f"{__name__}:rebuild", target)
    return {"sessions": sessions, "restored": restored, **done}


async def archive(target: list[Any]) -> Figures:
    """Everything stale at once: `convstore archive run --older-than 0`."""
    async with _store(target) as store:
        began = time.perf_counter()
        report = await store.run_retention(older_than_s=0)
        return _figures(report.purged, time.perf_counter() - began)


async def restore(target: list[Any], sessions: int, restored: int) -> Figures:
    """Sessions from all over the archive, fifty callers at once, each acknowledged."""
    async with _store(target) as store:
        waiting = iter([f"s-{n:07}" for n in range(0, sessions, sessions // restored)])
        began = time.perf_counter()

        async def user() -> None:
            for name in waiting:
                await store.restore(name)

        await asyncio.gather(*(user() for _ in range(AT_ONCE)))
        return _figures(restored, time.perf_counter() - began)


async def rebuild(target: list[Any]) -> Figures:
    """A new database from the folder alone: `convstore archive rebuild`."""
    async with _store(target) as store:
        began = time.perf_counter()
        report = await store.archive.rebuild()
        return _figures(report.sessions, time.perf_counter() - began)


async def segments(target: list[Any], sessions: int) -> Figures:
    """Write and verify alone: documents in memory into segments, without a database."""
    from itertools import islice

    from benchmarks.archiving.conversations import conversations
    from convstore.blobs.local import LocalBlobs
    from convstore.segments.writer import SegmentWriter
    from convstore.vocabulary.clock import SystemClock

    clock, documents, wall = SystemClock(), conversations(sessions), 0.0
    blobs = LocalBlobs(_folder(target), clock=clock)
    while some := list(islice(documents, 500)):
        began = time.perf_counter()
        with SegmentWriter(blobs, writer="bench", created_at=clock.now()) as writer:
            for document in some:
                writer.add(document)
            writer.finish()
        wall += time.perf_counter() - began
    return _figures(sessions, wall)


def _store(target: list[Any]) -> Any:
    from convstore import StoreConfig, open_store

    return open_store(StoreConfig(url=Target(*target).url, archive_dir=_folder(target)))


def _folder(target: list[Any]) -> Path:
    return Path(target[0]).parent / "archive"


def _figures(count: int, wall: float) -> Figures:
    # Kibibytes on Linux.
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return {
        "per_s": round(count / wall),
        "count": count,
        "peak_mb": round(peak / 1024, 1),
    }


async def _stage(work: str, target: list[Any], **arguments: Any) -> Figures:
    asked = json.dumps({"target": target, **arguments})
    child = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "benchmarks.child", work, asked),
        stdout=asyncio.subprocess.PIPE,
    )
    answer, _ = await child.communicate()
    if child.returncode:
        raise RuntimeError(f"{work} ended with {child.returncode}")
    figures: Figures = json.loads(answer.splitlines()[-1])
    return figures


def _upgrade(target: list[Any]) -> None:
    from convstore.db.migrate import upgrade

    upgrade(Target(*target).url)


async def _empty(target: list[Any]) -> None:
    """A database as new, on the same address."""
    place = Target(*target)
    if place.postgres is None:
        for path in Path(place.path).parent.glob(f"{Path(place.path).name}*"):
            path.unlink()
    else:
        import asyncpg

        server = await asyncpg.connect(place.postgres)
        await server.execute("DROP SCHEMA public CASCADE; CREATE SCHEMA public")
        await server.close()
    await asyncio.to_thread(_upgrade, target)
