"""What the archive is measured beside: the bare codec, and the bare driver.

The codec has no database and no guarantee: orjson and zstandard on records that are in
memory already. The driver does what the job does to rows and file, and checks nothing.
"""

from __future__ import annotations

import asyncio
import os
import sqlite3
import time
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

from benchmarks.archiving.conversations import conversations, fill
from benchmarks.archiving.stages import Figures, _upgrade
from benchmarks.contestants import Target

BATCH = 500
"""Sessions of one file, as of one segment of convstore."""


async def codec(target: list[Any], sessions: int) -> Figures:
    """orjson and zstandard alone; rates of packing, of packing and reading back, and
    of reading one at a time.

    Packing: `orjson.dumps` of the record as a dict (which is made before the watch
    runs), a frame of zstd (level 3, checksum), written to a file of 500 that is synced
    at its end. Reading back: the frames of the whole
    file unpacked and parsed by `orjson.loads`. Reading: one frame by offset, the same.
    """
    import orjson
    import zstandard

    pack = zstandard.ZstdCompressor(level=3, write_checksum=True).compress
    unpack = zstandard.ZstdDecompressor().decompress
    documents, packing, checking, reading = conversations(sessions), 0.0, 0.0, 0.0
    path = Path(target[0]).with_suffix(".zst")
    while some := [d.to_dict() for d in islice(documents, BATCH)]:
        began, places = time.perf_counter(), []
        with path.open("wb") as file:
            for document in some:
                frame = pack(orjson.dumps(document))
                places.append((file.tell(), len(frame)))
                file.write(frame)
            file.flush()
            os.fsync(file.fileno())
        packed = time.perf_counter()
        data = path.read_bytes()
        for at, length in places:
            orjson.loads(unpack(data[at : at + length]))
        checked = time.perf_counter()
        with path.open("rb") as file:
            for at, length in places:
                file.seek(at)
                orjson.loads(unpack(file.read(length)))
        packing += packed - began
        checking += checked - packed
        reading += time.perf_counter() - checked
    return {
        "per_s": round(sessions / (packing + checking)),
        "packed_per_s": round(sessions / packing),
        "read_per_s": round(sessions / reading),
    }


async def driver(target: list[Any], sessions: int) -> Figures:
    """The driver of the database alone: rates of moving rows out, and back in.

    Out: 500 sessions' rows selected, each session's written by orjson and zstd into a
    synced file, and deleted in one transaction. Back: one session at a time, its frame
    unpacked and its rows inserted, a commit for every fifty. Nothing is read back,
    compared, guarded or noted.
    """
    await asyncio.to_thread(_upgrade, target)
    await fill(target, sessions)
    place = Target(*target)
    if place.postgres is None:
        return _on_sqlite(place.path, sessions)
    return await _on_postgres(place.postgres, place.path, sessions)


_TABLES = ("turns", "interactions")
_File = tuple[Path, list[tuple[int, int]], list[list[int]]]
"""Its frames, by offset and length; of each table, which columns hold bytes."""


def _on_sqlite(path: str, sessions: int) -> Figures:
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA synchronous=FULL")
    began = time.perf_counter()
    files: list[_File] = []
    for names in _batches(sessions):
        marks = ", ".join("?" * len(names))
        groups = [
            connection.execute(
                f"SELECT * FROM {table} WHERE tenant_id = 'default'"
                f" AND session_id IN ({marks})",
                names,
            ).fetchall()
            for table in _TABLES
        ]
        files.append(_write(path, len(files), groups))
        connection.execute("BEGIN IMMEDIATE")
        for table in _TABLES:
            connection.execute(
                f"DELETE FROM {table} WHERE tenant_id = 'default'"
                f" AND session_id IN ({marks})",
                names,
            )
        connection.execute("COMMIT")
    out = time.perf_counter()
    connection.execute("BEGIN IMMEDIATE")
    for number, groups in enumerate(_read(files), 1):
        for table, rows in zip(_TABLES, groups, strict=True):
            marks = ", ".join("?" * len(rows[0]))
            connection.executemany(
                f"INSERT INTO {table} VALUES ({marks})",
                rows,
            )
        if number % 50 == 0:
            connection.execute("COMMIT")
            connection.execute("BEGIN IMMEDIATE")
    connection.execute("COMMIT")
    return _rates(sessions, began, out)


async def _on_postgres(url: str, path: str, sessions: int) -> Figures:
    import asyncpg

    server = await asyncpg.connect(url)
    began = time.perf_counter()
    files: list[_File] = []
    for names in _batches(sessions):
        groups = [
            await server.fetch(
                f"SELECT * FROM {table} WHERE tenant_id = 'default'"
                " AND session_id = ANY($1)",
                names,
            )
            for table in _TABLES
        ]
        files.append(_write(path, len(files), groups))
        async with server.transaction():
            for table in _TABLES:
                await server.execute(
                    f"DELETE FROM {table} WHERE tenant_id = 'default'"
                    " AND session_id = ANY($1)",
                    names,
                )
    out = time.perf_counter()
    some: list[list[list[Any]]] = []
    for groups in _read(files):
        some.append(groups)
        if len(some) == 50:
            await _insert(server, some)
            some = []
    await _insert(server, some)
    rates = _rates(sessions, began, out)
    await server.close()
    return rates


async def _insert(server: Any, some: list[list[list[Any]]]) -> None:
    async with server.transaction():
        for groups in some:
            for table, rows in zip(_TABLES, groups, strict=True):
                marks = ", ".join(f"${n}" for n in range(1, len(rows[0]) + 1))
                await server.executemany(
                    f"INSERT INTO {table} VALUES ({marks})",
                    rows,
                )


def _batches(sessions: int) -> Iterator[list[str]]:
    for first in range(0, sessions, BATCH):
        yield [f"s-{n:07}" for n in range(first, min(first + BATCH, sessions))]


def _write(path: str, number: int, groups: list[Any]) -> _File:
    import orjson
    import zstandard

    pack = zstandard.ZstdCompressor(level=3, write_checksum=True).compress
    by_session: dict[str, list[list[Any]]] = {}
    for place, rows in enumerate(groups):
        for row in rows:
            whole = by_session.setdefault(row[1], [[] for _ in groups])
            whole[place].append([v.hex() if type(v) is bytes else v for v in row])
    target, places = Path(f"{path}.{number}.zst"), []
    with target.open("wb") as file:
        for whole in by_session.values():
            frame = pack(orjson.dumps(whole))
            places.append((file.tell(), len(frame)))
            file.write(frame)
        file.flush()
        os.fsync(file.fileno())
    hashes = [
        [place for place, value in enumerate(rows[0]) if type(value) is bytes]
        for rows in groups
    ]
    return target, places, hashes


def _read(files: list[_File]) -> Iterator[list[list[Any]]]:
    import orjson
    import zstandard

    unpack = zstandard.ZstdDecompressor().decompress
    for path, places, hashes in files:
        with path.open("rb") as file:
            for at, length in places:
                file.seek(at)
                groups = orjson.loads(unpack(file.read(length)))
                for rows, columns in zip(groups, hashes, strict=True):
                    for row in rows:
                        for column in columns:
                            row[column] = bytes.fromhex(row[column])
                yield groups


def _rates(sessions: int, began: float, out: float) -> Figures:
    back = time.perf_counter() - out
    return {
        "per_s": round(sessions / (out - began)),
        "restored_per_s": round(sessions / back),
    }
