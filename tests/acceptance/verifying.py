"""Hands data sets to the verifier, which is no part of the repository."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.summary import give_up, note_missing, note_tested

ROOT = Path(__file__).resolve().parents[2]
JUDGE = Path(__file__).with_name("judge.py")

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


@dataclass(frozen=True)
class Verifier:
    """The program that judges, one process for many data sets."""

    program: Path

    def judge(self, sets: Sequence[tuple[Path, str]]) -> list[Verdict]:
        """A verdict for each folder and format, in order."""
        asked = [[str(folder), NAMES[name]] for folder, name in sets]
        done = subprocess.run(
            [sys.executable, "-W", "ignore", str(JUDGE), str(self.program)],
            input=json.dumps(asked),
            capture_output=True,
            text=True,
            cwd=ROOT,
            timeout=900,
            check=False,
        )
        assert done.returncode == 0, done.stderr[-2_000:]
        told = json.loads(done.stdout)
        assert not [v for v in told if v["code"] == 3], "a client library is missing"
        return [
            Verdict(folder, name, verdict["accepted"], tuple(verdict["why"]))
            for (folder, name), verdict in zip(sets, told, strict=True)
        ]


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
