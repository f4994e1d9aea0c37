"""Kills workers of the real store again and again, and checks the invariants each time.

Workers are forked from a process that has imported everything and opened nothing, so
that a kill costs what the worker did and not what Python takes to start. Run by
`scripts/crash-test`, and shorter by the tests.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import signal
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field, replace
from itertools import cycle
from pathlib import Path
from typing import Any

from convstore.archive.steps import STEPS
from tests.crash.invariants import Memory, check
from tests.crash.oplog import OpLog, read_history
from tests.crash.settling import adopt, make_database, part, settle
from tests.crash.trying import Orders, content_of, payload_of
from tests.crash.worker import run
from tests.servers import KEEP, PostgresServer

ROUNDS = 25
"""Rounds on one database, before a fresh one."""
ADOPTED_EVERY = 4
"""Rounds after which the archive parts from the database, and a worker adopts it."""

# Some jumps end leases, some are long enough for superseded segments to be removed.
_CLOCK_JUMPS_S = (10.0, 400.0, 4_000.0, 90_000.0)
_PATIENCE_S = 1.5


@dataclass
class Report:
    """What a campaign did and found."""

    database: str
    seed: int
    kills: int = 0
    kills_at_steps: int = 0
    server_kills: int = 0
    rounds: int = 0
    checks: int = 0
    acknowledged: int = 0
    by_operation: dict[str, int] = field(default_factory=dict)
    seconds: float = 0.0
    violations: list[str] = field(default_factory=list)
    killed_at: dict[str, int] = field(default_factory=dict)
    never_reached: list[str] = field(default_factory=list)
    not_listed: list[str] = field(default_factory=list)


@dataclass
class Ground:
    """One database with its archive, and what is remembered of it between rounds."""

    folder: Path
    url: str
    rounds: int = 0
    clock_offset_s: float = 0.0

    @property
    def logs(self) -> Path:
        return self.folder / "logs"

    @property
    def archive(self) -> Path:
        return self.folder / "archive"


class Campaign:
    """So many kills on one kind of database."""

    def __init__(
        self,
        database: str,
        kills: int,
        seed: int,
        folder: Path,
        server: PostgresServer | None,
        say: Callable[[str], None],
        at: str = "",
    ) -> None:
        self._wanted, self._folder, self._server, self._say = (
            kills,
            folder,
            server,
            say,
        )
        self._random = random.Random(seed)
        self._report = Report(database, seed)
        self._reached: set[str] = set()
        self._grounds = 0
        self._told_to_stop = False
        self._steps: Iterator[str] = iter(())
        self._meant = [step for step in STEPS if step.startswith(at)]
        # The last step first: who dies at it has reached the others.
        self._adopting = cycle(step for step in STEPS[::-1] if "adopt." in step)

    def stop(self, *_: object) -> None:
        """End after this round, with a report of what was done; for Ctrl-C."""
        self._told_to_stop = True

    def run(self) -> Report:
        """The campaign from beginning to end."""
        began, report = time.monotonic(), self._report
        ground = self._new_ground()
        while report.kills < self._wanted and not self._told_to_stop:
            if ground.rounds == ROUNDS:
                self._finish(ground)
                ground = self._new_ground()
            self._round(ground)
            if report.rounds % 20 == 0:
                self._say(
                    f"{report.kills} kills, {report.rounds} rounds, "
                    f"{len(report.violations)} violations, "
                    f"{time.monotonic() - began:.0f} s"
                )
        self._finish(ground)
        report.seconds = round(time.monotonic() - began, 1)
        report.never_reached = [step for step in STEPS if step not in self._reached]
        report.not_listed = sorted(self._reached - set(STEPS))
        return report

    def _new_ground(self) -> Ground:
        self._grounds += 1
        folder = self._folder / f"ground-{self._grounds}"
        (folder / "logs").mkdir(parents=True)
        url = f"sqlite:///{folder / 'chat.db'}"
        if self._server is not None:
            name = f"ground_{os.getpid()}_{self._grounds}"
            url = self._server.url.replace("/postgres?", f"/{name}?")
            _done(_fork(make_database, self._server.url, url))
        else:
            _done(_fork(make_database, "", url))
        return Ground(folder, url)

    def _round(self, ground: Ground) -> None:
        report = self._report
        ground.rounds += 1
        report.rounds += 1
        ground.clock_offset_s += self._random.choice(_CLOCK_JUMPS_S)
        count = self._random.choice((1, 2, 3, 4))
        step = self._next_step() if self._random.random() < 0.6 else ""
        adopts = ground.rounds % ADOPTED_EVERY == 0
        if adopts:
            count, step = 1, next(self._adopting)
        again = read_history(ground.logs).open_writes
        orders = [
            self._orders(ground, number, count, step, tuple(again))
            for number in range(count)
        ]
        if adopts:
            orders = [replace(orders[0], adopts=True, die_on=1)]
            _done(_fork(part, orders[0]))
        workers = [_fork(run, given) for given in orders]
        if self._server is not None and self._random.random() < 0.04:
            time.sleep(self._random.uniform(0.1, 0.6))
            self._kill_server()
        began_in_s = 0.0
        for number, pid in reversed(list(enumerate(workers))):
            if step or self._random.random() < 0.8:
                log = ground.logs / f"{ground.rounds}-{number}.log"
                began_in_s = max(began_in_s, self._wait_for_work(log, pid))
            self._end(pid, step if number == 0 else "", began_in_s)
        if adopts:
            _done(_fork(adopt, orders[0]))
        OpLog(ground.logs / "rounds.log").write("round")
        self._check(ground, settled=self._random.random() < 0.4)

    def _orders(
        self,
        ground: Ground,
        number: int,
        count: int,
        step: str,
        again: tuple[dict[str, Any], ...],
    ) -> Orders:
        return Orders(
            url=ground.url,
            archive=ground.archive,
            log=ground.logs / f"{ground.rounds}-{number}.log",
            seed=self._random.randrange(2**40),
            clock_offset_s=ground.clock_offset_s,
            die_at=step if number == 0 else "",
            die_on=self._random.choice((1, 1, 2, 3)),
            again=again if number == 0 else (),
            alone=count == 1,
        )

    def _next_step(self) -> str:
        """Every step that is meant in turn, in an order of its own each time."""
        step = next(self._steps, None)
        if step is None:
            self._steps = iter(self._random.sample(self._meant, len(self._meant)))
            step = next(self._steps)
        return step

    def _wait_for_work(self, log: Path, pid: int) -> float:
        """Return when the worker has begun, and the seconds that it took, which are
        more for PostgreSQL's clients; those that are killed before that lose nothing,
        and prove little."""
        asked_at = time.monotonic()
        deadline = asked_at + 120
        while time.monotonic() < deadline:
            ended = os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT)
            if ended or (log.exists() and log.read_bytes().count(b'"ok"') >= 3):
                break
            time.sleep(0.005)
        return time.monotonic() - asked_at

    def _end(self, pid: int, step: str, began_in_s: float) -> None:
        """Wait for the worker to kill itself, or kill it."""
        report = self._report
        # A machine that is slow to begin is slow to come to the step.
        step_s = max(_PATIENCE_S, 3 * began_in_s)
        patience_s = step_s if step else self._random.uniform(0.03, 0.5)
        deadline = time.monotonic() + patience_s
        while time.monotonic() < deadline:
            done, status = os.waitpid(pid, os.WNOHANG)
            if done:
                if os.WIFSIGNALED(status):
                    report.kills += 1
                    report.kills_at_steps += 1
                    report.killed_at[step] = report.killed_at.get(step, 0) + 1
                return
            time.sleep(0.002)
        os.kill(pid, signal.SIGKILL)
        _, status = os.waitpid(pid, 0)
        report.kills += os.WIFSIGNALED(status)

    def _kill_server(self) -> None:
        assert self._server is not None
        # What `pg_ctl stop -m immediate` sends: no checkpoint, the log is replayed.
        os.kill(self._server._pid, signal.SIGQUIT)
        self._server._dismiss(KEEP)
        self._server.start()
        self._report.server_kills += 1

    def _check(self, ground: Ground, *, settled: bool) -> None:
        answer = ground.folder / "answer.json"
        answer.unlink(missing_ok=True)
        _done(_fork(examine, ground, settled, answer))
        self._report.checks += 1 + settled
        for text in json.loads(answer.read_text("utf-8"))["wrong"]:
            text = f"ground {self._grounds}: {text}"
            if text not in self._report.violations:
                self._report.violations.append(text)
                self._say(f"VIOLATION in round {ground.rounds}: {text}")

    def _finish(self, ground: Ground) -> None:
        self._check(ground, settled=True)
        history = read_history(ground.logs)
        self._report.acknowledged += history.acknowledged
        self._reached |= history.steps
        counts = self._report.by_operation
        for op, times in history.done.items():
            counts[op] = counts.get(op, 0) + times
        mark = f"ground {self._grounds}:"
        if not any(text.startswith(mark) for text in self._report.violations):
            shutil.rmtree(ground.folder)


def examine(ground: Ground, settled: bool, answer: Path) -> None:
    """Check, let the job finish, and check again; a process of its own."""
    kept = ground.folder / "memory.json"
    memory = Memory()
    if kept.exists():
        memory = Memory(**json.loads(kept.read_text("utf-8")))
    history = read_history(ground.logs)
    says: dict[str, Any] = {"content_of": content_of, "payload_of": payload_of}
    wrong = check(ground.url, ground.archive, history, memory=memory, **says)
    if settled and not wrong:
        # Long after: whatever was being written then is dead.
        settle(ground.url, ground.archive, ground.logs, ground.clock_offset_s + 5)
        wrong = check(
            ground.url,
            ground.archive,
            read_history(ground.logs),
            settled=True,
            memory=memory,
            **says,
        )
    kept.write_text(json.dumps(asdict(memory)), "utf-8")
    answer.write_text(json.dumps({"wrong": wrong}), "utf-8")


def _fork(work: Callable[..., None], *args: Any) -> int:
    pid = os.fork()
    if pid:
        return pid
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    status = 1
    try:
        work(*args)
        status = 0
    except BaseException:  # noqa: BLE001 (the process ends here, whatever it was)
        traceback.print_exc()
    finally:
        os._exit(status)


def _done(pid: int) -> None:
    _, status = os.waitpid(pid, 0)
    if status:
        raise SystemExit(f"a process of the campaign failed: {status}")


def main(arguments: list[str] | None = None) -> int:
    """Run a campaign; 1 when it found a violation."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--database", choices=("sqlite", "postgres"), default="sqlite")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument(
        "--at",
        default="",
        metavar="BEGINNING",
        help="of the steps at which to kill, such as compact.",
    )
    parser.add_argument("--report", type=Path, help="also write the JSON report here")
    options = parser.parse_args(arguments)
    if not any(step.startswith(options.at) for step in STEPS):
        parser.error(f"--at: no step begins with {options.at!a}")

    def say(text: str) -> None:
        print(text, file=sys.stderr, flush=True)

    folder = Path(tempfile.mkdtemp(prefix="convstore-crash-"))
    with ExitStack() as stack:
        server = None
        if options.database == "postgres":
            server = PostgresServer()
            stack.callback(server.stop)
            server.start()
        campaign = Campaign(
            options.database,
            options.kills,
            options.seed,
            folder,
            server,
            say,
            at=options.at,
        )
        signal.signal(signal.SIGINT, campaign.stop)
        report = campaign.run()
    text = json.dumps(asdict(report), indent=2)
    print(text)
    if options.report is not None:
        options.report.write_text(text + "\n", "utf-8")
    if not report.violations:
        shutil.rmtree(folder)
    else:
        say(f"kept: {folder}")
    return 1 if report.violations else 0


if __name__ == "__main__":
    sys.exit(main())
