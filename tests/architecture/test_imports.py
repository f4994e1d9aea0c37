"""Who may import what. The order of our own layers is held by `lint-imports`."""

import json
import subprocess
import sys

import pytest

from tests.architecture.source import imported

# Each foreign package has one home, so that replacing it touches one place.
HOMES = {
    "agent_framework": ["convstore/adapters/agent_framework/"],
    "alembic": ["convstore/db/", "convstore/migrations/"],
    "apscheduler": ["convstore/tasks/"],
    "asyncpg": ["convstore/db/"],
    "chainlit": ["convstore/adapters/chainlit/"],
    "fastapi": ["convstore/web/", "convstore/adapters/"],
    "jinja2": ["convstore/web/"],
    "langchain_core": [
        "convstore/adapters/langgraph/",
        "convstore/adapters/langchain.py",
    ],
    "langgraph": ["convstore/adapters/langgraph/"],
    "llama_index": ["convstore/adapters/llama_index.py"],
    "mcp": ["convstore/cli/"],
    "obstore": ["convstore/blobs/"],
    "opentelemetry": ["convstore/metrics/"],
    "orjson": ["convstore/vocabulary/codec.py"],
    "prometheus_client": ["convstore/metrics/"],
    "pydantic_settings": ["convstore/vocabulary/settings.py"],
    "redis": ["convstore/cache/"],
    "rich": ["convstore/cli/"],
    "sqlalchemy": ["convstore/db/", "convstore/migration.py", "convstore/tables.py"],
    "starlette": ["convstore/web/"],
    "sqlite3": ["convstore/db/"],
    "uvicorn": ["convstore/cli/web.py"],
    "typer": ["convstore/cli/"],
    "yaml": ["convstore/export/dataset/card.py"],
    "zstandard": ["convstore/segments/", "convstore/imports/", "convstore/export/"],
}
# Reading what these wrote can run code.
NEVER = {"cloudpickle", "dill", "joblib", "marshal", "pickle", "shelve"}
HEAVY = (
    "alembic apscheduler asyncpg fastapi jinja2 langgraph mcp obstore "
    "opentelemetry pydantic redis rich "
    "sqlalchemy starlette typer uvicorn yaml"
).split()


@pytest.mark.parametrize("package", sorted(HOMES))
def test_a_foreign_package_stays_at_home(package: str) -> None:
    strangers = [
        path
        for path, names in imported().items()
        if not path.startswith(tuple(HOMES[package]))
        and any(name.partition(".")[0] == package for name in names)
    ]

    assert strangers == []


def test_nothing_imports_a_format_that_can_run_code() -> None:
    found = [
        (path, name)
        for path, names in imported().items()
        for name in names
        if name.partition(".")[0] in NEVER
    ]

    assert found == []


def test_importing_convstore_imports_nothing_heavy() -> None:
    """The time it takes is measured by the benchmarks; this is its cause."""
    program = "import convstore, json, sys; print(json.dumps(sorted(sys.modules)))"
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )

    assert set(json.loads(done.stdout)).isdisjoint(HEAVY)
