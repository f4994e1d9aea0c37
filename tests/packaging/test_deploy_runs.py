"""What pods and units run, run: with their settings, in folders of a test."""

from __future__ import annotations

import os
import re
import shlex
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.packaging.test_deploy import DEPLOY, ROOT

SYSTEMD = DEPLOY / "systemd"
AWAY = "postgresql://chat@127.0.0.1:9/chat"


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """In place of `/var/lib` and of `/opt`, where `convstore` is."""
    shim = tmp_path / "opt/convstore/bin/convstore"
    shim.parent.mkdir(parents=True)
    shim.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m convstore "$@"\n')
    shim.chmod(0o755)
    for folder in ("convstore", "convstore-backups"):
        (tmp_path / "var/lib" / folder).mkdir(parents=True)
    return tmp_path


def _run(home: Path, command: list[str], **settings: str) -> Any:
    return subprocess.run(
        command,
        cwd=home / "var/lib/convstore",
        env=_environment(home, **settings),
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )


def _environment(home: Path, **settings: str) -> dict[str, str]:
    kept = {k: v for k, v in os.environ.items() if not k.startswith("CONVSTORE_")}
    path = f"{home}/opt/convstore/bin{os.pathsep}{kept['PATH']}"
    return {**kept, "PATH": path, "PYTHONPATH": str(ROOT), **settings}


def _here(home: Path, text: str) -> str:
    """A line of a unit, with the folders of the test."""
    moved = re.sub(r"/(opt|var/lib)/", rf"{home}/\1/", text)
    return moved.replace("%%", "%")


def _starts(home: Path, unit: str) -> list[list[str]]:
    text = (SYSTEMD / unit).read_text("utf-8")
    lines = re.findall(r"^ExecStart(?:Post)?=(.*)$", text, re.MULTILINE)
    return [shlex.split(_here(home, line)) for line in lines]


def _settings(home: Path) -> dict[str, str]:
    text = _here(home, (SYSTEMD / "env.example").read_text("utf-8"))
    return dict(re.findall(r"^(\w+)=(.*)$", text, re.MULTILINE))


def test_the_units_back_up_and_look(home: Path) -> None:
    settings = _settings(home)
    upgraded = _run(home, ["convstore", "db", "upgrade"], **settings)
    units = ("convstore-backup.service", "convstore-doctor.service")
    commands = [command for unit in units for command in _starts(home, unit)]
    done = [_run(home, command, **settings) for command in commands]

    assert (upgraded.returncode, len(done)) == (0, 3)
    assert [each.returncode for each in done] == [0, 0, 0], done
    (backup,) = (home / "var/lib/convstore-backups").iterdir()
    assert (backup / "backup.json").exists()


@pytest.mark.slow
def test_the_pods_migrate_work_and_look(home: Path, empty_database_url: str) -> None:
    settings = {
        "CONVSTORE_URL": empty_database_url,
        "CONVSTORE_ARCHIVE_DIR": str(home / "archive"),
    }
    (job,) = yaml.safe_load_all((DEPLOY / "kubernetes/migrate.yaml").read_text())
    _, worker, doctor = yaml.safe_load_all(
        (DEPLOY / "kubernetes/worker.yaml").read_text()
    )

    assert _run(home, _command(job), **settings).returncode == 0
    with subprocess.Popen(
        _command(worker),
        stderr=subprocess.PIPE,
        text=True,
        env=_environment(home, **settings),
    ) as process:
        assert process.stderr is not None
        assert "working on" in process.stderr.readline()
        process.send_signal(signal.SIGTERM)
        assert process.wait(600) == 0
    looked = _run(home, _command(doctor["spec"]["jobTemplate"]), **settings)
    # The server of the tests keeps nothing over a power cut, and is told so.
    assert looked.returncode == int(empty_database_url.startswith("postgresql"))


def _command(document: Any) -> list[str]:
    (container,) = document["spec"]["template"]["spec"]["containers"]
    return ["convstore", *container["args"]]


@pytest.mark.parametrize(
    ("command", "settings", "code"),
    [
        ("doctor", {"CONVSTORE_URL": AWAY}, 1),
        ("doctor", {"CONVSTORE_POOL_SIZE": "some"}, 2),
        ("stats --json", {"CONVSTORE_URL": AWAY}, 6),
    ],
)
def test_a_probe_is_told_by_the_exit_code(
    home: Path, command: str, settings: dict[str, str], code: int
) -> None:
    done = _run(home, ["convstore", *command.split()], **settings)

    assert done.returncode == code, done.stdout + done.stderr
