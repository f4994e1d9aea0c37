"""The demonstration: it works anywhere, again, and touches nobody's data."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.conftest import Cli


@pytest.mark.slow
def test_the_demo_tells_the_whole_life_of_the_samples(tmp_path: Path) -> None:
    cli = Cli(tmp_path)
    cli.options = []

    done = cli.ok("demo")
    again = cli.ok("demo")

    assert "turn for turn as it was: yes" in done.out
    assert "0 faults" in done.out
    assert "made anew: no" in done.out
    home = tmp_path / "convstore-demo"
    assert list(home.rglob("*.jsonl.zst"))
    assert list((home / "export").rglob("*.jsonl"))
    assert "convstore-demo-2" in again.out
    # The command that it ends with works.
    cli.options = ["--home", str(home)]
    assert "all is well" in cli.ok("doctor").out


def test_the_demo_takes_the_files_of_a_folder(cli: Cli) -> None:
    folder = cli.folder / "talks"
    folder.mkdir()
    cli.talks("s-1").rename(folder / "a.jsonl")
    cli.talks("s-2").rename(folder / "b.jsonl")

    done = cli.ok("demo", folder)

    assert "a.jsonl: 1 session, 2 turns" in done.out
    assert "2 sessions are due" in done.out


def test_the_demo_refuses_a_folder_without_conversations(cli: Cli) -> None:
    done = cli.run("demo", cli.folder)

    assert done.code == 2
    assert "holds no *.jsonl file" in done.err
    assert not cli.home.exists()


def test_the_demo_refuses_a_folder_with_something_in_it(cli: Cli) -> None:
    cli.ok("import", "messages", cli.talks("s-1"))

    done = cli.run("demo")

    assert done.code == 2
    assert cli.ok("stats", "--json").json["sessions"] == {"active": 1}


def test_the_demo_refuses_another_database(cli: Cli) -> None:
    cli.options = ["--url", "postgresql://localhost:1/x"]

    assert cli.run("demo").code == 2


@pytest.mark.parametrize(
    "name",
    ["tau-bench-airline/trajectories.jsonl.gz", "oasst1-en/messages.jsonl.gz"],
)
def test_the_demo_shows_real_conversations(
    cli: Cli, real_data: Path, name: str
) -> None:
    done = cli.ok("demo", real_data / name)

    assert "turn for turn as it was: yes" in done.out
    assert "set aside" not in done.out
