"""An export that was killed goes on, and ends as if it had never stopped."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path

import pytest

from convstore.errors import AlreadyExistsError, StorageFullError
from convstore.export.options import Caps, ExportOptions, FileType, Filters
from convstore.export.stages.job import run_export
from convstore.vocabulary.progress import Progress
from convstore.vocabulary.records import SessionDocument
from tests.summary import needs
from tests.unit.export.samples import documents, tree

SPLIT = ExportOptions(splits={"train": 0.7, "validation": 0.3})

_EXPORT = """
import sys
from pathlib import Path
from convstore.export.stages import job
from convstore.export.options import ExportOptions
from tests.unit.export.samples import documents

job._MARK_DOCUMENTS, job._TELL_EVERY = 100, 10
job.run_export(
    documents(2_000), ["kto", "messages"], Path(sys.argv[1]),
    ExportOptions(file_type=sys.argv[2]),
    lambda progress: print(progress.phase, progress.counts["documents"], flush=True),
)
"""


class StopError(Exception):
    """Stands for a process that dies."""


def dying_after(count: int, found: list[SessionDocument]) -> Iterator[SessionDocument]:
    yield from found[:count]
    raise StopError


def test_an_interrupted_export_goes_on_to_the_same_bytes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("convstore.export.stages.job._MARK_DOCUMENTS", 7)
    run_export(documents(), ["kto", "oasst"], tmp_path / "whole", SPLIT)
    for count in (3, 20, 41, 60):
        with pytest.raises(StopError):
            run_export(
                dying_after(count, documents()),
                ["kto", "oasst"],
                tmp_path / "out",
                SPLIT,
            )
    assert not (tmp_path / "out").exists()

    run_export(documents(), ["kto", "oasst"], tmp_path / "out", SPLIT)

    assert tree(tmp_path / "out") == tree(tmp_path / "whole")


def test_a_session_erased_during_the_interruption_is_not_in_the_export(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("convstore.export.stages.job._MARK_DOCUMENTS", 7)
    with pytest.raises(StopError):
        run_export(dying_after(50, documents()), ["kto"], tmp_path / "out")
    left = [d for d in documents() if d.session.id != "s-17"]

    run_export(left, ["kto"], tmp_path / "out")

    run_export(left, ["kto"], tmp_path / "fresh")
    assert tree(tmp_path / "out") == tree(tmp_path / "fresh")


def test_spools_damaged_by_a_power_loss_are_made_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("convstore.export.stages.job._MARK_DOCUMENTS", 7)
    with pytest.raises(StopError):
        run_export(dying_after(50, documents()), ["kto"], tmp_path / "out")
    for part in (tmp_path / "out.partial" / ".work" / "kto.rows.train").iterdir():
        part.write_bytes(b"\0" * part.stat().st_size)

    run_export(documents(), ["kto"], tmp_path / "out")

    run_export(documents(), ["kto"], tmp_path / "fresh")
    assert tree(tmp_path / "out") == tree(tmp_path / "fresh")


def test_other_options_do_not_go_on_where_the_last_ones_stopped(tmp_path: Path) -> None:
    with pytest.raises(StopError):
        run_export(dying_after(50, documents()), ["kto"], tmp_path / "out")
    options = ExportOptions(filters=Filters(users=("u-1",)))

    assert run_export(documents(), ["kto"], tmp_path / "out", options).rows == 12


def test_two_exports_to_one_target_do_not_mix(tmp_path: Path) -> None:
    def nested() -> Iterator[SessionDocument]:
        yield from documents(5)
        with pytest.raises(AlreadyExistsError):
            run_export(documents(5), ["kto"], tmp_path / "out")
        yield from documents(10)[5:]

    assert run_export(nested(), ["kto"], tmp_path / "out").rows == 10


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Callable[[FileType], Path]:
    """What an export gives that nobody stops; made once."""

    @cache
    def made(file_type: FileType) -> Path:
        folder = tmp_path_factory.mktemp("whole") / file_type
        options = ExportOptions(file_type=file_type)
        run_export(documents(2_000), ["kto", "messages"], folder, options)
        return folder

    return made


@pytest.mark.mostly_slow("jsonl-57", "parquet-1")
@pytest.mark.crash
@pytest.mark.parametrize("told", [1, 57, 150, 199, 204])
@pytest.mark.parametrize("file_type", ["jsonl", "parquet"])
def test_an_export_killed_with_minus_nine_goes_on_to_the_same_bytes(
    tmp_path: Path, told: int, file_type: FileType, whole: Callable[[FileType], Path]
) -> None:
    """The process dies after so many lines of progress: while reading, or writing."""
    options = ExportOptions(file_type=file_type)
    child = subprocess.Popen(
        [sys.executable, "-c", _EXPORT, str(tmp_path / "out"), file_type],
        stdout=subprocess.PIPE,
        text=True,
    )
    with child:
        assert child.stdout is not None
        for _ in range(told):
            child.stdout.readline()
        child.send_signal(signal.SIGKILL)
    assert not (tmp_path / "out").exists()

    run_export(documents(2_000), ["kto", "messages"], tmp_path / "out", options)

    assert tree(tmp_path / "out") == tree(whole(file_type))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("seed", "zone", "locale"), [("1", "Asia/Kolkata", "C"), ("2", "UTC", "C.UTF-8")]
)
def test_another_process_in_another_place_writes_the_same_bytes(
    tmp_path: Path, seed: str, zone: str, locale: str, whole: Callable[[FileType], Path]
) -> None:
    subprocess.run(
        [sys.executable, "-c", _EXPORT, str(tmp_path / "there"), "jsonl"],
        env={**os.environ, "PYTHONHASHSEED": seed, "TZ": zone, "LC_ALL": locale},
        stdout=subprocess.DEVNULL,
        check=True,
    )

    assert tree(tmp_path / "there") == tree(whole("jsonl"))


@pytest.mark.parametrize("phase", ["gather", "write"])
def test_a_full_disk_is_named_and_leaves_nothing_behind(
    tmp_path: Path, phase: str
) -> None:
    def fill(progress: Progress) -> None:
        if progress.phase == phase:
            raise OSError(errno.ENOSPC, "No space left on device")

    with pytest.raises(StorageFullError):
        run_export(documents(), ["kto", "oasst"], tmp_path / "out", SPLIT, fill)

    assert list(tmp_path.iterdir()) == []


def test_a_cancelled_export_goes_on_and_leaves_no_file_open(tmp_path: Path) -> None:
    def stop(progress: Progress) -> None:
        if progress.phase == "write":
            raise StopError

    with pytest.raises(StopError):
        run_export(documents(), ["kto", "oasst"], tmp_path / "out", SPLIT, stop)
    run_export(documents(), ["kto", "oasst"], tmp_path / "out", SPLIT)

    run_export(documents(), ["kto", "oasst"], tmp_path / "whole", SPLIT)
    assert tree(tmp_path / "out") == tree(tmp_path / "whole")


def test_parts_that_have_grown_are_parted_again_without_a_change(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    needs("rensa")
    options = ExportOptions(caps=Caps(per_user=20, per_prompt=3), near_duplicates=0.9)
    run_export(documents(80), ["kto"], tmp_path / "whole", options)
    monkeypatch.setattr("convstore.export.stages.spool.PART_BYTES", 500)
    monkeypatch.setattr("convstore.export.stages.spool._PIECE_BYTES", 100)
    monkeypatch.setattr("convstore.export.stages.spool.SMALL_PART_BYTES", 100)

    run_export(documents(80), ["kto"], tmp_path / "parted", options)

    assert tree(tmp_path / "parted") == tree(tmp_path / "whole")
