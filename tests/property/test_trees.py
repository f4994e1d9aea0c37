"""Random trees of turns, by appends, repeats, pops and switches, against a plain model,
archived and restored in between."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from convstore import RetentionPolicy, Store, StoreConfig, Turn, open_store
from convstore.errors import TurnNotFoundError, VersionConflictError
from convstore.vocabulary.clock import ManualClock
from tests.crash.invariants import check

numbers = st.integers(0, 9)
steps = st.one_of(
    st.tuples(st.just("append"), st.none() | numbers, st.dictionaries(
        st.sampled_from("abc"), st.sampled_from("xyz"), max_size=2)),
    st.tuples(st.just("repeat"), numbers),
    st.tuples(st.just("pop"), st.none() | numbers),
    st.tuples(st.just("switch"), numbers, st.sampled_from([None, "clear", "compact"])),
    st.tuples(st.just("restore")),
)  # fmt: skip


@dataclass
class Tree:
    """What a session with branches is, without a database."""

    parents: list[int] = field(default_factory=list)
    slots: list[dict[str, str]] = field(default_factory=list)
    acts: list[tuple[str, int | None]] = field(default_factory=list)
    head: int = 0

    def path(self, seq: int) -> list[int]:
        return [*self.path(self.parents[seq - 1]), seq] if seq else []

    def current_slots(self) -> dict[str, str]:
        found: dict[str, str] = {}
        for seq in self.path(self.head):
            found |= self.slots[seq - 1]
        return found

    def append(self, parent: int | None, slots: dict[str, str]) -> None:
        self.parents.append(self.head if parent is None else parent)
        self.slots.append(slots)
        self.head = len(self.parents)

    def leave(self, seq: int, action: str | None) -> None:
        if action is not None and self.head:
            self.acts.append((action, self.head))
        self.head = seq


class Pair:
    """A session and its model: what is done to one is done to the other."""

    def __init__(self, store: Store, session_id: str) -> None:
        self.store, self.id, self.tree = store, session_id, Tree()

    async def append(self, parent: int | None, slots: dict[str, str]) -> None:
        await self._append(len(self.tree.parents) + 1, slots, parent)
        self.tree.append(parent, slots)

    async def repeat(self, seq: int) -> None:
        if not 1 <= seq <= len(self.tree.parents):
            return
        turn = await self._append(seq, self.tree.slots[seq - 1], None)
        assert turn.seq == seq
        if self.tree.parents[seq - 1] == self.tree.head:
            self.tree.head = seq

    async def _append(
        self, number: int, slots: dict[str, str], parent: int | None
    ) -> Turn:
        return await self.store.turns.append(
            self.id, role="user", content=f"{number}", slots=slots,
            external_id=f"m-{number}", parent_seq=parent,
        )  # fmt: skip

    async def pop(self, expected: int | None) -> None:
        tip = self.tree.head
        if expected is not None and expected != tip:
            with pytest.raises(VersionConflictError) as caught:
                await self.store.turns.pop(self.id, expected_head=expected)
            assert caught.value.actual == tip
            return
        turn = await self.store.turns.pop(self.id, expected_head=expected)
        assert (turn.seq if turn else 0) == tip
        if tip:
            self.tree.leave(self.tree.parents[tip - 1], "pop")

    async def switch(self, seq: int, action: Any) -> None:
        await self.store.turns.switch(self.id, seq, action=action)
        if seq != self.tree.head:
            self.tree.leave(seq, action)

    async def restore(self) -> None:
        await self.store.run_retention(older_than_s=0)
        await self.store.restore(self.id)

    async def compare(self) -> None:
        tree, turns = self.tree, self.store.turns
        session = await self.store.sessions.get(self.id)
        assert (session.head_seq or 0, session.turn_count) == (
            tree.head, len(tree.parents)
        )  # fmt: skip
        assert session.current_slots == tree.current_slots()
        path = tree.path(tree.head)
        assert [t.seq for t in await turns.branch(self.id)] == path
        assert [t.seq for t in await turns.window(self.id, limit=3)] == path[-3:]

    async def compare_all(self) -> None:
        tree, turns = self.tree, self.store.turns
        every = range(1, len(tree.parents) + 1)
        for seq in every:
            path = tree.path(seq)
            found: list[int] = []
            before = None
            while page := await turns.branch(self.id, head=seq, before=before, limit=2):
                found = [turn.seq for turn in page] + found
                before = found[0]
            assert found == path
        children = await turns.children(self.id, [0, *every])
        siblings = await turns.siblings(self.id, every)
        for seq in (0, *every):
            wanted = [n for n in every if tree.parents[n - 1] == seq]
            assert [turn.seq for turn in children[seq]] == wanted
        for seq in every:
            assert siblings[seq] == children[tree.parents[seq - 1]]
        acts = (await self.store.interactions.list(self.id)).items
        assert [(act.action, act.turn_seq) for act in acts] == tree.acts


@pytest.mark.mostly_slow("sqlite")
def test_branches_are_those_of_a_plain_tree(
    database_url: str, archive_dir: Path
) -> None:
    config = StoreConfig(
        url=database_url, archive_dir=archive_dir, retention=RetentionPolicy()
    )
    ids = count()
    with asyncio.Runner() as runner:
        opening = open_store(config, clock=ManualClock())
        store = runner.run(opening.__aenter__())

        @settings(
            max_examples=25,
            suppress_health_check=[HealthCheck.too_slow],
        )
        @given(st.lists(steps, max_size=20))
        def lives(life: list[tuple[Any, ...]]) -> None:
            runner.run(_live(store, f"s-{next(ids)}", life))

        try:
            lives()
        finally:
            runner.run(opening.__aexit__(None, None, None))
    assert check(database_url, archive_dir) == []


async def _live(store: Store, session_id: str, life: list[tuple[Any, ...]]) -> None:
    await store.sessions.get_or_create(session_id)
    pair = Pair(store, session_id)
    for verb, *given_ in life:
        there = len(pair.tree.parents)
        if verb in ("append", "switch") and (given_[0] or 0) > there:
            with pytest.raises(TurnNotFoundError):
                await getattr(pair, verb)(*given_)
        else:
            await getattr(pair, verb)(*given_)
        await pair.compare()
    await pair.restore()
    await pair.compare()
    await pair.compare_all()
