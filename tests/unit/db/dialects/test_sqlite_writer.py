"""The gate before SQLite's write lock: who goes next, and who gives up."""

import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from convstore.db.dialects.sqlite_file import FileWatch, create_file, engine_of
from convstore.db.dialects.sqlite_writer import Gate, SqliteWriter

SOON_S = 0.02
LONG_S = 120.0


@pytest.fixture
def gates(tmp_path: Path) -> Iterator[list[Gate]]:
    """Three gates on one file, as three processes would have them."""
    three = [Gate(tmp_path / "chat.db-gate") for _ in range(3)]
    yield three
    for gate in three:
        gate.close()


def test_a_gate_that_is_taken_does_not_open_in_time(gates: list[Gate]) -> None:
    first, second, _ = gates
    first.enter(LONG_S)

    assert second.enter(SOON_S) is False


def test_who_waits_gets_in_when_the_holder_leaves(gates: list[Gate]) -> None:
    first, second, _ = gates
    first.enter(LONG_S)
    entered: list[bool] = []
    waiting = threading.Thread(target=lambda: entered.append(second.enter(LONG_S)))
    waiting.start()

    first.leave()
    waiting.join(LONG_S)

    assert entered == [True]


def test_who_gave_up_does_not_keep_the_gate_from_others(gates: list[Gate]) -> None:
    first, second, third = gates
    first.enter(LONG_S)
    second.enter(SOON_S)

    first.leave()

    assert third.enter(LONG_S)


def test_who_gave_up_can_come_again(gates: list[Gate]) -> None:
    first, second, _ = gates
    first.enter(LONG_S)
    second.enter(SOON_S)
    first.leave()

    assert second.enter(LONG_S)


def test_leaving_a_gate_that_was_never_entered_does_nothing(gates: list[Gate]) -> None:
    first, second, _ = gates
    first.leave()

    assert second.enter(LONG_S)


def test_a_holder_that_is_closed_lets_the_next_in(gates: list[Gate]) -> None:
    first, second, _ = gates
    first.enter(LONG_S)

    first.close()

    assert second.enter(LONG_S)


def test_the_file_of_the_gate_is_private(gates: list[Gate], tmp_path: Path) -> None:
    gates[0].enter(LONG_S)

    assert (tmp_path / "chat.db-gate").stat().st_mode & 0o777 == 0o600


def test_a_commit_that_came_after_a_rollback_is_not_taken_for_the_next(
    tmp_path: Path,
) -> None:
    path = tmp_path / "chat.db"
    create_file(path)
    watch = FileWatch(path)
    writer = SqliteWriter(engine_of(path, watch, 1, LONG_S), path, watch, LONG_S)

    def ended(end: Callable[[], None]) -> int:
        writer.begin()
        before = writer.ended
        end()
        return writer.ended - before

    assert ended(writer.commit) == 1
    assert ended(writer.roll_back) > 1
    writer.close()
