"""Hands data sets to the verifier, which is no part of the repository."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Container, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.summary import give_up, note_missing, note_tested

ROOT = Path(__file__).resolve().parents[2]
JUDGE = Path(__file__).with_name("judge.py")

# Fewer rows and one step: enough to see that a trainer takes what the rules passed.
QUICK = "--sample 60 --train-rows 8 --steps 1".split()
IN_FULL = os.environ.get("CONVSTORE_TEST_VERIFY") == "full"
"""Whether the verifier takes as many rows and steps as it does by itself, and trains on
each data set it is given: an hour, and so not for every day."""

# Our formats as the verifier calls them; it has none for whole sessions.
NAMES = {
    "messages": "trl-sft",
    "prompt-completion": "trl-prompt-completion",
    "preference": "trl-preference",
    "reward": "trl-reward",
    "kto": "trl-kto",
    "prompt": "trl-prompt",
    "stepwise": "trl-stepwise",
    **{
        name: name
        for name in (
            "openai-sft",
            "openai-dpo",
            "sharegpt",
            "sharegpt-dpo",
            "sharegpt-kto",
            "axolotl-dpo",
            "oasst",
        )
    },
}


@dataclass(frozen=True)
class Verdict:
    """What the verifier said of one data set; `why` is empty where it accepts."""

    folder: Path
    format: str
    accepted: bool
    why: tuple[str, ...]


class Verifier:
    """The program that judges: one process for all data sets, started by the first."""

    def __init__(self, program: Path) -> None:
        self._program = program
        self._process: subprocess.Popen[str] | None = None
        self._told = tempfile.TemporaryFile("w+")  # noqa: SIM115 - see `close`

    def judge(
        self, sets: Sequence[tuple[Path, str]], *, train: Container[Path] | None = None
    ) -> list[Verdict]:
        """A verdict for each folder and format, in order.

        Trainers take a step on each of them, or on those in `train` only.
        """
        asked = []
        for folder, name in sets:
            command = [str(folder), NAMES[name], "--strict", "--require-clients"]
            if not IN_FULL:
                command += QUICK
                if train is not None and folder not in train:
                    command.append("--no-train")
            asked.append(command)
        told = self._answer(json.dumps(asked))
        assert not [v for v in told if v["code"] == 3], "a client library is missing"
        return [
            Verdict(folder, name, verdict["accepted"], tuple(verdict["why"]))
            for (folder, name), verdict in zip(sets, told, strict=True)
        ]

    def close(self) -> None:
        """End the process. Idempotent."""
        if self._process is not None:
            with self._process as process:
                process.kill()
            self._process = None
        self._told.close()

    def _answer(self, line: str) -> list[dict[str, Any]]:
        if self._process is None:
            self._process = subprocess.Popen(
                [sys.executable, "-W", "ignore", str(JUDGE), str(self._program)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=self._told,
                text=True,
                cwd=ROOT,
            )
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(line + "\n")
        self._process.stdin.flush()
        answer = self._process.stdout.readline()
        if not answer:
            self._process.wait()
            self._process = None
            self._told.seek(0)
            raise AssertionError(self._told.read()[-2_000:])
        told: list[dict[str, Any]] = json.loads(answer)
        return told


def find_verifier(config: pytest.Config) -> Verifier:
    """The verifier that `CONVSTORE_TEST_VERIFIER` names; loudly left out without."""
    named = os.environ.get("CONVSTORE_TEST_VERIFIER")
    program = Path(named) if named else ROOT.parent / "shared" / "verify_export.py"
    if program.is_file():
        note_tested(config, "verifier of exports", str(program))
        return Verifier(program)
    reason = f"no file {program}; CONVSTORE_TEST_VERIFIER names another one"
    if named:
        give_up(config, "verifier of exports", reason)
    note_missing(config, "verifier of exports", reason)
    pytest.skip(reason)
