"""Rows made by processes beside the export: the same bytes, and nobody left behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import fields, replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from convstore.errors import ConfigError, InvalidInputError, WorkerLostError
from convstore.export.options import Caps, ExportOptions, Filters, Judging
from convstore.export.stages import starting
from convstore.export.stages import workers as pool
from convstore.export.stages.job import run_export
from convstore.export.stages.requests import told, understood
from convstore.vocabulary.progress import Progress
from convstore.vocabulary.records import SessionDocument
from tests.processes import forked_by
from tests.summary import needs
from tests.unit.export.histories import histories
from tests.unit.export.samples import documents, tree

FORMATS = ["kto", "preference", "messages", "openai-dpo", "stepwise", "convstore"]
SPLIT = ExportOptions(splits={"train": 0.7, "validation": 0.3}, quarantine=True)


@pytest.fixture(autouse=True)
def _soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """Workers start after a few sessions, get a few at a time, and are waited for."""
    monkeypatch.setattr(pool.WorkerPool, "is_starting", False)
    monkeypatch.setattr(pool, "ALONE", 5)
    monkeypatch.setattr(pool, "BATCH_DOCUMENTS", 7)


@pytest.fixture
def workers(monkeypatch: pytest.MonkeyPatch) -> list[subprocess.Popen[bytes]]:
    """The programs that an export starts."""
    started: list[subprocess.Popen[bytes]] = []
    popen = subprocess.Popen

    def noted(*args: object, **kwargs: object) -> subprocess.Popen[bytes]:
        started.append(popen(*args, **kwargs))  # type: ignore[call-overload]
        return started[-1]

    monkeypatch.setattr(starting.subprocess, "Popen", noted)
    return started


@pytest.mark.mostly_slow("3-True")
@pytest.mark.parametrize(("count", "forks"), [(1, True), (3, True), (2, False)])
def test_workers_change_no_byte_and_no_count(
    tmp_path: Path,
    count: int,
    forks: bool,
    workers: list[subprocess.Popen[bytes]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(starting, "FORKS", forks and starting.FORKS)
    alone = run_export(histories(120), FORMATS, tmp_path / "alone", SPLIT)
    options = replace(SPLIT, workers=count)

    helped = run_export(histories(120), FORMATS, tmp_path / "helped", options)

    assert tree(tmp_path / "helped") == tree(tmp_path / "alone")
    assert [replace(f, path=Path()) for f in helped.formats] == [
        replace(f, path=Path()) for f in alone.formats
    ]
    assert sum(map(asked_for, workers)) == count
    assert len(workers) == (1 if starting.FORKS else count)
    assert all(worker.poll() is not None for worker in workers)


def asked_for(program: subprocess.Popen[bytes]) -> int:
    """How many workers a program is to be: one, or one for each two ends of pipes."""
    assert isinstance(program.args, list)
    return len(program.args[4:]) // 2 or 1


def test_until_a_worker_is_there_the_export_does_its_work(
    tmp_path: Path,
    workers: list[subprocess.Popen[bytes]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(pool.WorkerPool, "is_starting", True)
    run_export(histories(40), FORMATS, tmp_path / "alone", SPLIT)
    asked: list[bytes] = []
    monkeypatch.setattr(pool.WorkerPool, "_rows", lambda *args: asked.append(args[1]))

    options = replace(SPLIT, workers=2)
    run_export(histories(40), FORMATS, tmp_path / "helped", options)

    assert tree(tmp_path / "helped") == tree(tmp_path / "alone")
    assert asked == []
    assert all(worker.poll() is not None for worker in workers)


@pytest.mark.slow
def test_a_parquet_export_with_every_option_is_the_same_with_workers(
    tmp_path: Path,
) -> None:
    needs("pyarrow")
    needs("rensa")
    options = ExportOptions(
        filters=Filters(metadata={}, languages=("en", "nl"), min_chars=2),
        caps=Caps(per_user=50),
        judging=Judging(score_high=3.5),
        file_type="parquet",
        near_duplicates=0.9,
        redact="regex",
        undefined_tools="infer",
    )
    run_export(histories(120), ["kto", "reward"], tmp_path / "alone", options)

    helped = replace(options, workers=2)
    run_export(histories(120), ["kto", "reward"], tmp_path / "helped", helped)

    assert tree(tmp_path / "helped") == tree(tmp_path / "alone")


def test_options_travel_whole() -> None:
    at = datetime(2026, 1, 2, tzinfo=UTC)
    options = ExportOptions(
        filters=Filters(since=at, until=at, tags=("a",), metadata={"k": ["v", 1]}),
        tokenizer=Path("some/tokenizer.json"),
        since=Path("before"),
        splits={"a": 0.5, "b": 0.5},
        workers=2,
    )

    assert ExportOptions.of(understood(told(options.told()), dict)) == options
    assert len(options.told()) == len(fields(options))


def test_a_small_export_starts_nobody(
    tmp_path: Path, workers: list[subprocess.Popen[bytes]]
) -> None:
    options = ExportOptions(workers=4)

    assert run_export(documents(5), ["kto"], tmp_path / "out", options).rows == 5

    assert workers == []


def test_a_worker_that_is_killed_ends_the_export_and_it_goes_on_the_next_time(
    tmp_path: Path,
    workers: list[subprocess.Popen[bytes]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("convstore.export.stages.job._MARK_DOCUMENTS", 20)

    def killing() -> Iterator[SessionDocument]:
        for number, document in enumerate(documents(300)):
            if number == 150:
                os.kill((forked_by(workers[0].pid) or [workers[0].pid])[0], 9)
            yield document

    options = ExportOptions(workers=2)
    with pytest.raises(WorkerLostError):
        run_export(killing(), ["kto"], tmp_path / "out", options)
    assert not (tmp_path / "out").exists()
    assert all(worker.poll() is not None for worker in workers)

    run_export(documents(300), ["kto"], tmp_path / "out", options)

    run_export(documents(300), ["kto"], tmp_path / "whole")
    assert tree(tmp_path / "out") == tree(tmp_path / "whole")


def test_an_export_that_is_stopped_leaves_no_worker(
    tmp_path: Path, workers: list[subprocess.Popen[bytes]]
) -> None:
    class StopError(Exception):
        pass

    def stop(_: Progress) -> None:
        raise StopError

    with pytest.raises(StopError):
        run_export(
            documents(600), ["kto"], tmp_path / "out", ExportOptions(workers=2), stop
        )

    assert sum(map(asked_for, workers)) == 2
    assert all(worker.poll() is not None for worker in workers)


_EXPORT = """
import sys
from pathlib import Path
from convstore.export.stages import job, workers
from convstore.export.options import ExportOptions
from tests.processes import forked_by
from tests.unit.export.samples import documents

workers.ALONE, job._TELL_EVERY = 5, 50
workers.WorkerPool.is_starting = False

def told(progress):
    programs = [p.pid for p in made[0]._started._programs] if made else []
    print(*programs, *(pid for each in programs for pid in forked_by(each)), flush=True)
    sys.stdin.readline()

made, start = [], workers.WorkerPool.__init__
def noted(self, gatherer):
    start(self, gatherer)
    made.append(self)

workers.WorkerPool.__init__ = noted
job.run_export(
    documents(2_000), ["kto"], Path(sys.argv[1]), ExportOptions(workers=2), told
)
"""


@pytest.mark.slow
@pytest.mark.crash
def test_workers_end_when_the_export_is_killed_with_minus_nine(tmp_path: Path) -> None:
    child = subprocess.Popen(
        [sys.executable, "-c", _EXPORT, str(tmp_path / "out")],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    with child:
        assert child.stdin is not None
        assert child.stdout is not None
        pids: list[int] = []
        while len(pids) < 2:
            line = child.stdout.readline()
            assert line, "the export ended by itself"
            pids = [int(pid) for pid in line.split()]
            if len(pids) < 2:
                child.stdin.write("\n")
                child.stdin.flush()
        child.send_signal(signal.SIGKILL)
        child.wait()

    deadline = time.monotonic() + 120
    while any(_runs(pid) for pid in pids):
        assert time.monotonic() < deadline, "a worker outlived its export"
        os.sched_yield()


def _runs(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"


def test_an_error_in_a_worker_is_told_by_its_kind_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pool, "encode_document", lambda document: b'{"secret": 1}')

    with pytest.raises(WorkerLostError, match=r"failed: CorruptionError$"):
        run_export(documents(60), ["kto"], tmp_path / "out", ExportOptions(workers=1))


def test_without_an_interpreter_workers_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "executable", "")

    with pytest.raises(ConfigError, match="workers"):
        run_export(documents(60), ["kto"], tmp_path / "out", ExportOptions(workers=1))


@pytest.mark.parametrize("count", [-1, 33])
def test_a_number_of_workers_that_cannot_be_meant_is_refused(
    tmp_path: Path, count: int
) -> None:
    with pytest.raises(InvalidInputError, match="workers"):
        run_export(documents(1), ["kto"], tmp_path / "o", ExportOptions(workers=count))
