"""The command line as people use it: its output and exit code.

A command runs in the process of the test, where its modules are loaded already: a
second of processor time less. What only a process shows (signals, terminals, pipes,
encodings, what is imported) is tested with one: `Cli.process`, `Cli.argv`.
"""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from collections.abc import Callable
from contextlib import chdir
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest


@dataclass(frozen=True)
class Done:
    """A command that has ended."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


def _done(code: int, out: str, err: str) -> Done:
    assert "Traceback" not in err + out
    return Done(code, out, err)


class _Captured(io.TextIOWrapper):
    """A stream that is no terminal, and whose text is kept."""

    def __init__(self) -> None:
        self._bytes = io.BytesIO()
        super().__init__(self._bytes, encoding="utf-8")

    def text(self) -> str:
        self.flush()
        return self._bytes.getvalue().decode().replace("\r\n", "\n")


class Cli:
    """Runs commands on one home, in a folder of its own."""

    def __init__(self, folder: Path, url: str | None = None) -> None:
        self.folder = folder
        self.home = folder / "home"
        self.options = ["--home", str(self.home), *(["--url", url] if url else [])]

    def argv(self, *arguments: object) -> list[str]:
        given = [str(argument) for argument in arguments]
        return [sys.executable, "-m", "convstore", *self.options, *given]

    @staticmethod
    def environment(**more: str) -> dict[str, str]:
        kept = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith("CONVSTORE_") and name != "COLUMNS"
        }
        # Warnings are errors here as everywhere in the tests.
        root = str(Path(__file__).resolve().parents[2])
        return {**kept, "PYTHONPATH": root, "PYTHONWARNINGS": "error", **more}

    def run(self, *arguments: object, stdin: str = "", **more: str) -> Done:
        """Run a command here, as if in a process of its own; a traceback that reaches
        the user fails the test."""
        from convstore.cli.root import main

        given = [str(argument) for argument in arguments]
        out, err = _Captured(), _Captured()
        code: object = None
        with pytest.MonkeyPatch.context() as patch, chdir(self.folder):
            for name in os.environ.keys() - self.environment().keys():
                patch.delenv(name)
            for name, value in more.items():
                patch.setenv(name, value)
            patch.setattr(sys, "argv", ["convstore", *self.options, *given])
            patch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(stdin.encode())))
            patch.setattr(sys, "stdout", out)
            patch.setattr(sys, "stderr", err)
            try:
                main()
            except SystemExit as end:
                code = end.code
        assert isinstance(code, int), "a command ends with a code"
        return _done(code, out.text(), err.text())

    def process(self, *arguments: object, **more: str) -> Done:
        """Run a command in a process of its own."""
        done = subprocess.run(
            self.argv(*arguments),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            cwd=self.folder,
            env=self.environment(**more),
            timeout=600,
        )
        return _done(done.returncode, done.stdout, done.stderr)

    def ok(self, *arguments: object, **more: str) -> Done:
        """Run a command that is to succeed."""
        done = self.run(*arguments, **more)
        assert done.code == 0, done.err or done.out
        return done

    def write(self, name: str, *records: Any) -> Path:
        """A file of JSON lines."""
        path = self.folder / name
        path.write_text("".join(json.dumps(record) + "\n" for record in records))
        return path

    def talks(self, *session_ids: str, **more: Any) -> Path:
        """A file of small conversations."""
        said = [
            {"role": "user", "content": "Welke archieven zijn er?"},
            {"role": "assistant", "content": "Drie. 🎉"},
        ]
        records = [
            {"session_id": session_id, "messages": said, **more}
            for session_id in session_ids
        ]
        return self.write("talks.jsonl", *records)


@pytest.fixture
def new_cli(tmp_path: Path) -> Callable[[str], Cli]:
    """Further homes, by name."""

    def make(name: str) -> Cli:
        folder = tmp_path / name
        folder.mkdir()
        return Cli(folder)

    return make


@pytest.fixture
def cli(tmp_path: Path) -> Cli:
    """Commands on a home that does not exist yet."""
    return Cli(tmp_path)


@pytest.fixture
def cli_on_each(tmp_path: Path, database_url: str) -> Cli:
    """Commands on a fresh database, once on SQLite and once on PostgreSQL."""
    return Cli(tmp_path, database_url)
