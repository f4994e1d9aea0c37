"""Kills a worker once at every announced step, on purpose and not by chance.

One database and one archive, a folder or a bucket, for all of it: each step has
sessions of its own, a worker that is killed there, and one that comes after, puts
things in order and compares every session with what was acknowledged. Prints a line of
JSON for each step.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import re
import signal
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

from sqlalchemy import Connection, text

from convstore import SessionDocument, Store, StoreConfig, open_store
from convstore.archive.steps import STEPS
from convstore.blobs.selection import blob_store
from convstore.policy import RetentionPolicy, SearchPolicy
from convstore.vocabulary.clock import ManualClock
from convstore.vocabulary.documents import encode_document
from tests.bucket_mirror import mirrored
from tests.crash.campaign import _fork
from tests.crash.invariants import check
from tests.crash.settling import part_from_archive
from tests.integration.archives import (
    DAY_S,
    ERASED,
    Steps,
    document,
    documents,
    everything_under,
    fill,
    timeless,
)

_START = datetime(2026, 1, 1, tzinfo=UTC)
HOUR_S = 3_600.0
_RENAMING = ("erase.rename", "erase.renamed", "erase.cancelled")
OF_A_USER = ("erase.items", "erase.actors_noted", *_RENAMING)
"""Steps of an erasure that only that of a user passes."""
LEFT_UNFINISHED = ("compact.sealed", "compact.resumed", "compact.moved")
"""Steps at which a joined segment is there, and old ones that it is to replace."""


_SECRET = re.compile(r"u-\d\d-secret")


class Interrupted(BaseException):
    """Ends a job as a kill would, in a process that lives on."""


def config_of(url: str, archive: str) -> StoreConfig:
    policy = RetentionPolicy(exports=("messages",), readable_json=True)
    search = SearchPolicy("deferred")
    return StoreConfig(url=url, archive_dir=archive, retention=policy, search=search)


class Fate:
    """What happens before a step is reached, and at it."""

    def __init__(self, url: str, archive: str, folder: Path, number: int) -> None:
        self.step = STEPS[number]
        # Two sessions: one that an erasure takes, and its neighbour in the segment.
        self.names = (f"secret-{number:02}", f"s-{number:02}")
        self._owners = dict.fromkeys(self.names, "u-1")
        if self.step in OF_A_USER:
            self._owners[self.names[0]] = f"u-{number:02}-secret"
        self._archive, self._folder, self._hook = archive, folder, Steps()
        # Steps lie days apart: leases have ended, and what is superseded is due.
        self._clock = ManualClock(_START + timedelta(days=5 * number))
        self._config = config_of(url, archive)
        self.said = folder / f"said-{number:02}.json"

    def live(self) -> None:
        """The worker that is killed."""
        asyncio.run(self._live())

    def come_after(self) -> None:
        """The worker that comes after; its findings are printed."""
        asyncio.run(self._come_after())

    async def _live(self) -> None:
        async with open_store(
            self._config, clock=self._clock, on_step=self._hook
        ) as store:
            async with store.transaction() as tx:
                for name in self.names:
                    await fill(tx, name, self._owners[name])
                if self.step in OF_A_USER:  # what its owner keeps and does elsewhere
                    owner = self._owners[self.names[0]]
                    await tx.items.put("app", self.names[0], 1, user_id=owner)
                    act = {"action": "copy", "actor_id": owner}
                    await tx.interactions.record(self.names[1], **act)
            said = {name: _text(d) for name, d in (await documents(store)).items()}
            self.said.write_text(json.dumps(said))
            await self._towards(store)
        raise AssertionError(f"{self.step} was never reached")

    async def _towards(self, store: Store) -> None:
        kind = self.step.partition(".")[0]
        await self._unsettle(store, kind)
        if self.step == "recover.remove":
            await self._cut_short("seal.begin", store.run_retention(older_than_s=0))
            self._clock.advance(DAY_S)
        elif self.step == "recover.purge":
            done = "seal.after_commit"
            await self._cut_short(done, store.run_retention(older_than_s=0))
        elif kind in ("restore", "erase", "gc"):
            await store.run_retention(older_than_s=0)
        elif kind == "compact":  # a segment for each
            await store.run_retention(older_than_s=0, batch=1)
        if self.step == "compact.resumed":
            await self._cut_short("compact.sealed", store.archive.compact())
        if kind == "gc":
            for name in self.names:
                await store.restore(name)
            self._clock.advance(3 * DAY_S)
        if kind == "erase":
            await self._towards_erasure(store)
        self._hook.at(self.step, lambda: os.kill(os.getpid(), signal.SIGKILL))
        call = {
            "recover": lambda: store.archive.recover(alone=True),
            "gc": lambda: store.archive.recover(alone=True),
            "restore": lambda: store.restore(self.names[0]),
            "adopt": lambda: store.archive.adopt(),
            "compact": lambda: store.archive.compact(),
            "index": lambda: store.search_index.run(),
            "erase": lambda: store.erase(session_id=self.names[0]),
            "user": lambda: store.erase(user_id=self._owners[self.names[0]]),
        }.get(
            "user" if self.step in OF_A_USER else kind,
            lambda: store.run_retention(older_than_s=0),
        )
        await call()

    async def _unsettle(self, store: Store, kind: str) -> None:
        """Let there be something to claim, or to adopt."""
        if kind not in ("folder", "adopt"):
            return
        if kind == "adopt":
            await part_from_archive(store)
            return

        def work(connection: Connection) -> None:
            connection.execute(text("DELETE FROM archive_folder"))

        await store._parts.backend.write(work)
        # As in a database of before the marks, which is claimed for the first time.
        blobs = blob_store(self._archive, self._config.object_storage)
        for key in ("archive.json", *blobs.keys("generations/")):
            blobs.delete(key)

    async def _towards_erasure(self, store: Store) -> None:
        if self.step == "erase.index":
            await store.search_index.run()
        elif self.step == "erase.actors_noted":
            await self._forget_actors(store)
        elif self.step in _RENAMING:
            await store.restore(self.names[1])

    async def _forget_actors(self, store: Store) -> None:
        """As a release of before leaves it: nobody knows whom copies name."""

        def work(connection: Connection) -> None:
            connection.execute(text("UPDATE archive_entries SET actors_noted = NULL"))
            connection.execute(text("DELETE FROM archived_actors"))

        await store._parts.backend.write(work)

    async def _cut_short(self, step: str, call: Awaitable[object]) -> None:
        def interrupt() -> None:
            raise Interrupted

        self._hook.at(step, interrupt)
        try:
            await call
        except Interrupted:
            return
        raise AssertionError(f"{step} was never reached")

    async def _come_after(self) -> None:
        wrong = await self._gone_on()
        self._clock.advance(4 * DAY_S)
        async with open_store(self._config, clock=self._clock) as store:
            if self.step.startswith("adopt"):
                await store.archive.adopt()
            await store.archive.recover(alone=True)
            again = await store.archive.recover(alone=True)
            if again != type(again)():
                wrong.append(f"recovery found more to do: {again}")
            wrong += await self._lost(store)
            await store.run_retention(older_than_s=0)
            await store.search_index.run()
            index = await store.search_index.check()
            if not index.ok:
                wrong.append(f"the index lacks something: {index}")
            if not (await store.archive.verify(deep=True)).ok:
                wrong.append("a segment does not verify")
        answer = self.said.with_suffix(".wrong")
        answer.write_text(json.dumps(wrong))

    async def _gone_on(self) -> list[str]:
        """What the next compaction, an hour later, does not bring to its end of one
        that was killed."""
        if not self.step.startswith("compact."):
            return []
        self._clock.advance(HOUR_S)
        async with open_store(self._config, clock=self._clock) as store:
            report = await store.archive.compact()
            places = {
                one.segment_id
                for one in (await store.archive.list(limit=1_000)).items
                if one.session_id in self.names
            }
        wrong = []
        if report.resumed != (self.step in LEFT_UNFINISHED):
            wrong.append(f"compaction did not go on: {report}")
        if len(places) != 1:
            wrong.append(f"the segments were not joined: {places}")
        return wrong

    async def _lost(self, store: Store) -> list[str]:
        """What is not as it was acknowledged, or is there and was erased."""
        wrong = []
        found = await documents(store)
        bytes_left = everything_under(self._mirror("after"))
        for name, said in json.loads(self.said.read_text()).items():
            if name in found:
                # Whose name is gone has another one, the same wherever they were.
                if _nameless(_text(found[name])) != _nameless(said):
                    wrong.append(f"{name} is not what was acknowledged")
            elif not (self.step.startswith("erase") and name == self.names[0]):
                wrong.append(f"{name} is lost")
            elif f"in {name}?".encode() in bytes_left:
                wrong.append(f"{name} was erased and is in the archive")
        if self.step in OF_A_USER:
            wrong += await self._left_of_user(store, bytes_left)
        return wrong

    async def _left_of_user(self, store: Store, archive: bytes) -> list[str]:
        """What is there of a user whose erasure was begun before the kill."""
        if self.step == "erase.actors_noted":
            return []
        wrong = []
        user = self._owners[self.names[0]]
        if any(i.user_id == user for i in (await store.items.list()).items):
            wrong.append("the erased user's items are there")
        acts = (await document(store, self.names[1])).interactions
        if any(act.actor_id == user for act in acts) or user.encode() in archive:
            wrong.append("the erased user is named")
        return wrong

    def _mirror(self, name: str) -> Path:
        folder = self._folder / f"{self.said.stem}-{name}"
        return mirrored(self._archive, folder, self._config.object_storage)

    def look(self) -> None:
        """Check what is there from outside; adds to what was found."""
        seen = check(self._config.url, self._mirror("end"), settled=True)
        answer = self.said.with_suffix(".wrong")
        answer.write_text(json.dumps(self.wrong() + seen))

    def wrong(self) -> list[str]:
        """What the worker that came after found."""
        found: list[str] = json.loads(self.said.with_suffix(".wrong").read_text())
        return found


def _text(document: SessionDocument) -> str:
    return encode_document(timeless(document)).decode()


def _nameless(said: str) -> str:
    return _SECRET.sub("u-secret", ERASED.sub("u-secret", said))


def main() -> None:
    """Every step in turn."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--url", required=True, help="of a fresh migrated database")
    parser.add_argument("--archive", required=True)
    parser.add_argument("--folder", type=Path, required=True, help="For what was said.")
    parser.add_argument("--step", action="append", help="Only this one; repeatable.")
    asked = parser.parse_args()
    for number, step in enumerate(STEPS):
        if asked.step and step not in asked.step:
            continue
        fate = Fate(asked.url, asked.archive, asked.folder, number)
        status = _ended(fate.live)
        killed = os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL
        wrong = [] if killed else ["its worker was not killed there"]
        if _ended(fate.come_after):
            wrong.append("the worker that came after failed")
        elif _ended(fate.look):
            wrong.append("what it left could not be looked at")
        else:
            wrong += fate.wrong()
        print(json.dumps({"step": step, "wrong": wrong}), flush=True)


def _ended(work: Callable[..., None], *args: object) -> int:
    """Run in a process of its own; how it ended."""
    _, status = os.waitpid(_fork(work, *args), 0)
    return status


if __name__ == "__main__":
    main()
