"""How the workers of an export start, and how they end.

Importing what a worker needs takes longer than reading and writing a thousand rows. So
where forking is safe one program does it once, and forks the workers: it has a single
thread and has opened nothing, neither of which is true of the process that asks. It
stays, as the one that can end its children whatever they are at, and does so when its
input ends: none outlives its export, however that ended.

Programs are started by name and not through `multiprocessing`: that would run the
caller's main module again, and pickle what it sends.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from contextlib import suppress
from typing import IO, NamedTuple

from convstore.vocabulary.errors import ConfigError

FORKS = sys.platform == "linux"
"""Elsewhere system libraries may have threads of their own, or there is no fork."""

_PIPE_BYTES = 1024 * 1024
"""Room for a batch, where the system lets it be chosen: else a thread that has the
interpreter is waited for at each sixteenth of one."""

_PATIENCE_S = 10.0

_PROGRAM = (
    "import gc; gc.disable(); from convstore.export.stages.worker import main; main()"
)
"""Looking for garbage in what is imported would be an eighth of the start."""


class Pipes(NamedTuple):
    """The ends by which a worker is asked, and answers."""

    outgoing: IO[bytes]
    incoming: IO[bytes]

    def close(self) -> None:
        """Let go of both: the worker ends with the one that it reads."""
        for pipe in self:
            # What it was not sent any more, it need not know.
            with suppress(BrokenPipeError):
                pipe.close()


class Started:
    """So many workers, and what ends them.

    Raises:
        ConfigError: There is no interpreter to start.
    """

    def __init__(self, count: int) -> None:
        if not sys.executable:
            raise ConfigError("workers: this program has no Python to start; take 0")
        self.pipes: list[Pipes] = []
        self._programs: list[subprocess.Popen[bytes]] = []
        try:
            if FORKS and count > 1:
                self._fork(count)
            else:
                for _ in range(count):
                    program = _program(stdout=subprocess.PIPE)
                    self._programs.append(program)
                    assert program.stdin is not None
                    assert program.stdout is not None
                    self.pipes.append(Pipes(program.stdin, program.stdout))
        except BaseException:
            self.end()
            raise

    def _fork(self, count: int) -> None:
        theirs: list[int] = []
        try:
            for _ in range(count):
                asked, asking = _pipe()
                theirs.append(asked)
                outgoing = os.fdopen(asking, "wb")
                told, telling = _pipe()
                theirs.append(telling)
                self.pipes.append(Pipes(outgoing, os.fdopen(told, "rb")))
            self._programs.append(_program(theirs))
        finally:
            for end in theirs:
                os.close(end)

    def end(self) -> None:
        """End the workers, whatever they are at: they hold nothing."""
        for program in self._programs:
            if program.stdout is not None:
                program.kill()
            elif program.stdin is not None:
                program.stdin.close()
        for program in self._programs:
            try:
                program.wait(_PATIENCE_S)
            except subprocess.TimeoutExpired:
                program.kill()
                program.wait()
        for pipes in self.pipes:
            pipes.close()


def _pipe() -> tuple[int, int]:
    """A pipe with room, whose ends no other program gets."""
    reading, writing = os.pipe()
    with suppress(ImportError, AttributeError, OSError):
        import fcntl

        fcntl.fcntl(writing, fcntl.F_SETPIPE_SZ, _PIPE_BYTES)
    return reading, writing


def _program(
    ends: Sequence[int] = (), stdout: int | None = None
) -> subprocess.Popen[bytes]:
    """One that works by itself, or that forks a worker for each two ends of pipes."""
    # Where this process found its packages, and not the folder it stands in.
    path = os.pathsep.join(os.path.abspath(part) for part in sys.path)
    return subprocess.Popen(
        [
            *(sys.executable, "-P", "-c", _PROGRAM),
            *map(str, ends),
        ],
        stdin=subprocess.PIPE,
        stdout=stdout,
        pass_fds=ends,
        pipesize=_PIPE_BYTES,
        env={**os.environ, "PYTHONPATH": path},
    )
