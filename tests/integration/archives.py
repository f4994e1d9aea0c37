"""Steps that the tests of archive, purge, restore and erasure take."""

from __future__ import annotations

import asyncio
import re
import sqlite3
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from convstore import (
    CheckpointValue,
    CheckpointWrite,
    Choice,
    RetentionPolicy,
    SessionDocument,
    Store,
    StoreConfig,
    open_store,
)
from convstore.blobs.local import LocalBlobs
from convstore.segments.manifest import encode_manifest
from convstore.segments.reader import iterate_documents, read_manifest, segment_keys
from convstore.segments.writer import SegmentWriter
from convstore.store.repositories import Repositories
from convstore.vocabulary.clock import Clock
from tests.crash.invariants import check

DAY_S = 86_400.0
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
ERASED = re.compile(r"erased-[0-9a-f]{16}")
OpenAnother = Callable[..., Awaitable[Store]]


def policy(**settings: Any) -> RetentionPolicy:
    return RetentionPolicy(**settings)


async def fill(
    store: Repositories, session_id: str, user_id: str | None = "u-1"
) -> None:
    """A session with something in every field that can be lost."""
    await store.sessions.get_or_create(
        session_id,
        user_id=user_id,
        language="nl",
        tags=("vip", "zaak"),
        metadata={"place": "Enschede", "deep": {"b": [1, 2.5, None], "a": "é\u2028"}},
    )
    tools = [{"name": "find", "parameters": {"z": 1, "a": 2}}]
    first = await store.turns.append(
        session_id,
        role="user",
        content=f"Welke archieven zijn er in {session_id}? \U0001f5c4\r\n\ttab",
        slots={"place": "Enschede"},
        template_id="t-1",
        resolved_question="Welke archieven?",
        external_id="m-1",
        language="nl",
    )
    picture = await store.attachments.put(b"\0\x89PNG", media_type="image/png")
    await store.turns.append(
        session_id,
        role="assistant",
        content="Drie.",
        parts=[
            {"type": "text", "text": "Drie."},
            {"b": 1, "a": -0.5},
            {"url": picture},
        ],
        model="m-large",
        finish_reason="stop",
        tokens_in=12,
        tokens_out=3,
        cost_micros=42,
        tools=tools,
        results=[{"title": "Stadsarchief", "score": 0.25}],
        metadata={"k": "v"},
        payload=b"\0\xff nothing that a text could hold",
        payload_format="openai-agents",
    )
    await store.turns.append(
        session_id, role="assistant", content="Vier.", parent_seq=first.seq
    )
    await store.interactions.record(
        session_id,
        action="feedback",
        turn_seq=2,
        feedback="incorrect",
        score=-1.5,
        reason="te weinig",
        content="het zijn er vier",
        actor_id="u-1",
        shown={"position": 1, "others": [3]},
        surface="map",
        external_id="f-1",
    )
    await store.interactions.record(
        session_id,
        action="choose",
        choice=Choice(3, (2,)),
        actor_kind="model",
    )
    await store.interactions.record(
        session_id, action="feedback", turn_seq=2, feedback="correct", supersedes=1
    )
    await store.graph_states.put(session_id, {"nodes": [{"id": "n", "x": 1e-7}]})
    await store.graph_states.put(session_id, {"nodes": []}, turn_seq=3)
    await store.graph_states.put(session_id, [1, "two"], namespace="plan")
    await store.sessions.patch(
        session_id, adapter_state={"z": {"b": [1.0, None], "a": {}}, "frame": {"n": 1}}
    )
    await store.items.put("step", "1", {"n": None, "a": [1.0]}, session_id=session_id)
    await store.items.put("a", "z", None, session_id=session_id, ttl_s=10 * DAY_S)
    await put_checkpoints(store, session_id)
    await store.holds.place(session_id, reason="case 7", actor_id="jurist")
    await store.holds.release(session_id, actor_id="jurist")


async def put_checkpoints(store: Repositories, session_id: str) -> None:
    """Two steps of a run, with a value of each size, a list and what a task wrote."""
    await store.checkpoints.end(session_id, through="b")
    said = [CheckpointValue("json", b'"a"'), CheckpointValue("msgpack", b"\0\xff")]
    for step in (1, 2):
        await store.checkpoints.put(
            session_id,
            f"c-{step}",
            parent_id=f"c-{step - 1}" if step > 1 else None,
            run_id="r-1",
            body=CheckpointValue("msgpack", b"\x80"),
            values={
                "small": CheckpointValue("null", b""),
                "large": CheckpointValue("json", b"x" * 500),
            },
            lists={"said": said[:step]},
            metadata={"step": step, "source": None},
        )
    write = CheckpointWrite("t-1", -1, "error", said[1], "~t")
    await store.checkpoints.put_writes(session_id, "c-2", [write], namespace="child|1")


async def archived(store: Store, *session_ids: str) -> None:
    """Sessions that are in the archive, and nowhere else."""
    for session_id in session_ids:
        await fill(store, session_id)
    report = await store.run_retention(older_than_s=0)
    assert report.problems == ()
    assert report.purged >= len(session_ids)


async def document(store: Store, session_id: str) -> SessionDocument:
    """One session, live or archived."""
    found = [d async for d in store.documents(session_ids=[session_id])]
    assert len(found) == 1
    return found[0]


async def documents(store: Store) -> dict[str, SessionDocument]:
    return {d.session.id: d async for d in store.documents()}


def timeless(found: SessionDocument) -> SessionDocument:
    """Without what archive and restore are documented to change."""
    session = replace(
        found.session, version=0, updated_at=EPOCH, last_activity_at=EPOCH
    )
    return replace(found, session=session)


def unnamed(found: SessionDocument, was: str) -> SessionDocument:
    """The same for an actor as for the name that an erasure gives them."""
    acts = tuple(
        replace(act, actor_id="somebody")
        if act.actor_id and (act.actor_id == was or ERASED.fullmatch(act.actor_id))
        else act
        for act in found.interactions
    )
    return timeless(replace(found, interactions=acts))


async def states(store: Store) -> dict[str, str]:
    """The state of every session of the tenant."""
    found = {}
    for state in ("active", "archived", "deleted", "erased"):
        page = await store.sessions.list(state=state, limit=1000)  # type: ignore[arg-type]
        found |= {session.id: session.state for session in page.items}
    return found


def raw(url: str, statement: str) -> list[tuple[Any, ...]]:
    """Run SQL behind the library's back."""
    if url.startswith("sqlite"):
        connection = sqlite3.connect(url.removeprefix("sqlite:///"), timeout=30)
        try:
            with connection:
                return connection.execute(statement).fetchall()
        finally:
            connection.close()
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(lambda: asyncio.run(_raw(url, statement))).result()


async def _raw(url: str, statement: str) -> list[tuple[Any, ...]]:
    import asyncpg

    connection = await asyncpg.connect(url)
    try:
        return [tuple(row) for row in await connection.fetch(statement)]
    finally:
        await connection.close()


def sound(url: str, archive: Path, *, settled: bool = True) -> None:
    """The invariants hold, seen from outside."""
    with ThreadPoolExecutor(1) as thread:
        wrong = thread.submit(check, url, archive, settled=settled).result()
    assert not wrong, "\n".join(wrong)


def segment_files(archive: Path) -> list[Path]:
    return sorted(archive.glob("segments/**/*.jsonl.zst"))


def everything_under(archive: Path) -> bytes:
    """The bytes of every file of the archive, segments unpacked."""
    import zstandard

    data = b""
    for path in sorted(path for path in archive.rglob("*") if path.is_file()):
        one = path.read_bytes()
        if path.suffix == ".zst":
            one = (
                zstandard.ZstdDecompressor()
                .stream_reader(one, read_across_frames=True)
                .read()
            )
        data += one
    return data


class Steps:
    """A step hook that remembers, and interrupts where it is told to."""

    def __init__(self) -> None:
        self.reached: list[str] = []
        self._orders: dict[str, Callable[[], object]] = {}

    def at(self, step: str, action: Callable[[], object]) -> None:
        """Do something at the next time of a step, once."""
        self._orders[step] = action

    def __call__(self, step: str) -> None:
        self.reached.append(step)
        action = self._orders.pop(step, None)
        if action is not None:
            action()


class Died(BaseException):
    """Stands for the end of the process: nothing catches it to clean up."""


async def die_at(hook: Steps, step: str, call: Awaitable[Any]) -> None:
    """Make a call that ends at a step as if the process had been killed there."""

    def die() -> None:
        raise Died

    hook.at(step, die)
    with pytest.raises(Died):
        await call


class Elsewhere:
    """Another process's store, in a thread with an event loop of its own.

    What is asked of it from a step hook may have to wait for a lock that the hook's own
    store holds: then the hook goes on, and the answer comes later.
    """

    def __init__(
        self,
        config: StoreConfig,
        clock: Clock,
        on_step: Callable[[str], None] | None = None,
    ) -> None:
        self._config, self._clock = config, clock
        self._on_step = on_step or (lambda _: None)
        self._thread = ThreadPoolExecutor(1, "elsewhere")
        self._loop = asyncio.Runner()
        self._opening: Any = None
        self._bound: list[Future[Any]] = []
        self.store: Store = self._thread.submit(self._open).result()

    def _open(self) -> Store:
        self._opening = open_store(
            self._config, clock=self._clock, on_step=self._on_step
        )
        return self._loop.run(self._opening.__aenter__())

    def ask(
        self, call: Callable[[Store], Awaitable[Any]], patience_s: float = 0.25
    ) -> None:
        """Begin a call and wait for it a little."""

        async def run() -> Any:
            return await call(self.store)

        asked = self._thread.submit(lambda: self._loop.run(run()))
        self._bound.append(asked)
        try:
            asked.exception(patience_s)
        except TimeoutError:
            return

    async def answers(self) -> list[Any]:
        """What became of every call so far: results, and errors as values."""
        found = []
        for asked in self._bound:
            wrapped = asyncio.wrap_future(asked)
            found += await asyncio.gather(wrapped, return_exceptions=True)
        self._bound.clear()
        return found

    def close(self) -> None:
        self._thread.submit(
            lambda: self._loop.run(self._opening.__aexit__(None, None, None))
        ).result()
        self._thread.submit(self._loop.close).result()
        self._thread.shutdown()


def damage(path: Path, *, at: float = 0.5, bit: int = 1) -> None:
    """Flip a bit of a file, as a failing disk does."""
    data = bytearray(path.read_bytes())
    data[int(len(data) * at)] ^= bit
    path.write_bytes(bytes(data))


def leave_out_of_manifest(store: Store, archive: Path, session_id: str) -> None:
    """Let a manifest vouch for all sessions of its segment but one."""
    blobs = store._parts.archive.context.blobs
    (key,) = segment_keys(blobs)
    manifest = read_manifest(blobs, key)
    left = [e for e in manifest.entries if e.session_id != session_id]
    entries = tuple(replace(e, ordinal=place) for place, e in enumerate(left))
    (path,) = archive.glob("segments/**/*.manifest.json")
    path.write_bytes(encode_manifest(replace(manifest, entries=entries)))


def exchange(store: Store, archive: Path, scratch: Path, *, without: str) -> None:
    """Put a sound segment of the same name, which lacks a session, in its place."""
    blobs, other = store._parts.archive.context.blobs, LocalBlobs(scratch / "forged")
    (key,) = segment_keys(blobs)
    manifest = read_manifest(blobs, key)
    with SegmentWriter(
        other,
        writer="forger 1",
        created_at=manifest.created_at,
        segment_id=manifest.segment_id,
    ) as writer:
        for entry, found in iterate_documents(blobs, manifest):
            if entry.session_id != without:
                writer.add(found)
        writer.finish()
    for forged in (scratch / "forged").glob("segments/**/*.*"):
        (archive / forged.relative_to(scratch / "forged")).write_bytes(
            forged.read_bytes()
        )


def ids(prefix: str, count: int) -> Sequence[str]:
    return [f"{prefix}-{number}" for number in range(count)]
