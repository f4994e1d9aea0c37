"""Places that an export cannot write to: named by the error, and left as they were."""

from __future__ import annotations

import errno
import os
import random
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from convstore.errors import InvalidInputError, StorageFullError
from convstore.export.options import ExportOptions, FileType
from convstore.export.stages.job import run_export
from convstore.vocabulary.progress import Progress
from convstore.vocabulary.records import SessionDocument
from tests.denials import files_up_to, on_own_disk, without_rights
from tests.unit.export.samples import Chat, documents

SPLIT = {"train": 0.7, "validation": 0.3}


def everything_under(folder: Path) -> set[Path]:
    return set(folder.rglob("*"))


# Without rights


@pytest.fixture(params=["folder", "way", "target", "unfinished"])
def refusing(request: pytest.FixtureRequest) -> Iterator[Path]:
    """A target in a read-only folder; behind a closed one; itself closed; begun by
    somebody else. In a place that anybody can reach, as those of pytest are not."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name) / "sets"
        folder.mkdir()
        if request.param == "target":
            (folder / "out").mkdir(mode=0o300)
        if request.param == "unfinished":
            (folder / "out.partial" / ".work" / "kto.rows").mkdir(parents=True)
        Path(name).chmod(0o755)
        folder.chmod(0o600 if request.param == "way" else 0o555)
        yield folder / "out"
        folder.chmod(0o700)


@pytest.mark.parametrize("dry_run", [False, True])
def test_a_place_without_rights_is_named_and_stays_as_it_was(
    refusing: Path, tmp_path: Path, dry_run: bool
) -> None:
    run_export(documents(), ["kto"], tmp_path / "imports-what-is-imported-late")
    before = everything_under(refusing.parent)
    options = ExportOptions(dry_run=dry_run)

    with without_rights(), pytest.raises(InvalidInputError) as caught:
        run_export(documents(), ["kto"], refusing, options)

    assert caught.value.field == "to"
    assert "cannot be written" in str(caught.value)
    assert str(refusing.parent) in str(caught.value)
    assert everything_under(refusing.parent) == before


@pytest.mark.parametrize(
    ("target", "problem"),
    [
        ("file/out", "Not a directory"),
        ("file/further/out", "Not a directory"),
        ("new/folder/" + "x" * 250, "File name too long"),
        ("/", "is a mount point"),
    ],
)
def test_a_place_that_takes_no_folder_is_named_and_stays_as_it_was(
    tmp_path: Path, target: str, problem: str
) -> None:
    (tmp_path / "file").touch()

    with pytest.raises(InvalidInputError, match=problem) as caught:
        run_export(documents(), ["kto"], tmp_path / target)

    assert caught.value.field == "to"
    assert everything_under(tmp_path) == {tmp_path / "file"}


def test_the_folder_one_stands_in_is_no_target(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)

    with pytest.raises(InvalidInputError, match="give its name"):
        run_export(documents(), ["kto"], Path())


def test_a_file_of_somebody_else_is_not_taken_for_the_target(tmp_path: Path) -> None:
    """The source of the sessions, or what tells the progress, has files of its own."""

    def closed(progress: Progress) -> None:
        raise PermissionError(errno.EACCES, "Permission denied", "/elsewhere/log")

    with pytest.raises(PermissionError):
        run_export(documents(), ["kto"], tmp_path / "out", None, closed)


_REMOUNTED = """
import subprocess, sys
from pathlib import Path
from convstore.errors import InvalidInputError
from convstore.export.stages.job import run_export
from tests.unit.export.samples import documents

folder, phases = Path(sys.argv[1]), []

def close(progress):
    phases.append(progress.phase)
    if phases == ["gather"] and {late}:
        remount()

def remount():
    # What is open for writing keeps a file system from being closed to it.
    subprocess.run(["mount", "-o", "remount,ro", str(folder)], check=True)

if not {late}:
    remount()
try:
    run_export(documents(), ["kto"], folder / "new" / "out", None, close)
except InvalidInputError as error:
    print(error.field, "Read-only file system" in str(error), phases)
print(*sorted(path.name for path in folder.iterdir()))
"""


@pytest.mark.parametrize(
    ("late", "told"),
    [(False, "to True []\n\n"), (True, "to True ['gather']\nnew\n")],
)
def test_a_read_only_disk_is_named(
    tmp_path: Path, pytestconfig: pytest.Config, late: bool, told: str
) -> None:
    """From the beginning, or once the sessions have been read."""
    program = _REMOUNTED.format(late=late)

    done = on_own_disk(pytestconfig, tmp_path, "size=16m", program)

    assert (done.stdout, done.stderr) == (told, "")


# Without room


def long_sessions(count: int) -> Iterator[SessionDocument]:
    """Whose text does not get smaller in Parquet."""
    noise = random.Random(1)
    for number in range(count):
        chat = Chat(f"s-{number}")
        chat.user(f"Question {number}?")
        answer = chat.assistant(noise.randbytes(1_000).hex())
        (chat.up if number % 3 else chat.down)(answer)
        yield chat.document()


@pytest.mark.parametrize(
    "how",
    [{}, {"file_type": "parquet"}, {"file_type": "parquet", "profile": "text"}],
    ids=["jsonl", "parquet-json", "parquet-text"],
)
@pytest.mark.parametrize("names", [["kto"], ["messages", "prompt-completion"]])
def test_a_disk_that_fills_up_while_rows_are_written_is_named_and_left_empty(
    tmp_path: Path, how: dict[str, Any], names: list[str]
) -> None:
    phases: list[str] = []
    options = ExportOptions(splits=SPLIT, **how)

    with files_up_to(150_000), pytest.raises(StorageFullError):
        run_export(
            long_sessions(400),
            names,
            tmp_path / "new" / "out",
            options,
            lambda progress: phases.append(progress.phase),
        )

    assert "write" in phases
    assert list(tmp_path.iterdir()) == []


def test_provenance_beside_the_rows_finds_no_room_either(tmp_path: Path) -> None:
    with files_up_to(100_000), pytest.raises(StorageFullError):
        run_export(documents(1_000), ["openai-sft"], tmp_path / "out")

    assert list(tmp_path.iterdir()) == []


_FILLED = """
import sys
from pathlib import Path
from convstore.errors import StorageFullError
from convstore.export.stages.job import run_export
from convstore.export.options import ExportOptions
from tests.unit.export.test_places import long_sessions

folder, phases = Path(sys.argv[1]), []
try:
    run_export(
        long_sessions(400), ["kto"], folder / "new" / "out",
        ExportOptions(file_type={file_type!r}),
        lambda progress: phases.append(progress.phase),
    )
except StorageFullError:
    print(phases[-1], list(folder.iterdir()))
"""


@pytest.mark.parametrize("file_type", ["jsonl", "parquet"])
def test_a_small_disk_is_full_and_then_empty_again(
    tmp_path: Path, pytestconfig: pytest.Config, file_type: FileType
) -> None:
    program = _FILLED.format(file_type=file_type)

    done = on_own_disk(pytestconfig, tmp_path, "size=1600k", program)

    assert (done.stdout, done.stderr) == ("write []\n", "")


def test_a_dry_run_finds_no_room_for_what_it_reads(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))

    with files_up_to(500), pytest.raises(StorageFullError):
        run_export(
            documents(200), ["kto"], tmp_path / "out", ExportOptions(dry_run=True)
        )

    assert os.listdir(tmp_path) == []
