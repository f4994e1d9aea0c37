"""Commands that run on, ask, or are cut off: signals, terminals, pipes."""

from __future__ import annotations

import json
import os
import pty
import re
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import pytest
from rich.progress import Progress

from convstore.cli.output import Bar
from tests.cli.conftest import Cli


@contextmanager
def running(
    cli: Cli, *arguments: object, **more: str
) -> Iterator[subprocess.Popen[str]]:
    """A command that is under way; killed if it is still there at the end."""
    process = subprocess.Popen(
        cli.argv(*arguments),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=cli.folder,
        env=cli.environment(**more),
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def wait_for(process: subprocess.Popen[str], text: str) -> str:
    """Read the error stream up to the line with `text`."""
    assert process.stderr is not None
    read = ""
    for line in process.stderr:
        read += line
        if text in line:
            return read
    raise AssertionError(f"ended without saying {text!r}: {read}")


@pytest.mark.mostly_slow("*-15")
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_worker_archives_and_ends_in_order(
    cli_on_each: Cli, number: signal.Signals
) -> None:
    cli_on_each.ok("import", "messages", cli_on_each.talks("s-1"))
    settings = {"CONVSTORE_RETENTION__STALE_AFTER_S": "0"}

    with running(cli_on_each, "worker", **settings) as worker:
        log = wait_for(worker, "archived 1 sessions")
        worker.send_signal(number)
        _, rest = worker.communicate(timeout=600)

    assert worker.returncode == 0
    assert "Traceback" not in rest
    assert "sqlalchemy" not in log + rest
    assert cli_on_each.ok("stats", "--json").json["sessions"] == {"archived": 1}


@pytest.mark.mostly_slow("True")
@pytest.mark.parametrize("as_json", [False, True])
def test_an_interrupted_command_says_so_and_goes_on_when_repeated(
    cli: Cli, as_json: bool
) -> None:
    one = {"session_id": "s", "messages": [{"role": "user", "content": "x"}]}
    records = [{**one, "session_id": f"s-{number}"} for number in range(3_000)]
    arguments = ("import", "messages", cli.write("many.jsonl", *records))

    with running(cli, *arguments, *(["--json"] if as_json else [])) as command:
        wait_for(command, "is a new database")
        command.send_signal(signal.SIGINT)
        out, err = command.communicate(timeout=600)

    assert (command.returncode, out) == (130, "")
    told = json.loads(err)["message"] if as_json else err
    assert "interrupted" in told
    done = cli.ok(*arguments, "--json").json
    assert done["sessions"] + done["already_present"] == len(records)


def test_a_loop_of_retention_ends_in_order(cli: Cli) -> None:
    cli.ok("import", "messages", cli.talks("s-1"))

    arguments = ("archive", "run", "--older-than", "0s", "--loop")
    with running(cli, *arguments) as loop:
        assert loop.stdout is not None
        first = next(line for line in loop.stdout if "archived" in line)
        loop.send_signal(signal.SIGTERM)
        _, err = loop.communicate(timeout=600)

    assert first.split()[-1] == "1"
    assert (loop.returncode, err) == (0, "")


def answer(cli: Cli, text: str, *arguments: object) -> int:
    """Run a command on a terminal, and give an answer to its question."""
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        cli.argv(*arguments),
        stdin=theirs,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        cwd=cli.folder,
        env=cli.environment(),
    )
    os.close(theirs)
    os.write(ours, text.encode())
    _, err = process.communicate(timeout=600)
    os.close(ours)
    assert "Traceback" not in err
    return process.returncode


def test_destruction_asks_a_person_first(cli: Cli) -> None:
    cli.ok("import", "messages", cli.talks("s-1"))

    refused = answer(cli, "n\n", "erase", "--session", "s-1")
    kept = cli.ok("sessions", "list", "--json").json["items"]
    agreed = answer(cli, "y\n", "erase", "--session", "s-1")

    assert (refused, agreed) == (1, 0)
    assert len(kept) == 1
    assert cli.run("sessions", "show", "s-1").code == 5


def seen(cli: Cli, *arguments: object) -> str:
    """What a command shows on a terminal beside its output."""
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        cli.argv(*arguments),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=theirs,
        cwd=cli.folder,
        env=cli.environment(TERM="xterm", COLUMNS="160", NO_COLOR="1"),
    )
    os.close(theirs)
    shown = b""
    with suppress(OSError):  # how a terminal ends
        while data := os.read(ours, 4096):
            shown += data
    os.close(ours)
    assert process.wait(60) == 0
    return shown.decode()


def test_an_export_shows_how_far_and_how_fast_it_is(cli: Cli) -> None:
    cli.ok("import", "messages", cli.talks("s-1", "s-2", "s-3"))

    shown = seen(cli, "export", "prompt", "--to", "out")

    assert "reading: 3 sessions, 3 rows" in shown
    assert "writing: 3 rows, 2 left out" in shown  # they are equal
    assert re.search(r"\d rows/s 0:00:\d\d gone, -?\d?:", shown)


def test_a_bar_tells_the_speed_of_a_phase_and_the_time_left() -> None:
    now = 100.0
    shown = Progress(get_time=lambda: now, disable=True)
    bar = Bar(shown, shown.add_task("reading", total=None))
    (task,) = shown.tasks
    for done in (1, 2, 3):
        now += 10
        bar.at(done * 100, 1_000, "reading", counted=(done * 400, "rows"))
    assert (task.fields["per_s"], task.time_remaining) == ("40 rows/s", 70)

    bar.at(0, 1_200, "writing", counted=(0, "rows"))
    for done in (1, 2):
        now += 1
        bar.at(done * 300, 1_200, "writing", counted=(done * 300, "rows"))

    assert (task.fields["per_s"], task.time_remaining) == ("300 rows/s", 2)


def test_yes_asks_nobody(cli: Cli) -> None:
    cli.ok("import", "messages", cli.talks("s-1"))

    assert answer(cli, "", "sessions", "delete", "s-1", "--yes") == 0


def test_a_reader_that_has_seen_enough_is_no_error(cli: Cli) -> None:
    said = [{"role": "user", "content": "x" * 500_000}]
    cli.ok(
        "import",
        "messages",
        cli.write("a.jsonl", {"session_id": "s-1", "messages": said}),
    )

    with running(cli, "sessions", "show", "s-1", "--json") as show:
        assert show.stdout is not None
        assert show.stderr is not None
        show.stdout.read(1)
        show.stdout.close()
        err = show.stderr.read()
        code = show.wait(60)

    assert (code, err) == (0, "")


# What is stored does not drive the terminal

EVIL = "\x1b]0;owned\x07\x1b[31mred\x9b2J\u202eright to left\r\nnext"


def test_stored_text_does_not_reach_a_terminal_as_it_is(cli: Cli) -> None:
    record = {
        "session_id": f"s-{EVIL}"[:40],
        "title": EVIL,
        "user_id": EVIL,
        "messages": [{"role": "user", "content": EVIL, "name": EVIL}],
    }
    cli.ok("import", "messages", cli.write("evil.jsonl", record))
    (session,) = cli.ok("sessions", "list", "--json").json["items"]

    printed = [
        cli.ok("sessions", "list").out,
        cli.ok("sessions", "show", session["id"]).out,
        cli.ok("sessions", "show", session["id"], "--json").out,
        cli.ok("archive", "plan", "--older-than", "0s").out,
        cli.ok("archive", "run", "--older-than", "0s").out,
        cli.ok("archive", "list").out,
        cli.ok("archive", "cat", session["id"]).out,
        cli.run("hold", "release", session["id"]).err,
    ]

    assert session["title"] == EVIL
    for text in printed:
        assert not set(text) & set("\x1b\x07\x9b\u202e\r")


def test_a_terminal_without_the_characters_is_no_error(cli: Cli) -> None:
    cli.ok("import", "messages", cli.talks("s-1"))

    done = cli.process("sessions", "show", "s-1", PYTHONIOENCODING="ascii")

    assert "\\U0001f389" in done.out


@pytest.mark.parametrize("at", ["typer.main", "convstore.cli.context", "sqlalchemy"])
@pytest.mark.parametrize("as_json", [False, True])
def test_an_interrupt_while_the_command_is_imported_is_told_in_one_line(
    cli: Cli, at: str, as_json: bool
) -> None:
    """Python names each module that it has imported, and is interrupted behind one."""
    cli.ok("db", "upgrade")
    arguments = ("sessions", "list", *(["--json"] if as_json else []))

    with running(cli, *arguments, PYTHONPROFILEIMPORTTIME="1") as command:
        wait_for(command, f" {at}\n")
        command.send_signal(signal.SIGINT)
        out, rest = command.communicate(timeout=600)

    told = [line for line in rest.splitlines() if not line.startswith("import time:")]
    assert command.returncode == 130
    assert out == ""
    assert len(told) == 1
    assert "interrupted" in told[0]
    assert not as_json or json.loads(told[0])["exit_code"] == 130
