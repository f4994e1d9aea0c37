"""Several Python processes at once, for tests of what only processes can show.

A program is the text of a script, or the path of one. It finds its arguments in
`sys.argv[1:]`, its number among its kind in `INDEX`, and two functions:
`wait_for_all()` returns when every process of the run has reached it, and
`report(value)` sends one JSON value to the test.
"""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

PRELUDE = """
import json as _json, sys as _sys
INDEX = int(_sys.argv.pop(1))
def report(value):
    print("report", _json.dumps(value), flush=True)
def wait_for_all():
    print("waiting", flush=True)
    _sys.stdin.readline()
"""


class Process:
    """One running program; what it reports can be read while it runs."""

    def __init__(self, program: str | Path, *args: object, index: int = 0) -> None:
        text = program.read_text("utf-8") if isinstance(program, Path) else program
        arguments = [str(index), *map(str, args)]
        self._popen = subprocess.Popen(
            [sys.executable, "-W", "error", "-c", PRELUDE + text, *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self._errors: list[str] = []
        # Read on a thread: a full pipe would stop the process.
        self._reader = threading.Thread(target=self._read_errors, daemon=True)
        self._reader.start()

    @property
    def pid(self) -> int:
        return self._popen.pid

    def reports(self) -> Iterator[Any]:
        """What it reports, as it comes, until it ends."""
        assert self._popen.stdout is not None
        for line in self._popen.stdout:
            if line.startswith("report "):
                yield json.loads(line.removeprefix("report "))

    def wait_until_waiting(self) -> None:
        """Return when it has reached `wait_for_all`.

        Raises:
            AssertionError: It ended before.
        """
        assert self._popen.stdout is not None
        for line in self._popen.stdout:
            if line == "waiting\n":
                return
        raise AssertionError(f"ended early: {self.errors()[-3000:]}")

    def release(self) -> None:
        """Let it go on from `wait_for_all`."""
        assert self._popen.stdin is not None
        self._popen.stdin.write("go\n")
        self._popen.stdin.flush()

    def signal(self, number: int) -> None:
        """Send it a signal, such as Ctrl-C's `SIGINT`."""
        self._popen.send_signal(number)

    def kill(self) -> None:
        """End it as a power cut would, and wait until it is gone."""
        self._popen.kill()
        self._popen.wait()

    def finish(self, timeout_s: float = 600) -> int:
        """Wait for its end; its exit status."""
        return self._popen.wait(timeout_s)

    def errors(self) -> str:
        """Its standard error; complete once it has ended."""
        self._reader.join(120)
        return "".join(self._errors)

    def close(self) -> None:
        """Kill it if it still runs, and free its pipes."""
        self.kill()
        self._reader.join()
        for pipe in (self._popen.stdin, self._popen.stdout, self._popen.stderr):
            assert pipe is not None
            pipe.close()

    def _read_errors(self) -> None:
        assert self._popen.stderr is not None
        for line in self._popen.stderr:
            self._errors.append(line)


def forked_by(pid: int) -> list[int]:
    """The children of a process, on Linux."""
    children = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):  # it has ended meanwhile
            facts = stat.read_text().rpartition(")")[2].split()
            if int(facts[1]) == pid:
                children.append(int(stat.parent.name))
    return sorted(children)


def run_processes(
    count: int,
    program: str | Path,
    *args: object,
    together: bool = False,
    timeout_s: float = 600,
) -> list[list[Any]]:
    """Run `count` processes of one program and return what each of them reported.

    Args:
        together: The program calls `wait_for_all()` once; all go on at one time.
        timeout_s: After so many seconds those still running are killed.

    Raises:
        AssertionError: One failed or ran too long; its standard error is quoted.
    """
    processes = [Process(program, *args, index=i) for i in range(count)]
    # Killing ends the reports that the loop below waits for.
    watchdog = threading.Timer(timeout_s, lambda: [p.kill() for p in processes])
    watchdog.start()
    try:
        if together:
            for process in processes:
                process.wait_until_waiting()
            for process in processes:
                process.release()
        reported = [list(process.reports()) for process in processes]
        for number, process in enumerate(processes):
            status = process.finish()
            assert status == 0, (
                f"process {number}: {status}: {process.errors()[-3000:]}"
            )
        return reported
    finally:
        watchdog.cancel()
        for process in processes:
            process.close()
