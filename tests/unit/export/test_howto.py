"""The commands of the pages on imports and exports, run in the order of the page."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.summary import needs

ROOT = Path(__file__).resolve().parents[3]
HOWTO = ROOT / "docs" / "howto"
# The script `trl` does the same. Several commands in one process import torch once
# less each; each still has the process of its own that `accelerate` starts to train in.
_TRL = """
import shlex, sys
from trl.cli import main
for line in sys.argv[1].splitlines():
    program, *arguments = shlex.split(line)
    if program != "trl" or main(arguments):
        sys.exit(line)
"""
_BLOCK = re.compile(r"^```(python|sh|sh trainers)\n(.*?)^```$", re.M | re.S)


@pytest.fixture
def run(tmp_path: Path) -> str:
    shim = tmp_path / "bin" / "convstore"
    shim.parent.mkdir()
    shim.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m convstore "$@"\n')
    shim.chmod(0o755)
    return str(tmp_path)


def run_page(name: str, folder: str, kinds: set[str]) -> None:
    environment = {
        **{k: v for k, v in os.environ.items() if not k.startswith("CONVSTORE_")},
        "PYTHONPATH": str(ROOT),
        "PATH": os.pathsep.join(
            [f"{folder}/bin", str(Path(sys.executable).parent), os.environ["PATH"]]
        ),
        "HF_HUB_OFFLINE": "1",
        "CUDA_VISIBLE_DEVICES": "",
    }
    page = (HOWTO / name).read_text(encoding="utf-8")
    for kind, block in _BLOCK.findall(page):
        if kind not in kinds:
            continue
        shell = [sys.executable, "-c"] if kind == "python" else ["sh", "-ec"]
        if block.startswith("trl ") and "\\\n" not in block:
            shell = [sys.executable, "-c", _TRL]
        done = subprocess.run(
            [*shell, block],
            cwd=folder,
            env=environment,
            capture_output=True,
            text=True,
            timeout=600,
            check=False,
        )
        assert done.returncode == 0, f"{block}\n{done.stdout}\n{done.stderr}"


@pytest.mark.slow
def test_the_export_commands_of_the_page_run(run: str) -> None:
    run_page("export-rlhf.md", run, {"python", "sh"})

    assert len(list(Path(run).glob("pairs*/manifest.json"))) == 2


@pytest.mark.slow
def test_the_import_commands_of_the_page_run(run: str) -> None:
    run_page("import.md", run, {"sh"})

    data = Path(run) / "survey-pairs" / "data"
    lines = [line for f in data.iterdir() for line in f.read_text().splitlines()]
    rows = [json.loads(line) for line in lines]
    sides = [(r["chosen"][0]["content"], r["rejected"][0]["content"]) for r in rows]
    assert sorted(sides) == [
        ("Amsterdam.", "The Hague."),
        ("Jupiter, I think.", "Saturn."),
        ("Jupiter.", "Jupiter, I think."),
    ]


@pytest.mark.trainers
@pytest.mark.timeout(900)
def test_the_page_ends_in_a_training_run(run: str) -> None:
    needs("trl")

    run_page("export-rlhf.md", run, {"python", "sh", "sh trainers"})

    trained = {path.name for path in Path(run).glob("run*")}
    assert trained == {"run", "run-sft", "run-kto", "run-reward"}
