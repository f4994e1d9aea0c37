"""Beyond one machine: an archive in a bucket, several stores, exports on engines.

There is little to be met here: what counts is what each of them costs beside the plain
way, in processor time, which other programs on the machine do not change.
"""

from __future__ import annotations

import asyncio
import json
import os
import resource
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, suppress
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from benchmarks.bench import Bench, Figures, Goal, Row, times
from benchmarks.contestants import TEXT, Target
from benchmarks.processor import server_seconds

STORES = (1, 2, 4)
SESSIONS = 48
"""Together, however many stores share them."""
ENGINES = {"spark": "pyspark", "ray": "ray"}
_ROOT = Path(__file__).resolve().parents[2]


async def archived(
    target: list[Any], sessions: int, restored: int, endpoint: str | None
) -> Figures:
    """Archive all, then restore some, one after the other; a bucket or a folder."""
    from benchmarks.archiving.conversations import fill
    from convstore import StoreConfig, open_store
    from convstore.db.migrate import upgrade
    from convstore.policy import ObjectStoragePolicy

    place = Target(*target)
    await asyncio.to_thread(upgrade, place.url)
    await fill(target, sessions)
    where = str(Path(place.path).parent / "archive")
    if endpoint is not None:
        os.environ |= {"AWS_ACCESS_KEY_ID": "k", "AWS_SECRET_ACCESS_KEY": "s"}
        where = f"s3://archive/{Path(place.path).parent.name}"  # one a database
    config = StoreConfig(
        url=place.url,
        archive_dir=where,
        object_storage=ObjectStoragePolicy(endpoint=endpoint),
    )
    async with open_store(config) as store:
        began = time.perf_counter(), time.process_time()
        report = await store.run_retention(older_than_s=0)
        archiving = _since(began, report.purged)
        began = time.perf_counter(), time.process_time()
        for number in range(0, sessions, sessions // restored):
            await store.restore(f"s-{number:07}")
        restoring = _since(began, len(range(0, sessions, sessions // restored)))
    return {"archive": archiving, "restore": restoring}


def _since(began: tuple[float, float], count: int) -> Figures:
    wall, spent = time.perf_counter() - began[0], time.process_time() - began[1]
    return {
        "per_s": round(count / wall),
        "ms": round(wall / count * 1e3, 2),
        "cpu_us": round(spent / count * 1e6),
        "count": count,
    }


async def together(target: list[Any], stores: int, apart: bool, turns: int) -> Figures:
    """Appends to so many stores, all in one process or each in one of its own."""
    from convstore.db.migrate import upgrade

    url = Target(*target).postgres
    assert url is not None
    more = "&" if "?" in url else "?"
    urls = [f"{url}{more}schema=s{number}" for number in range(stores)]
    for each in urls:
        await asyncio.to_thread(upgrade, each)
    shares = [[each] for each in urls] if apart else [urls]
    writers = [await _begin(share, SESSIONS // stores, turns) for share in shares]
    for writer in writers:
        await _line(writer)
    before = await server_seconds(url)
    for writer in writers:
        _stdin(writer).write(b"go\n")
    told = [json.loads(await _line(writer)) for writer in writers]
    server = await server_seconds(url) - before
    for writer in writers:
        _stdin(writer).close()
        await writer.wait()
    count = sum(one["count"] for one in told)
    wall = max(one["ended"] for one in told) - min(one["began"] for one in told)
    return {
        "per_s": round(count / wall),
        "client_us": round(sum(one["cpu_s"] for one in told) / count * 1e6),
        "server_us": round(server / count * 1e6),
    }


async def _begin(urls: Sequence[str], sessions: int, turns: int) -> Any:
    asked = json.dumps({"urls": urls, "sessions": sessions, "turns": turns})
    return await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "benchmarks.child", f"{__name__}:writer", asked),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )


def _stdin(writer: Any) -> Any:
    return writer.stdin


async def _line(writer: Any) -> bytes:
    line: bytes = await writer.stdout.readline()
    if not line:
        raise RuntimeError("a writer ended before it was done")
    return line


async def writer(urls: list[str], sessions: int, turns: int) -> Figures:
    """One process: opens its stores, is told to go, appends, and waits to be let go."""
    from convstore import open_store

    async with _all_open([open_store(url) for url in urls]) as stores:
        chats = [(store, f"s-{n}") for store in stores for n in range(sessions)]
        for store, name in chats:
            await store.sessions.get_or_create(name)
            await store.turns.append(name, role="user", content=TEXT)
        print("ready", flush=True)
        await asyncio.to_thread(sys.stdin.readline)

        async def one(store: Any, name: str) -> None:
            for _ in range(turns):
                await store.turns.append(name, role="user", content=TEXT)

        began, spent = time.time(), time.process_time()
        await asyncio.gather(*(one(*chat) for chat in chats))
        done = {
            "count": len(chats) * turns,
            "began": began,
            "ended": time.time(),
            "cpu_s": time.process_time() - spent,
        }
        print(json.dumps(done), flush=True)
        await asyncio.to_thread(sys.stdin.read)
    return {}


def _all_open(opening: list[Any]) -> Any:
    from contextlib import AsyncExitStack, asynccontextmanager

    @asynccontextmanager
    async def opened() -> Any:
        async with AsyncExitStack() as stack:
            yield [await stack.enter_async_context(one) for one in opening]

    return opened()


async def exported(target: list[Any], sessions: int, engines: list[str]) -> Figures:
    """An export of archived sessions, by one process and by each engine."""
    return await asyncio.to_thread(_exported, Target(*target), sessions, engines)


def _exported(place: Target, sessions: int, engines: list[str]) -> Figures:
    from benchmarks.judged import fill
    from convstore.blocking import open_store

    fill(place.url, sessions)
    folder = Path(place.path).parent
    with open_store(place.url) as store:
        store.run_retention(older_than_s=0)
    commands = {"one process": ["-m", "convstore", "export"]}
    commands |= {name: ["-m", f"examples.{name}_export"] for name in engines}
    found = {}
    for name, command in commands.items():
        to = folder / name.replace(" ", "-")
        found[name] = _timed([*command, "preference", "--to", str(to)], place.url)
        lines = sum(p.read_bytes().count(b"\n") for p in to.glob("preference/*.jsonl"))
        lines = lines or sum(p.read_bytes().count(b"\n") for p in to.rglob("*.jsonl"))
        found[name]["rows"] = lines
        found[name]["per_s"] = round(lines / found[name]["seconds"])
        found[name]["cpu_us"] = round(found[name]["cpu_s"] / max(lines, 1) * 1e6)
    return found


def _timed(command: list[str], url: str) -> Figures:
    environment = {
        **os.environ,
        "CONVSTORE_URL": url,
        "PYSPARK_PYTHON": sys.executable,
        "SPARK_LOCAL_IP": "127.0.0.1",
        "PYTHONPATH": os.pathsep.join(
            filter(None, (str(_ROOT), os.environ.get("PYTHONPATH")))
        ),
    }
    _adopt_orphans()
    before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    subprocess.run(
        [sys.executable, *command], check=True, env=environment, capture_output=True
    )
    wall = time.perf_counter() - began
    _wait_for_orphans()
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    spent = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return {"seconds": round(wall, 1), "cpu_s": round(spent, 1)}


def _adopt_orphans() -> None:
    """Become the parent of what a command leaves behind, as the processes of an engine
    that its own do not wait for: who waits is told what they took. Linux has it."""
    import ctypes

    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(36, 1, 0, 0, 0)  # PR_SET_CHILD_SUBREAPER


def _wait_for_orphans() -> None:
    deadline = time.monotonic() + 30
    with suppress(ChildProcessError):
        while time.monotonic() < deadline:
            if os.waitpid(-1, os.WNOHANG) == (0, 0):
                time.sleep(0.1)


def measure(bench: Bench) -> Iterable[Row]:
    """Each beside the plain way of the same run."""
    yield from _buckets(bench)
    if bench.postgres:
        yield from _stores(bench)
    yield from _engines(bench)


def _buckets(bench: Bench) -> Iterator[Row]:
    from tests.servers import S3Server

    sessions, restored = bench.scaled(5_000, 500), bench.scaled(100, 20)
    asked = {"sessions": sessions, "restored": restored}
    with ExitStack() as stack:
        server = S3Server()
        stack.callback(server.stop)
        server.start()
        for database in bench.databases:
            work = f"{__name__}:archived"
            disk = bench.run(work, database, endpoint=None, **asked)
            moto = bench.run(work, database, endpoint=server.url, **asked)
            for stage in ("archive", "restore"):
                ours, plain = moto[stage], disk[stage]
                ratio = times(ours["cpu_us"], plain["cpu_us"])
                yield Row(
                    f"{stage} with the archive in a bucket (moto), beside a folder",
                    database,
                    "under 3 x the processor time",
                    f"{ratio} x ({ours['cpu_us']:,} against {plain['cpu_us']:,} µs a "
                    f"session; {ours['ms']} against {plain['ms']} ms)",
                    ratio < 3,
                    {"bucket": ours, "folder": plain},
                )


def _stores(bench: Bench) -> Iterator[Row]:
    turns = bench.scaled(200, 40)
    for apart in (False, True):
        alone: Figures = {}
        for stores in STORES:
            asked = {"stores": stores, "apart": apart, "turns": turns}
            found = bench.run(f"{__name__}:together", "PostgreSQL", **asked)
            alone = alone or found
            ratio = times(
                found["client_us"] + found["server_us"],
                alone["client_us"] + alone["server_us"],
            )
            where = "each in its process" if apart else "in one process"
            yield Row(
                f"{SESSIONS} sessions over {stores} stores, {where}, beside one store",
                "PostgreSQL",
                "under 4 x the processor time",
                f"{ratio} x ({found['client_us']} µs an append here, "
                f"{found['server_us']} on the server; {found['per_s']:,} appends/s)",
                ratio < 4,
                found,
            )


def _engines(bench: Bench) -> Iterator[Row]:
    engines = [name for name, package in ENGINES.items() if find_spec(package)]
    bench.missing |= {f"exports on {n}" for n in ENGINES if n not in engines}
    if not engines:
        return
    sessions = bench.scaled(5_000, 300)
    found = bench.run(
        f"{__name__}:exported", "SQLite", sessions=sessions, engines=engines
    )
    plain = found["one process"]
    for name in engines:
        ours = found[name]
        yield Row(
            f"export on {name}, beside one process",
            "SQLite",
            "as many rows",
            f"{times(ours['cpu_s'], plain['cpu_s'])} x the processor time "
            f"({ours['cpu_us']:,} against {plain['cpu_us']:,} µs a row, its start "
            f"included; {ours['per_s']:,} against {plain['per_s']:,} rows/s)",
            ours["rows"] == plain["rows"] > 0,
            {name: ours, "one process": plain},
        )


GOAL = Goal("scale", measure)
