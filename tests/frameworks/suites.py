"""Runs the tests of frameworks, from their pinned releases, on our adapters.

    scripts/frameworks [--whole] [NAME...]

It is called once in each environment, with the environment's name, and runs the suites
that belong there. Cases that no other store can pass are named one by one beside each
adapter's plugin: they must fail, and all others pass. `--whole` adds what takes long.
Each suite runs on SQLite and on PostgreSQL.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tarfile
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
    """Tests of one release; `folder` has the plugin that puts our adapter in place."""

    package: str
    version: str
    folder: str
    plugin: str
    tests: str
    long_tests: str = ""
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
        "tests/memory/test_compaction_suffix.py",
        "tests/test_agent_runner.py tests/test_agent_runner_streamed.py "
        "tests/test_run_impl_resume_paths.py tests/test_max_turns.py "
        "tests/test_soft_cancel.py",
    ),
    # The plugin chooses the cases of SQLite among them.
    "langgraph": Suite(
        "langgraph", "1.2.24", "langgraph", "in_place_of_sqlite", "tests"
    ),
    "langgraph-store": Suite(
        "langgraph-checkpoint-sqlite",
        "3.1.2",
        "langgraph",
        "in_place_of_sqlite",
        "tests/test_store.py tests/test_async_store.py tests/test_ttl.py",
    ),
    "langchain": Suite(
        "langchain-community",
        "0.4.2",
        "langchain",
        "in_place_of_sql",
        "tests/unit_tests/chat_message_histories/test_sql.py",
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
        environment="chainlit",
        options="-o asyncio_mode=auto",
    ),
}


def main(environment: str, arguments: list[str]) -> int:
    whole = "--whole" in arguments
    asked = [name for name in arguments if name != "--whole"] or list(SUITES)
    names = [name for name in asked if SUITES[name].environment == environment]
    failed = []
    with ExitStack() as stack:
        server = stack.enter_context(running(PostgresServer))
        databases = PostgresDatabases(server.url)
        stack.callback(databases.close)
        for name in names:
            for database, url in (("sqlite", ""), ("postgres", databases.create())):
                print(f"--- {name} on {database}", flush=True)
                if run(SUITES[name], url, whole):
                    failed.append(f"{name} on {database}")
    print(f"failed: {', '.join(failed)}" if failed else "all passed")
    return bool(failed)


def run(suite: Suite, url: str, whole: bool) -> int:
    """pytest's exit status."""
    folder = ROOT / "tests" / "frameworks" / suite.folder
    environment = os.environ | {
        "PYTHONPATH": f"{ROOT}{os.pathsep}{folder}",
        "CONVSTORE_FRAMEWORK_URL": url,
    }
    tests = f"{suite.tests} {suite.long_tests if whole else ''}".split()
    # `python -m` puts their folder before ours: both have a package `tests`.
    command = [sys.executable, "-m", "pytest", *PYTEST.split(), *suite.options.split()]
    return subprocess.run(
        [*command, "-p", suite.plugin, *tests],
        cwd=suite.sources(),
        env=environment,
        check=False,
    ).returncode


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], sys.argv[2:]))
