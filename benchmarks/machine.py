"""What a figure was measured on."""

from __future__ import annotations

import asyncio
import os
import platform
import sqlite3
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

PACKAGES = (
    "convstore", "sqlalchemy", "asyncpg", "aiosqlite",
    "openai-agents", "google-adk", "langchain-community",
    "orjson", "pyarrow", "datasets",
)  # fmt: skip
ABSENT = "not installed"


def describe(postgres: str | None) -> dict[str, str]:
    """The machine and the versions, by name."""
    found = {
        "CPU": f"{_cpu()}, {os.cpu_count()} cores",
        "kernel": f"{platform.system()} {platform.release()}",
        "Python": platform.python_version(),
        "SQLite": sqlite3.sqlite_version,
    }
    if postgres:
        found["PostgreSQL"] = asyncio.run(_postgres(postgres))
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            if package != "convstore":
                found[package] = ABSENT
    found["load before the run"] = f"{os.getloadavg()[0]:.1f}"
    return found


def _cpu() -> str:
    for line in Path("/proc/cpuinfo").read_text("utf-8").splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()


async def _postgres(url: str) -> str:
    import asyncpg

    connection = await asyncpg.connect(url)
    shown = await connection.fetchval("SHOW server_version")
    await connection.close()
    return str(shown)
