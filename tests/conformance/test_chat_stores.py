"""Our own store passes the suites that third parties are given, and stores with a fault
do not."""

from __future__ import annotations

from pathlib import Path

import pytest

from convstore.errors import ConfigError
from convstore.testing.chat_isolation import isolation
from convstore.testing.chat_lab import run
from convstore.testing.chat_store import load
from convstore.testing.crash_suite import CrashSuite
from convstore.testing.isolation_suite import IsolationSuite
from convstore.testing.race_suite import RaceSuite

FAULTY = str(Path(__file__).parent / "faulty_stores.py")


class _Ours:
    opens = "benchmarks.chat_stores:convstore"

    @pytest.fixture
    def where(self, empty_database_url: str) -> str:
        return empty_database_url


@pytest.mark.crash
@pytest.mark.mostly_slow("sqlite")
class TestKilled(_Ours, CrashSuite):
    kills = 6


@pytest.mark.slow
class TestRaced(_Ours, RaceSuite):
    calls = 3


class TestApart(_Ours, IsolationSuite):
    pass


@pytest.mark.crash
def test_a_store_that_forgets_what_it_acknowledged_is_found_out(tmp_path: Path) -> None:
    report = run("crash", f"{FAULTY}:forgetful", str(tmp_path), kills=2)

    assert report["verdict"]["lost"] == report["verdict"]["acknowledged"] > 0
    assert (
        f"{report['verdict']['lost']} acknowledged messages are lost"
        in (report["faults"])
    )


@pytest.mark.crash
def test_calls_that_are_kept_by_half_are_found_out(tmp_path: Path) -> None:
    report = run("crash", f"{FAULTY}:halving", f"sqlite:///{tmp_path}/h.db", kills=4)

    assert report["verdict"]["half"] > 0
    assert report["verdict"]["lost"] == 0
    assert report["goes_on"]


def test_writers_that_overwrite_each_other_are_found_out(tmp_path: Path) -> None:
    where = f"sqlite:///{tmp_path}/o.json"
    report = run("race", f"{FAULTY}:overwriting", where, calls=3)

    assert report["verdict"]["lost"] > 0
    assert report["reads"] > 0


def test_a_store_without_users_is_found_out(tmp_path: Path) -> None:
    report = isolation(load(f"{FAULTY}:overwriting"), f"sqlite:///{tmp_path}/o.json")

    assert report.leaks == (
        "user reads", "user writes", "user deletes",
        "tenant reads", "tenant writes", "tenant deletes",
    )  # fmt: skip
    assert report.mixed == ("a", "A")
    assert not report.returned


@pytest.mark.parametrize(
    "name", ["no.such.module:open", "convstore.testing:nothing", "absent.py:open"]
)
def test_an_opener_that_is_not_there_is_told_by_its_name(name: str) -> None:
    with pytest.raises(ConfigError, match="opener"):
        load(name)
