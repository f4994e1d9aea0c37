"""A store and a plain dictionary live the same life, whatever its order."""

from __future__ import annotations

import asyncio
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    rule,
    run_state_machine_as_test,
)

from convstore import RetentionPolicy, Store, StoreConfig, open_store
from convstore.errors import (
    LegalHoldError,
    NotFoundError,
    RefusedError,
    SessionDeletedError,
    SessionErasedError,
)
from convstore.vocabulary.clock import ManualClock
from tests.crash.invariants import check
from tests.databases import PostgresDatabases, SqliteDatabases

sessions = st.sampled_from(["a", "b", "c", "d"])
texts = st.text(
    st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=30
)


class Life(RuleBasedStateMachine):
    """Rules act on both; after each of them both must say the same."""

    url: str
    folder: Path

    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.clock = ManualClock()
        self.model: dict[str, dict[str, Any]] = {}
        self.opened: list[Any] = []
        self.stores: list[Store] = []
        self.archive, self.url = self.place()
        self.open()
        self.open()

    def place(self) -> tuple[Path, str]:
        raise NotImplementedError

    def open(self) -> None:
        config = StoreConfig(
            url=self.url,
            archive_dir=self.archive,
            retention=RetentionPolicy(exports=("messages",), readable_json=True),
        )
        opening = open_store(config, clock=self.clock)
        self.stores.append(self.runner.run(opening.__aenter__()))
        self.opened.append(opening)

    def close_all(self) -> None:
        for opening in self.opened:
            self.runner.run(opening.__aexit__(None, None, None))
        self.opened.clear()
        self.stores.clear()

    def teardown(self) -> None:
        self.close_all()
        self.runner.close()

    def expect(self, session_id: str) -> tuple[dict[str, Any] | None, type | None]:
        """The session of the model, and how writing to it must be refused."""
        known = self.model.get(session_id)
        state = None if known is None else known["state"]
        refusals = {"deleted": SessionDeletedError, "erased": SessionErasedError}
        return known, refusals.get(str(state))

    def write(self, session_id: str, call: Any) -> bool:
        """Whether a write was accepted, as the model says."""
        known, refused = self.expect(session_id)

        async def run() -> None:
            await self.stores[0].sessions.get_or_create(session_id, user_id=session_id)
            await call(self.stores[-1])

        if refused is not None:
            with pytest.raises(refused):
                self.runner.run(run())
            return False
        self.runner.run(run())
        if known is None:
            self.model[session_id] = {
                "state": "active", "turns": [], "acts": [], "graphs": [], "holds": 0,
                "copy": False,
            }  # fmt: skip
        self.model[session_id]["state"] = "active"
        return True

    @rule(session_id=sessions, content=texts)
    def append(self, session_id: str, content: str) -> None:
        if self.write(
            session_id,
            lambda s: s.turns.append(session_id, role="user", content=content),
        ):
            self.model[session_id]["turns"].append(content)

    @rule(session_id=sessions, reason=texts)
    def feedback(self, session_id: str, reason: str) -> None:
        if self.write(
            session_id,
            lambda s: s.interactions.record(
                session_id, action="feedback", feedback="correct", reason=reason
            ),
        ):
            self.model[session_id]["acts"].append(reason)

    @rule(session_id=sessions, value=st.integers(-9, 9) | texts)
    def graph_state(self, session_id: str, value: Any) -> None:
        if self.write(
            session_id, lambda s: s.graph_states.put(session_id, {"v": value})
        ):
            self.model[session_id]["graphs"].append({"v": value})

    @rule(batch=st.integers(1, 3))
    def archive_and_purge(self, batch: int) -> None:
        report = self.runner.run(
            self.stores[0].run_retention(older_than_s=0, batch=batch)
        )
        assert report.problems == ()
        for known in self.model.values():
            if known["state"] == "active" and not known["holds"]:
                known["state"], known["copy"] = "archived", True

    @rule(session_id=sessions)
    def restore(self, session_id: str) -> None:
        known = self.model.get(session_id)
        call = self.stores[-1].restore(session_id)
        gone = known is None or (known["state"] == "deleted" and not known["copy"])
        if gone or (known is not None and known["state"] == "erased"):
            with pytest.raises((NotFoundError, RefusedError)):
                self.runner.run(call)
            return
        assert known is not None
        self.runner.run(call)
        known["state"] = "active"

    @rule(session_id=sessions, archive=st.booleans())
    def delete(self, session_id: str, archive: bool) -> None:
        known = self.model.get(session_id)
        call = self.stores[-1].sessions.delete(session_id, archive=archive)
        already = known is not None and known["state"] == "deleted" and archive
        if known is None or known["state"] == "erased":
            with pytest.raises((NotFoundError, SessionErasedError)):
                self.runner.run(call)
        elif known["holds"] and not already:
            with pytest.raises(LegalHoldError):
                self.runner.run(call)
        else:
            self.runner.run(call)
            known["copy"] = archive and (known["copy"] or known["state"] != "deleted")
            known["state"] = "deleted"

    @rule(session_id=sessions)
    def hold(self, session_id: str) -> None:
        known = self.model.get(session_id)
        call = self.stores[0].holds.place(session_id, reason="case")
        if known is None or known["state"] == "erased":
            with pytest.raises((NotFoundError, SessionErasedError)):
                self.runner.run(call)
        else:
            self.runner.run(call)
            known["holds"] += 1

    @rule(session_id=sessions)
    def release(self, session_id: str) -> None:
        known = self.model.get(session_id)
        call = self.stores[0].holds.release(session_id)
        if known is None or not known["holds"]:
            with pytest.raises(NotFoundError):
                self.runner.run(call)
        else:
            self.runner.run(call)
            known["holds"] = 0

    @rule(session_id=sessions, whole_user=st.booleans())
    def erase(self, session_id: str, whole_user: bool) -> None:
        known = self.model.get(session_id)
        # Each session is of a user of its own name.
        subject = {"user_id" if whole_user else "session_id": session_id}
        call = self.stores[0].erase(**subject)
        found = known is not None and not (
            whole_user
            and (
                known["state"] == "erased"
                or (known["state"] == "deleted" and not known["copy"])
            )
        )
        if not found:
            if whole_user:
                assert self.runner.run(call).session_ids == ()
                return
            with pytest.raises(NotFoundError):
                self.runner.run(call)
            return
        assert known is not None
        if known["holds"]:
            with pytest.raises(LegalHoldError):
                self.runner.run(call)
            return
        self.runner.run(call)
        known["state"], known["copy"] = "erased", False

    @rule(seconds=st.sampled_from([1.0, 300.0, 90_000.0]))
    def time_passes(self, seconds: float) -> None:
        self.clock.advance(seconds)

    @rule()
    def recover(self) -> None:
        report = self.runner.run(self.stores[-1].archive.recover(alone=True))
        assert report.segments_kept == ()

    @rule()
    def verify(self) -> None:
        assert self.runner.run(self.stores[0].archive.verify(deep=True)).ok

    @rule()
    def reopen(self) -> None:
        self.close_all()
        self.open()
        self.open()

    @invariant()
    def both_say_the_same(self) -> None:
        found = self.runner.run(self._everything())
        there = {
            name: (known["turns"], known["acts"], known["graphs"])
            for name, known in self.model.items()
            if known["state"] in ("active", "archived")
        }
        assert found == there
        assert check(self.url, self.archive) == []

    async def _everything(self) -> dict[str, Any]:
        return {
            d.session.id: (
                [turn.content for turn in d.turns],
                [act.reason for act in d.interactions],
                [graph.state for graph in d.graph_states],
            )
            async for d in self.stores[-1].documents()
        }


@pytest.mark.slow
@pytest.mark.parametrize("database", ["sqlite", "postgres"])
def test_a_store_and_a_dictionary_live_the_same_life(
    database: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    databases: SqliteDatabases | PostgresDatabases
    databases = request.getfixturevalue(f"{database}_databases")
    runs = request.config.getoption("hypothesis_profile", None)
    count = {"sqlite": 16, "postgres": 8}[database] * (50 if runs else 1)

    class Here(Life):
        def place(self) -> tuple[Path, str]:
            self.scratch = TemporaryDirectory(dir=tmp_path)
            folder = Path(self.scratch.name)
            if isinstance(databases, PostgresDatabases):
                return folder / "archive", databases.create()
            return folder / "archive", databases.create(folder / "chat.db")

        def teardown(self) -> None:
            super().teardown()
            if isinstance(databases, PostgresDatabases):
                databases.drop(self.url)
            self.scratch.cleanup()

    run_state_machine_as_test(  # type: ignore[no-untyped-call]
        Here,
        settings=settings(
            max_examples=count,
            stateful_step_count=30,
            suppress_health_check=list(HealthCheck),
        ),
    )
