"""The commands of the page on coming over: each is run, on what its tool writes."""

from __future__ import annotations

import json
import re
import shlex
import zipfile
from pathlib import Path

import pytest

from tests.cli.conftest import Cli
from tests.unit.imports.tools.samples import SAMPLES, Sample

PAGE = Path(__file__).resolve().parents[2] / "docs" / "howto" / "come-over.md"
_ROW = re.compile(
    r"^\| ([^|]+) \| [^|]+ \| `(convstore import [^`]+)` \|", re.MULTILINE
)
# Where the page says otherwise than we what a tool is called.
_CALLED = {
    "simonw/llm": "llm",
    "Vercel AI SDK": "uimessage",
    "Codex CLI": "codex",
    "LMSYS-Chat-1M": "wildchat",
}
_INSIDE = {
    "codex": "2026/03/01/rollout-2026-03-01T09-00-00-s.jsonl",
    "claude-code": "project/s.jsonl",
    "slack": "general/2026-03-01.json",
}
COMMANDS = {
    _CALLED.get(tool, tool.lower().replace(" ", "-").replace(".", "-")): command
    for tools, command in _ROW.findall(PAGE.read_text("utf-8"))
    for tool in tools.split(", ")
}


def test_every_tool_that_is_read_has_a_command() -> None:
    assert COMMANDS.keys() == {sample.name for sample in SAMPLES}


@pytest.fixture(name="home", scope="module")
def home_fixture(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("home")


@pytest.mark.parametrize("name", COMMANDS)
def test_the_command_for_a_tool_takes_its_export(
    name: str, home: Path, tmp_path: Path
) -> None:
    cli = Cli(tmp_path)
    # One database for all of them: to make one takes longer than an import.
    cli.options = ["--home", str(home), "--tenant", name]
    shell = {"$(llm logs path)": "logs.db", "~": str(tmp_path)}
    command = COMMANDS[name]
    for said, meant in shell.items():
        command = command.replace(said, meant)
    _, *arguments = shlex.split(command)
    source = tmp_path / arguments[-1]
    sample = next(s for s in SAMPLES if s.name == name and _suits(s, source.suffix))
    _write(sample, source)

    (report,) = cli.ok(*arguments, "--json").json["files"]

    assert (report["format"], report["turns"]) == (name, sample.turns)
    assert report["rejected"] == {}


def _suits(sample: Sample, suffix: str) -> bool:
    return (sample.tables is not None) == (suffix == ".db")


def _write(sample: Sample, source: Path) -> None:
    """Put what a tool writes where the command looks for it."""
    if sample.tables is not None:
        sample.written(source.parent).rename(source)
        return
    lines = sample.records or (sample.document,)
    text = "".join(json.dumps(line) + "\n" for line in lines)
    if source.suffix == ".zip":
        with zipfile.ZipFile(source, "w") as packed:
            packed.writestr("conversations.json", text)
    elif source.suffix:
        source.write_text(text)
    else:
        path = source / _INSIDE.get(sample.name, "export.json")
        path.parent.mkdir(parents=True)
        path.write_text(text)
