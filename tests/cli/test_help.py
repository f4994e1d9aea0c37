"""Every command explains itself, and the command line starts quickly."""

from __future__ import annotations

import gc
import json
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest
import typer

from convstore.cli.loading import loading
from convstore.cli.root import app, run
from convstore.vocabulary.version import __version__
from tests.cli.conftest import Cli

# The list of the design: what others' scripts call.
CONTRACT = """
demo
db upgrade
db downgrade
db current
db check
db maintain
db copy
sessions list
sessions show
sessions rename
sessions tag
sessions delete
sessions fork
sessions export
sessions bulk
users list
users export
search
import
export
archive plan
archive run
archive verify
archive recover
archive rebuild
archive list
archive adopt
archive compact
archive tables
archive cat
archive restore
hold place
hold release
hold list
erase
backup
mcp
web
web tokens add
web tokens list
web tokens remove
worker
stats
doctor
""".split("\n")[1:-1]
PRINT_NO_RESULT = {"demo", "mcp", "web", "worker"}
HEAVY = {
    "alembic",
    "apscheduler",
    "pydantic",
    "pydantic_settings",
    "rich",
    "sqlalchemy",
}

UNUSED_BY_A_LIST = {
    "alembic",
    "apscheduler",
    "asyncpg",
    "convstore.db.dialects.postgres",
    "convstore.blocking",
    "convstore.export",
    "convstore.imports",
    "convstore.metrics",
    "convstore.shards.assembly",
    "convstore.store.exports",
    "convstore.store.importing",
    "convstore.tasks",
    "convstore.testing",
    "convstore.web",
    "sqlalchemy.dialects.postgresql",
    "sqlalchemy.ext.asyncio",
    "sqlalchemy.orm",
}


def commands(group: Any = None, path: str = "") -> Iterator[tuple[str, Any]]:
    """Every command with its path."""
    group = group or typer.main.get_command(app)
    for name, command in group.commands.items():
        if getattr(command, "invoke_without_command", False):
            yield f"{path}{name}", command  # it does something by itself, too
        if hasattr(command, "commands"):
            yield from commands(command, f"{path}{name} ")
        else:
            yield f"{path}{name}", command


ALL = dict(commands())


def test_the_commands_are_those_of_the_design() -> None:
    assert set(ALL) == set(CONTRACT)


@pytest.mark.parametrize("path", ALL)
def test_a_command_says_what_it_does_and_what_it_takes(path: str) -> None:
    command = ALL[path]

    assert (command.help or "").strip().endswith((".", ")"))
    silent = [p.name for p in command.params if not getattr(p, "help", None)]
    assert silent in ([], ["help"])


@pytest.mark.parametrize("path", sorted(set(ALL) - PRINT_NO_RESULT))
def test_a_command_that_prints_can_print_json(path: str) -> None:
    options = {option for p in ALL[path].params for option in p.opts}

    assert "--json" in options


def test_the_top_says_the_exit_codes_and_the_version(cli: Cli) -> None:
    assert "Exit codes" in cli.ok("--help").out
    assert cli.ok("--version").out == f"convstore {__version__}\n"


@pytest.mark.parametrize("path", ["", *ALL])
def test_help_fits_a_narrow_terminal(
    path: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", "60")

    assert run([*path.split(), "-h"]) == 0
    told = capsys.readouterr().out
    assert run([*path.split(), "--help"]) == 0

    assert capsys.readouterr().out == told
    assert max(map(len, told.splitlines())) <= 60


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_a_shell_completes_commands(cli: Cli, shell: str) -> None:
    # Where no shell has begun it, as in the background, there is none to be found.
    named = {"_TYPER_COMPLETE_TEST_DISABLE_SHELL_DETECTION": "1"}
    shown = cli.ok("--show-completion", shell, **named).out
    words = {"COMP_WORDS": "convstore arch", "COMP_CWORD": "1"}
    asked = {"_CONVSTORE_COMPLETE": "complete_bash", **words}

    assert "_CONVSTORE_COMPLETE" in shown
    assert cli.ok(**asked).out.split() == ["archive"]


def test_help_imports_nothing_heavy() -> None:
    """The time it takes is measured by the benchmarks; this is its cause."""
    assert loaded_by("--help").isdisjoint(HEAVY)


def test_a_list_of_a_file_loads_nothing_of_servers_or_migrations(cli: Cli) -> None:
    cli.ok("db", "upgrade")

    loaded = loaded_by(*cli.options, "sessions", "list")

    assert "convstore.db.dialects.sqlite" in loaded
    assert loaded.isdisjoint(UNUSED_BY_A_LIST)


def test_nothing_looks_for_garbage_while_a_command_is_loaded() -> None:
    kept = gc.get_freeze_count()
    with loading():
        assert not gc.isenabled()
    assert gc.isenabled()
    assert gc.get_freeze_count() == kept  # what another program made may be garbage

    gc.disable()  # as a program may have it that runs the command itself
    try:
        with loading():
            pass
        assert not gc.isenabled()
    finally:
        gc.enable()


def test_what_a_command_has_loaded_is_set_aside(cli: Cli) -> None:
    cli.ok("db", "upgrade")
    program = (
        "import atexit, gc, sys; from convstore.cli.app import main;"
        "atexit.register(lambda: print(gc.get_freeze_count(), gc.isenabled())); main()"
    )
    kept = [
        subprocess.run(
            [sys.executable, "-c", program, *cli.options, *command],
            capture_output=True,
            text=True,
            check=True,
            env=Cli.environment(),
        ).stdout.split()[-2:]
        for command in (["--version"], ["sessions", "list"])
    ]

    assert [collects for _, collects in kept] == ["True", "True"]
    assert int(kept[1][0]) > 2 * int(kept[0][0]) > 0


def loaded_by(*arguments: str) -> set[str]:
    program = (
        "import sys, json; from convstore.cli.root import run; run(sys.argv[1:]);"
        "print('\\n' + json.dumps(sorted(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, *arguments],
        capture_output=True,
        text=True,
        check=True,
        env=Cli.environment(),
    )
    return set(json.loads(done.stdout.splitlines()[-1]))
