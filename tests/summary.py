"""What the run was tested on, and what not and why: said aloud at its end."""

from __future__ import annotations

import os
import signal
import threading
from typing import Any, NoReturn

import pytest

from tests.servers import room_in_memory

IN_CI = os.environ.get("CI", "").lower() not in ("", "0", "false")
TESTED_ON = pytest.StashKey[dict[str, str]]()
MISSING = pytest.StashKey[dict[str, str]]()
ABSENT: dict[str, str] = {}
"""Packages that were asked for and are not installed, and what to do about it."""


def pytest_configure(config: pytest.Config) -> None:
    config.stash[TESTED_ON] = {}
    config.stash[MISSING] = {}
    # Settings of whoever runs the tests must not reach the stores under test.
    for name in list(os.environ):
        if name.startswith("CONVSTORE_") and not name.startswith("CONVSTORE_TEST_"):
            del os.environ[name]
    _hear_sigint()
    _work_in_memory()


def _work_in_memory() -> None:
    """Let the folders of the tests be in memory: a disk takes milliseconds to have a
    commit for sure, and the tests make some hundred thousand.

    Who names a place (`TMPDIR`, `--basetemp`) has it there.
    """
    place = "PYTEST_DEBUG_TEMPROOT"
    memory = room_in_memory()
    if memory is not None and not {"TMPDIR", place} & os.environ.keys():
        os.environ[place] = str(memory)


def _hear_sigint() -> None:
    """Undo what a background shell did, which has its children ignore Ctrl-C.

    Whoever inherits that ignores it too, unless told otherwise: the workers of
    pytest-xdist, and the processes that tests interrupt.
    """
    if threading.current_thread() is not threading.main_thread():
        return  # Only there can a handler be set.
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    """Take over what a worker of pytest-xdist has seen."""
    output = getattr(node, "workeroutput", {})
    node.config.stash[TESTED_ON].update(output.get("tested_on", {}))
    node.config.stash[MISSING].update(output.get("missing", {}))


def pytest_sessionfinish(session: pytest.Session) -> None:
    session.config.stash[MISSING].update(ABSENT)
    output = getattr(session.config, "workeroutput", None)
    if output is not None:
        output["tested_on"] = session.config.stash[TESTED_ON]
        output["missing"] = session.config.stash[MISSING]


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    tested_on, missing = config.stash[TESTED_ON], config.stash[MISSING]
    if tested_on or missing:
        terminalreporter.section("tested on")
    for name, version in sorted(tested_on.items()):
        terminalreporter.write_line(f"{name}: {version}")
    for name, reason in sorted(missing.items()):
        line = f"{name.upper()} WAS NOT TESTED: {reason}"
        terminalreporter.write_line(line, red=True, bold=True)


def give_up(config: pytest.Config, name: str, reason: str) -> NoReturn:
    """Leave a test out, loudly; where CI is set, fail it."""
    note_missing(config, name, reason)
    if IN_CI:
        pytest.fail(f"{name}: {reason}", pytrace=False)
    pytest.skip(f"{name}: {reason}")


def leave_out(config: pytest.Config, name: str, reason: str) -> NoReturn:
    """Leave a test out, loudly, for want of what no package brings.

    A command or a right of the machine: where CI is set, no failure either.
    """
    note_missing(config, name, reason)
    pytest.skip(f"{name}: {reason}")


def needs(module: str, minversion: str | None = None) -> Any:
    """A module of an optional package; without it the tests here are left out, loudly.

    Where CI is set they fail: its environment has everything.
    """
    try:
        return pytest.importorskip(module, minversion=minversion)
    except pytest.skip.Exception as skipped:
        reason = f"{skipped.msg}; scripts/test makes an environment that has it"
    ABSENT[module] = reason
    if IN_CI:
        pytest.fail(reason, pytrace=False)
    pytest.skip(reason, allow_module_level=True)


def note_tested(config: pytest.Config, name: str, version: str) -> None:
    config.stash[TESTED_ON][name] = version


def note_missing(config: pytest.Config, name: str, reason: str) -> None:
    config.stash[MISSING][name] = reason
