"""What a figure was measured on."""

from __future__ import annotations

import asyncio
import compileall
import os
import platform
import sqlite3
import sysconfig
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
        "Python": f"{platform.python_version()} ({_build()})",
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
    found["byte code"] = "made before the run"
    found["load before the run"] = f"{os.getloadavg()[0]:.1f}"
    return found


def compile_packages() -> None:
    """Have byte code of everybody who is measured: who has none compiles its modules
    in each process anew, and what is loaded late does so while the watch runs."""
    places = {Path(__file__).parent.parent / "convstore", *map(Path, _site_packages())}
    for place in places:
        compileall.compile_dir(place, quiet=2, force=False)


def _site_packages() -> list[str]:
    """Where this interpreter has what was installed."""
    return sorted({sysconfig.get_path("purelib"), sysconfig.get_path("platlib")})


def _build() -> str:
    """An optimised build is 13 to 23 percent faster: who compares must know."""
    asked = str(sysconfig.get_config_var("CONFIG_ARGS") or "")
    kinds = {"--enable-optimizations": "profile", "--with-lto": "link time"}
    found = [kind for flag, kind in kinds.items() if flag in asked]
    return f"optimised by {' and '.join(found)}" if found else "not an optimised build"


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
