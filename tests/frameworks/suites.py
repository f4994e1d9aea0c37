"""Runs the tests of frameworks, from their pinned releases, on our adapters.

    scripts/frameworks [NAME...]

It is called once in each environment, with the environment's name, and runs the suites
that belong there. Cases that no other store can pass are named one by one beside each
adapter's plugin: they must fail, and all others pass. How many pass is known, so that
none is left out unseen. Each suite runs on SQLite and on PostgreSQL, both at once.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tarfile
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from tests.conftest import running
from tests.databases import PostgresDatabases
from tests.servers import PostgresServer

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / ".cache" / "suites"
PYTEST = "-q -W ignore -p no:cacheprovider -p no:xdist -o addopts= --timeout 300"


@dataclass(frozen=True)
class Suite:
    """Tests of one release; `folder` has the plugin that puts our adapter in place, and
    `passes` says how many of them pass with it."""

    package: str
    version: str
    folder: str
    plugin: str
    tests: str
    passes: int
    environment: str = "frameworks"
    options: str = ""

    def sources(self) -> Path:
        """The release as its authors packed it, their tests in it."""
        name = f"{self.package.replace('-', '_')}-{self.version}"
        if not (FOLDER / name).is_dir():
            pip = [sys.executable, "-m", "pip", "download", "-qq", "--no-deps"]
            only = ["--no-binary", self.package, "--dest", str(FOLDER)]
            what = f"{self.package}=={self.version}"
            subprocess.run([*pip, *only, what], check=True)
            with tarfile.open(FOLDER / f"{name}.tar.gz") as packed:
                # Python before 3.11.4 has no filter; the release is a pinned one.
                options = {"filter": "data"} if hasattr(tarfile, "data_filter") else {}
                packed.extractall(FOLDER, **options)
        return FOLDER / name


SUITES = {
    "openai-agents": Suite(
        "openai-agents",
        "0.24.0",
        "openai_agents",
        "in_place_of_sqlite",
        "tests/memory/test_session.py tests/memory/test_session_limit.py "
        "tests/memory/test_openai_responses_compaction_session.py "
        "tests/memory/test_compaction_model_visibility.py "
        "tests/extensions/memory/test_encrypt_session.py "
        "tests/memory/test_session_context_wrapper.py "
        "tests/memory/test_session_persistence_sanitize.py "
        "tests/memory/test_compaction_suffix.py "
        "tests/test_agent_runner.py tests/test_agent_runner_streamed.py "
        "tests/test_run_impl_resume_paths.py tests/test_max_turns.py "
        "tests/test_soft_cancel.py",
        1_078,
    ),
    # The plugin chooses the cases of SQLite among them.
    "langgraph": Suite(
        "langgraph", "1.2.24", "langgraph", "in_place_of_sqlite", "tests", 648
    ),
    "langgraph-store": Suite(
        "langgraph-checkpoint-sqlite",
        "3.1.2",
        "langgraph",
        "in_place_of_sqlite",
        "tests/test_store.py tests/test_async_store.py tests/test_ttl.py",
        127,
    ),
    "langchain": Suite(
        "langchain-community",
        "0.4.2",
        "langchain",
        "in_place_of_sql",
        "tests/unit_tests/chat_message_histories/test_sql.py",
        7,
        environment="frameworks-2",
        # Their settings are about tests that are not run here.
        options="--noconftest -o asyncio_mode=auto",
    ),
    "chainlit": Suite(
        "chainlit",
        "2.12.0",
        "chainlit",
        "in_place_of_sqlalchemy",
        "tests/data/test_sql_alchemy.py",
        15,
        environment="chainlit",
        options="-o asyncio_mode=auto",
    ),
}


def main(environment: str, names: list[str]) -> int:
    wrong = []
    with ExitStack() as stack:
        server = stack.enter_context(running(PostgresServer))
        databases = PostgresDatabases(server.url)
        stack.callback(databases.close)
        threads = stack.enter_context(ThreadPoolExecutor())
        for name in names or SUITES:
            suite = SUITES[name]
            if suite.environment != environment:
                continue
            suite.sources()
            # Both at once: of many cases most of the time is their own sleep.
            runs = {
                f"{name} on {database}": threads.submit(run, suite, url)
                for database, url in (("sqlite", ""), ("postgres", databases.create()))
            }
            for about, going in runs.items():
                told, fault = going.result()
                print(f"--- {about}\n{told}", flush=True)
                wrong += [f"{about}: {fault}"] if fault else []
    print("\n".join(wrong) if wrong else "all passed")
    return bool(wrong)


def run(suite: Suite, url: str) -> tuple[str, str]:
    """What pytest says, and what is wrong with it, if anything is."""
    folder = ROOT / "tests" / "frameworks" / suite.folder
    environment = os.environ | {
        "PYTHONPATH": f"{ROOT}{os.pathsep}{folder}",
        "CONVSTORE_FRAMEWORK_URL": url,
    }
    # `python -m` puts their folder before ours: both have a package `tests`.
    command = [sys.executable, "-m", "pytest", *PYTEST.split(), *suite.options.split()]
    done = subprocess.run(
        [*command, "-p", suite.plugin, *suite.tests.split()],
        cwd=suite.sources(),
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    passed = int((re.findall(r"(\d+) passed", done.stdout) or "0")[-1])
    if done.returncode:
        return done.stdout, f"exit status {done.returncode}"
    fault = f"{passed} passed, and {suite.passes} did before"
    return done.stdout, "" if passed == suite.passes else fault


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], sys.argv[2:]))
