"""What the system may deny a program: rights, room, a disk that can be written to."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.summary import leave_out

ROOT = Path(__file__).resolve().parents[1]
_MOUNT = 'mount -t tmpfs -o "$1,mode=755" none "$2" && shift 2 && exec "$@"'


@contextmanager
def without_rights() -> Iterator[None]:
    """As a user to whom nothing belongs, where the tests run as root."""
    if os.geteuid():
        yield
        return
    os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(0)


@contextmanager
def files_up_to(size_bytes: int) -> Iterator[None]:
    """No file may grow further: the full disk that a process can give itself."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size_bytes, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def on_own_disk(
    config: pytest.Config, folder: Path, options: str, program: str
) -> subprocess.CompletedProcess[str]:
    """Run a program whose first argument is a file system of its own, mounted there.

    Nobody else sees it, and it goes with the program. Where the system lets nobody
    mount one, the test is left out, aloud.
    """
    alone = ["unshare", "--user", "--map-root-user", "--mount"]
    inside = ["sh", "-c", _MOUNT, "sh", options, str(folder)]
    try:
        subprocess.run([*alone, *inside, "true"], capture_output=True, check=True)
    except (OSError, subprocess.CalledProcessError) as error:
        leave_out(config, "a disk of its own", f"nobody may mount one here: {error}")
    return subprocess.run(
        [*alone, *inside, sys.executable, "-c", program, str(folder)],
        capture_output=True,
        text=True,
        cwd=ROOT,
        timeout=600,
        check=False,
    )
