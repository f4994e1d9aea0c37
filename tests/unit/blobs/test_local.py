"""What is true of the local blob store alone: modes, links, syncs, crashes."""

from __future__ import annotations

import errno
import os
import resource
import shutil
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from convstore.blobs.base import StepHook
from convstore.blobs.local import LocalBlobs
from convstore.errors import (
    AlreadyExistsError,
    ConfigError,
    ConvstoreError,
    SegmentNotFoundError,
    StorageFullError,
    UnavailableError,
)
from convstore.testing.blob_suite import DATA, KEY, OTHER, put

STEPS = [
    "write.open",
    "fsync.file",
    "write.close",
    "publish.mkdir",
    "publish.link",
    "publish.unlink_tmp",
    "publish.dirsync",
]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "deep" / "archive"


@pytest.fixture
def blobs(root: Path) -> LocalBlobs:
    return LocalBlobs(root)


@pytest.fixture(params=[0o000, 0o022, 0o277])
def umask(request: pytest.FixtureRequest) -> Iterator[int]:
    # Made before, or only root could write to it under the last of them.
    request.getfixturevalue("tmp_path")
    before = os.umask(request.param)
    yield request.param
    os.umask(before)


def open_descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))


def file_of(root: Path, key: str) -> Path:
    return root / key


@pytest.mark.usefixtures("umask")
def test_files_are_0600_and_folders_0700_whatever_the_umask(
    blobs: LocalBlobs, root: Path
) -> None:
    staged = blobs.create(KEY)
    staged.write(DATA)
    staged.sync()
    (staged_file,) = (root / "tmp").iterdir()
    staged_mode = stat.S_IMODE(staged_file.stat().st_mode)
    staged.publish()

    paths = [root, *root.rglob("*")]
    assert staged_mode == 0o600
    assert {stat.S_IMODE(p.stat().st_mode) for p in paths if p.is_dir()} == {0o700}
    assert {stat.S_IMODE(p.stat().st_mode) for p in paths if p.is_file()} == {0o600}


def test_looking_creates_nothing(blobs: LocalBlobs, root: Path) -> None:
    blobs.keys()
    blobs.exists(KEY)
    blobs.sweep(0)
    blobs.delete(KEY)
    blobs.free_bytes()

    assert not root.parent.exists()


def test_the_last_blob_of_a_folder_takes_the_folder_with_it(
    blobs: LocalBlobs, root: Path
) -> None:
    put(blobs, KEY, DATA)
    put(blobs, OTHER, DATA)
    blobs.delete(KEY)

    assert sorted(p.name for p in (root / "segments/2026").iterdir()) == ["12"]


def test_a_symbolic_link_in_place_of_a_blob_is_refused(
    blobs: LocalBlobs, root: Path, tmp_path: Path
) -> None:
    put(blobs, KEY, DATA)
    secret = tmp_path / "secret"
    secret.write_bytes(b"secret")
    file_of(root, KEY).unlink()
    file_of(root, KEY).symlink_to(secret)

    with pytest.raises(ConfigError):
        blobs.read(KEY)
    assert blobs.keys() == []


def test_a_symbolic_link_in_place_of_a_folder_is_refused(
    blobs: LocalBlobs, root: Path, tmp_path: Path
) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    put(blobs, "other/x", DATA)
    (root / "segments").symlink_to(outside)

    with pytest.raises(ConfigError):
        put(blobs, KEY, DATA)
    with pytest.raises(ConfigError):
        blobs.read(KEY)
    assert list(outside.iterdir()) == []
    assert blobs.keys() == ["other/x"]


def test_a_link_planted_at_the_target_is_not_written_through(
    blobs: LocalBlobs, root: Path, tmp_path: Path
) -> None:
    put(blobs, OTHER, DATA)
    victim = tmp_path / "victim"
    file_of(root, KEY).parent.mkdir(mode=0o700)
    file_of(root, KEY).symlink_to(victim)

    with pytest.raises(AlreadyExistsError):
        put(blobs, KEY, DATA)
    assert not victim.exists()


def test_a_pipe_in_place_of_a_blob_is_refused_at_once(
    blobs: LocalBlobs, root: Path
) -> None:
    put(blobs, OTHER, DATA)
    file_of(root, KEY).parent.mkdir(mode=0o700)
    os.mkfifo(file_of(root, KEY))

    with pytest.raises(ConfigError):
        blobs.read(KEY)
    assert blobs.keys() == [OTHER]


def test_a_folder_in_place_of_a_blob_is_refused(blobs: LocalBlobs, root: Path) -> None:
    put(blobs, f"{KEY}/x", DATA)

    with pytest.raises(ConfigError):
        blobs.read(KEY)


def test_a_blob_with_foreign_hard_links_is_refused(
    blobs: LocalBlobs, root: Path, tmp_path: Path
) -> None:
    put(blobs, KEY, DATA)
    os.link(file_of(root, KEY), tmp_path / "one")
    os.link(file_of(root, KEY), tmp_path / "two")

    with pytest.raises(ConfigError):
        blobs.read(KEY)


def test_a_root_that_everybody_may_change_is_refused(
    blobs: LocalBlobs, root: Path
) -> None:
    put(blobs, KEY, DATA)
    root.chmod(0o777)

    with pytest.raises(ConfigError, match="chmod o-w"):
        blobs.read(KEY)


def test_a_staged_file_replaced_before_reading_back_is_refused(
    blobs: LocalBlobs, root: Path
) -> None:
    staged = blobs.create(KEY)
    staged.write(DATA)
    staged.sync()
    (file,) = (root / "tmp").iterdir()
    file.rename(file.with_name("kept"))
    file.write_bytes(DATA)

    with pytest.raises(ConfigError):
        staged.read(0, 1)
    staged.abort()


def test_foreign_files_are_not_listed(blobs: LocalBlobs, root: Path) -> None:
    put(blobs, KEY, DATA)
    (root / ".DS_Store").write_bytes(b"")
    (root / "name with spaces").mkdir()
    (root / "name with spaces" / "x").write_bytes(b"")

    assert blobs.keys() == [KEY]


def test_publication_syncs_the_file_and_every_folder_above_it(
    blobs: LocalBlobs, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[tuple[int, int]] = []
    real = os.fsync

    def noting(descriptor: int) -> None:
        real(descriptor)
        synced.append((os.fstat(descriptor).st_dev, os.fstat(descriptor).st_ino))

    monkeypatch.setattr(os, "fsync", noting)
    put(blobs, KEY, DATA)

    chain = [file_of(root, KEY), *file_of(root, KEY).parents]
    above = chain[: chain.index(root.parent.parent) + 1]
    assert {(p.stat().st_dev, p.stat().st_ino) for p in above} <= set(synced)


def test_short_writes_are_completed(
    blobs: LocalBlobs, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = os.write
    monkeypatch.setattr(os, "write", lambda fd, data: real(fd, data[:7]))
    put(blobs, KEY, DATA)

    assert blobs.read(KEY) == DATA


def test_a_write_that_takes_nothing_is_an_error(
    blobs: LocalBlobs, monkeypatch: pytest.MonkeyPatch
) -> None:
    staged = blobs.create(KEY)
    monkeypatch.setattr(os, "write", lambda fd, data: 0)

    with pytest.raises(UnavailableError):
        staged.write(DATA)
    assert blobs.sweep(0) == []


def test_reads_cut_short_by_the_system_are_completed(
    blobs: LocalBlobs, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(blobs, KEY, DATA)
    real = os.pread
    monkeypatch.setattr(os, "pread", lambda fd, n, at: real(fd, min(n, 1_000), at))

    assert blobs.read(KEY) == DATA
    assert blobs.read(KEY, 10, 5_000) == DATA[10:5_010]


@pytest.mark.parametrize(
    ("code", "error"),
    [
        (errno.ENOSPC, StorageFullError),
        (errno.EDQUOT, StorageFullError),
        (errno.EFBIG, StorageFullError),
        (errno.EIO, UnavailableError),
        (errno.EMFILE, UnavailableError),
        (errno.EROFS, ConfigError),
        (errno.EACCES, ConfigError),
    ],
)
@pytest.mark.parametrize("call", ["open", "write", "fsync", "close", "link", "unlink"])
def test_a_failing_system_call_gives_its_error_and_drops_the_staged_file(
    root: Path,
    monkeypatch: pytest.MonkeyPatch,
    call: str,
    code: int,
    error: type[ConvstoreError],
) -> None:
    blobs = LocalBlobs(root)
    put(blobs, OTHER, DATA)
    before = open_descriptors()
    fail_once(monkeypatch, call, code)

    with pytest.raises(error) as caught:
        put(blobs, KEY, DATA)
    assert type(caught.value) is error
    assert errno.errorcode[code] in str(caught.value)
    assert open_descriptors() == before
    assert blobs.sweep(0) == []
    assert not blobs.exists(KEY) or blobs.read(KEY) == DATA


def fail_once(monkeypatch: pytest.MonkeyPatch, call: str, code: int) -> None:
    """Make the next `os.<call>` that concerns a file fail, after it was done."""
    real = getattr(os, call)
    left = [1]

    def failing(*args: object, **options: object) -> object:
        concerns_a_file = call != "open" or args[1] & os.O_CREAT
        if call == "close":
            concerns_a_file = stat.S_ISREG(os.fstat(args[0]).st_mode)
        if concerns_a_file and left and left.pop():
            if call == "close":
                real(*args, **options)
            raise OSError(code, "injected")
        return real(*args, **options)

    monkeypatch.setattr(os, call, failing)


@pytest.mark.parametrize("code", [errno.EPERM, errno.ENOTSUP, errno.ENOSYS])
def test_a_file_system_without_hard_links_is_told_as_such(
    root: Path, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    def link(*_: object, **__: object) -> None:
        raise OSError(code, "injected")

    monkeypatch.setattr(os, "link", link)

    with pytest.raises(ConfigError, match="no hard links"):
        put(LocalBlobs(root), KEY, DATA)
    assert LocalBlobs(root).sweep(0) == []


def test_a_failed_sync_is_never_tried_again(
    blobs: LocalBlobs, monkeypatch: pytest.MonkeyPatch
) -> None:
    staged = blobs.create(KEY)
    staged.write(DATA)
    fail_once(monkeypatch, "fsync", errno.EIO)

    with pytest.raises(UnavailableError):
        staged.sync()
    with pytest.raises(ConfigError):
        staged.sync()
    with pytest.raises(ConfigError):
        staged.publish()


@pytest.mark.parametrize("step", STEPS)
def test_an_error_at_any_step_leaves_the_whole_blob_or_nothing(
    blobs: LocalBlobs, step: str
) -> None:
    put(blobs, OTHER, DATA)
    before = open_descriptors()

    with pytest.raises(KeyboardInterrupt):
        put_with_hook(blobs, raising_at(step))
    assert open_descriptors() == before
    assert blobs.sweep(0) == []
    assert blobs.exists(KEY) is (STEPS.index(step) >= STEPS.index("publish.link"))
    assert not blobs.exists(KEY) or blobs.read(KEY) == DATA


def raising_at(wanted: str) -> StepHook:
    def hook(step: str) -> None:
        if step == wanted:
            raise KeyboardInterrupt

    return hook


def put_with_hook(blobs: LocalBlobs, hook: StepHook) -> None:
    staged = blobs.create(KEY, on_step=hook)
    try:
        staged.write(DATA)
        staged.sync()
        staged.publish()
    finally:
        staged.abort()


KILLED = """
import os, sys
from convstore.blobs.local import LocalBlobs
from convstore.testing.blob_suite import DATA, KEY
staged = LocalBlobs(sys.argv[1]).create(
    KEY, on_step=lambda step: step == sys.argv[2] and os._exit(9))
staged.write(DATA)
staged.sync()
staged.publish()
"""


@pytest.mark.parametrize("step", STEPS)
def test_a_process_killed_at_any_step_leaves_the_whole_blob_or_nothing(
    blobs: LocalBlobs, root: Path, step: str
) -> None:
    killed = subprocess.run([sys.executable, "-c", KILLED, str(root), step])

    assert killed.returncode == 9
    assert blobs.exists(KEY) is (STEPS.index(step) >= STEPS.index("publish.link"))
    assert not blobs.exists(KEY) or blobs.read(KEY) == DATA
    left = STEPS.index(step) <= STEPS.index("publish.link")
    assert len(blobs.sweep(-60)) == left
    assert not blobs.exists(KEY) or blobs.read(KEY) == DATA


def test_a_full_disk_is_told_apart_and_leaves_nothing(root: Path) -> None:
    """The process's own file size limit stands for the disk."""
    program = """
import resource, sys
from convstore.blobs.local import LocalBlobs
from convstore.errors import StorageFullError
from convstore.testing.blob_suite import DATA, KEY, put
resource.setrlimit(resource.RLIMIT_FSIZE, (5_000, 5_000))
blobs = LocalBlobs(sys.argv[1])
try:
    put(blobs, KEY, DATA)
except StorageFullError as error:
    assert blobs.sweep(-60) == [] and not blobs.exists(KEY)
    print(error)
"""
    done = subprocess.run(
        [sys.executable, "-c", program, str(root)], capture_output=True, text=True
    )

    assert done.returncode == 0, done.stderr
    assert "EFBIG" in done.stdout


def test_running_out_of_descriptors_is_told_and_passes(blobs: LocalBlobs) -> None:
    put(blobs, KEY, DATA)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    taken = open_descriptors()
    resource.setrlimit(resource.RLIMIT_NOFILE, (taken + 1, hard))
    try:
        with pytest.raises(UnavailableError, match="EMFILE"):
            blobs.read(KEY)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))

    assert blobs.read(KEY) == DATA


def test_a_folder_that_may_not_be_written_is_a_matter_of_set_up(tmp_path: Path) -> None:
    """As another user where the tests run as root, who may write everywhere."""
    program = """
import os, sys
from convstore.blobs.local import LocalBlobs
from convstore.errors import ConfigError
from convstore.testing.blob_suite import DATA, KEY, put
import convstore.blobs.staged, convstore.blobs.posix
if os.geteuid() == 0:
    os.setgid(65534)
    os.setuid(65534)
try:
    put(LocalBlobs(sys.argv[1]), KEY, DATA)
except ConfigError as error:
    print(error)
"""
    locked = tmp_path / "locked"
    locked.mkdir()
    locked.chmod(0o500)
    done = subprocess.run(
        [sys.executable, "-c", program, str(locked)], capture_output=True, text=True
    )

    assert done.returncode == 0, done.stderr
    assert "EACCES" in done.stdout


@pytest.mark.skipif(
    os.geteuid() != 0,
    reason="needs root, who can give files away",
)
def test_another_users_file_is_not_trusted() -> None:
    with tempfile.TemporaryDirectory() as folder:
        blobs = LocalBlobs(folder)
        put(blobs, KEY, DATA)
        os.chown(file_of(Path(folder), KEY), 65534, -1)
        open_to_all(Path(folder))

        assert blobs.read(KEY) == DATA  # Root may read it in any case.
        os.seteuid(65533)
        try:
            with pytest.raises(ConfigError, match="another user"):
                blobs.read(KEY)
        finally:
            os.seteuid(0)


def open_to_all(root: Path) -> None:
    for path in [root, *root.rglob("*")]:
        path.chmod(0o755 if path.is_dir() else 0o644)


def test_a_missing_blob_is_named_by_its_key(blobs: LocalBlobs) -> None:
    with pytest.raises(SegmentNotFoundError) as caught:
        blobs.read(KEY)
    assert caught.value.segment_id == KEY


def test_a_folder_that_disappears_while_it_is_listed_is_passed_over(
    blobs: LocalBlobs, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(blobs, KEY, DATA)
    put(blobs, "other/x", DATA)
    real = os.open

    def racing(path: str, flags: int, mode: int = 0o777, **options: int) -> int:
        if path == "segments":
            shutil.rmtree(root / "segments", ignore_errors=True)
        return real(path, flags, mode, **options)

    monkeypatch.setattr(os, "open", racing)

    assert blobs.keys() == ["other/x"]


def test_a_folder_that_cannot_be_removed_stays_without_harm(
    blobs: LocalBlobs, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def busy(*args: object, **options: object) -> None:
        raise OSError(errno.EBUSY, "a mount point")

    put(blobs, KEY, DATA)
    monkeypatch.setattr(os, "rmdir", busy)

    assert blobs.delete(KEY)
    assert blobs.keys() == []
    assert (root / KEY).parent.is_dir()


def test_a_folder_that_cannot_be_listed_is_an_error(
    blobs: LocalBlobs, monkeypatch: pytest.MonkeyPatch
) -> None:
    def failing(folder: int) -> None:
        raise OSError(errno.EIO, "injected")

    put(blobs, KEY, DATA)
    monkeypatch.setattr(os, "scandir", failing)

    with pytest.raises(UnavailableError, match="EIO"):
        blobs.keys()


def test_a_blob_that_cannot_be_removed_is_an_error(
    blobs: LocalBlobs, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(blobs, KEY, DATA)
    fail_once(monkeypatch, "unlink", errno.EROFS)

    with pytest.raises(ConfigError, match="EROFS"):
        blobs.delete(KEY)
    assert blobs.read(KEY) == DATA


def test_a_publication_that_finds_no_staged_file_gives_up(
    blobs: LocalBlobs, root: Path
) -> None:
    staged = blobs.create(KEY)
    staged.sync()
    shutil.rmtree(root / "tmp")

    with pytest.raises(SegmentNotFoundError):
        staged.publish()
    assert blobs.keys() == []


def test_an_abort_in_a_folder_gone_bad_does_not_hide_the_error(
    blobs: LocalBlobs, root: Path
) -> None:
    staged = blobs.create(KEY)
    staged.write(DATA)
    staged.sync()
    root.chmod(0o777)

    with pytest.raises(ConfigError, match="chmod o-w"):
        staged.publish()
    root.chmod(0o700)
    assert len(blobs.sweep(-60)) == 1
