"""Kills a worker, each time at another step, while it erases a user over two shards.

Each time the user is another one, with sessions in both shards, live and archived, and
an item at home. A worker that comes after takes the erasure up, and says what it finds.
Prints a line of JSON for each kill. Workers are forked from a process that has imported
everything and opened nothing.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from collections import Counter
from pathlib import Path
from typing import Any

from convstore import Store, StoreConfig, open_store
from convstore.errors import SessionErasedError
from convstore.vocabulary.sharding import shard_of
from tests.crash.campaign import _fork

# The step, and the how manieth time: of the first database that comes there, or of the
# second. Rows are gone with the commit between `before_commit` and `rows`.
KILLS = [
    ("erase.begin", 1),
    ("erase.before_commit", 1),
    ("erase.rows", 1),
    ("erase.before_commit", 2),
    ("erase.rows", 2),
    ("erase.rewrite.swapped", 1),
    ("erase.after_commit", 1),
    ("erase.after_commit", 2),
]


class Fate:
    """One user, and the kill while they are erased."""

    def __init__(self, settings: dict[str, Any], folder: Path, number: int) -> None:
        self.step, self.time = KILLS[number]
        self.user = f"u-{number}"
        names = [f"s-{number}-{n}" for n in range(40)]
        by_shard = [
            [i for i in names if shard_of("default", i, 2) == s] for s in (0, 1)
        ]
        self.names = [*by_shard[0][:2], *by_shard[1][:2]]
        self._config = StoreConfig(**settings)
        self.answer = folder / f"{number}.json"

    def live(self) -> None:
        """The worker that is killed."""
        asyncio.run(self._live())

    def come_after(self) -> None:
        """The worker that comes after."""
        asyncio.run(self._come_after())

    async def _live(self) -> None:
        times = Counter[str]()

        def on_step(step: str) -> None:
            times[step] += erasing
            if (step, times[step]) == (self.step, self.time):
                os.kill(os.getpid(), signal.SIGKILL)

        erasing = 0
        async with open_store(self._config, on_step=on_step) as store:
            for user, names in ((self.user, self.names), ("other", [f"o{self.user}"])):
                for name in names:
                    chat = store.conversation(name, user_id=user)
                    await chat.append(role="user", content=f"«{name}»")
            await store.items.put("app", self.user, "mine", user_id=self.user)
            await store.run_retention(older_than_s=0)
            await store.restore(self.names[0])
            await store.restore(self.names[2])
            erasing = 1
            await store.erase(user_id=self.user)

    async def _come_after(self) -> None:
        wrong: list[str] = []
        async with open_store(self._config) as store:
            begun = await self._receipts(store)
            await store.archive.recover(alone=True)
            for receipt in await self._receipts(store):
                if receipt.done_at is None or receipt.databases_waiting:
                    wrong.append("the erasure is not done")
                if receipt.found["sessions"] != 4 or receipt.found["items"] != 1:
                    wrong.append(f"counted otherwise: {receipt.found}")
            wrong += await self._left(store, bool(begun))
            if not (await store.archive.verify(deep=True)).ok:
                wrong.append("a segment does not verify")
            await store.sessions.get(f"o{self.user}")
        self.answer.write_text(json.dumps({"begun": len(begun), "wrong": wrong}))

    async def _receipts(self, store: Store) -> list[Any]:
        page = await store.erasures.list(limit=1)
        # Those of the users before are done.
        done = {json.loads(p.read_text())["last"] for p in _lasts(self.answer.parent)}
        found = [one for one in page.items if one.erasure_id not in done]
        last = self.answer.with_suffix(".last")
        if found:
            last.write_text(json.dumps({"last": found[0].erasure_id}))
        return found

    async def _left(self, store: Store, begun: bool) -> list[str]:
        wrong = []
        for name in self.names:
            try:
                await store.turns.append(name, role="user", content="late")
            except SessionErasedError:
                if not begun:
                    wrong.append(f"{name} is erased, and nothing says so")
            else:
                if begun:
                    wrong.append(f"{name} is there")
        items = (await store.items.list("app")).items
        if any(item.key == self.user for item in items) == begun:
            wrong.append("the item went another way than the sessions")
        return wrong


def _lasts(folder: Path) -> list[Path]:
    return sorted(folder.glob("*.last"))


def main() -> None:
    """Every kill in turn."""
    settings, folder = json.loads(sys.argv[1]), Path(sys.argv[2])
    for number in map(int, sys.argv[3:]):
        step, time = KILLS[number]
        fate = Fate(settings, folder, number)
        _, status = os.waitpid(_fork(fate.live), 0)
        killed = os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL
        _, status = os.waitpid(_fork(fate.come_after), 0)
        found = {"begun": 0, "wrong": ["the worker that came after failed"]}
        if status == 0:
            found = json.loads(fate.answer.read_text())
        told = {"step": f"{step} {time}", "killed": killed, **found}
        print(json.dumps(told), flush=True)


if __name__ == "__main__":
    main()
