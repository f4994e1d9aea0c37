"""Make and enter the environment of a purpose; see `scripts/environment`.

An environment is rebuilt whole when what it was built from changes: a package that
is no longer declared must not linger and hide that it is missing.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
import shutil
import subprocess
import sys
import tomllib
import venv
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = "lib/python{}.{}/site-packages".format(*sys.version_info)
# All but `pii`, which brings spaCy along: that is with the trainers.
TESTED = (
    "test,postgres,psycopg,redis,parquet,object-storage,metrics,otel,lang,tokens,"
    "dedup,hf"
)
# Purpose: its folder, and what pip installs there, one call after the other.
PURPOSES = {
    "test": (".venv", [["-e", f".[{TESTED}]"]]),
    "demo": (".cache/venv-demo", [["-e", "."]]),
    "bench": (".cache/venv-bench", [["-e", f".[{TESTED},bench]"]]),
    # The documentation as a site; none of our own packages.
    "docs": (
        ".cache/venv-docs",
        [["mkdocs>=1.6.1,<2", "mkdocs-material>=9.7,<10", "pymdown-extensions>=10.16"]],
    ),
    # torch first and alone: whatever else asks for it brings CUDA packages along. Of
    # LLaMA-Factory only the converter is run, beside newer packages than it pins.
    "trainers": (
        ".cache/venv-trainers",
        [
            ["torch==2.13.0"],
            ["-e", ".[pii,trainers]"],
            # What runs `examples/rlhf.ipynb`.
            ["nbclient>=0.10.2,<1", "ipykernel>=6.30,<8"],
            [
                "--no-deps",
                "llamafactory==0.9.5",
                "peft>=0.18,<1",
                "omegaconf>=2.3,<3",
                "antlr4-python3-runtime==4.9.3",
                "pillow>=11,<13",
            ],
        ],
    ),
    # Agent frameworks, and what their own tests need.
    "frameworks": (
        ".cache/venv-frameworks",
        [
            ["-e", ".[openai-agents,pydantic-ai,langgraph,google-adk]"],
            ["inline-snapshot", "pytest-mock"],
            # Pages in the browser, through Pydantic AI's adapters.
            ["ag-ui-protocol>=1,<2"],
            # LangGraph's own tests ask for more of it than the adapter does.
            [
                *("langgraph==1.2.24", "langgraph-checkpoint-conformance==0.0.2"),
                "langgraph-checkpoint-sqlite==3.1.2",
                "langgraph-checkpoint-postgres==3.2.0",
                *("psycopg-pool", "pytest-repeat", "syrupy", "pycryptodome"),
            ],
        ],
    ),
    # Those that cannot be with the others, or need not.
    "frameworks-2": (
        ".cache/venv-frameworks-2",
        [
            ["-e", ".[agent-framework,llama-index,langchain]"],
            ["langchain-community==0.4.2"],
        ],
    ),
    # By itself: it pins what other frameworks have newer.
    "chainlit": (".cache/venv-chainlit", [["-e", ".[chainlit]"]]),
    # What an export can be spread over.
    "engines": (
        ".cache/venv-engines",
        [
            ["pyspark>=4.0,<5", "ray>=2.50,<3"],
            ["duckdb>=1.4,<3", "polars>=1.35,<3", "dask>=2025.9"],
        ],
    ),
    # Releases of `datasets` that trainers still pin.
    "datasets-3.6": (".cache/venv-datasets-3.6", [["datasets==3.6.*"]]),
    "datasets-4.5": (".cache/venv-datasets-4.5", [["datasets==4.5.*"]]),
}
# These hold only what differs from another environment, and find the rest there: less
# than half of the time, and of the room.
STAND_ON = dict.fromkeys(
    (
        *("trainers", "frameworks", "frameworks-2", "chainlit", "engines"),
        *("datasets-3.6", "datasets-4.5"),
    ),
    "test",
)


def recipe(purpose: str) -> str:
    """A hash of everything that decides what the environment holds."""
    declared = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
    parts = [
        declared["build-system"],
        declared["project"],
        declared["tool"]["hatch"],
        PURPOSES[purpose],
        sys.version,
        str(ROOT),
    ]
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()


def is_current(folder: Path, wanted: str) -> bool:
    marker = folder / "recipe"
    return marker.is_file() and marker.read_text("utf-8") == wanted


def build(folder: Path, purpose: str, wanted: str) -> None:
    """Make the environment; the marker comes last, so half of one is never used."""
    say(f"making {folder} (once; a minute or so)")
    if folder.exists():
        shutil.rmtree(folder)
    below = ROOT / PURPOSES[STAND_ON[purpose]][0] if purpose in STAND_ON else None
    try:
        venv.create(folder, with_pip=below is None, symlinks=True)
    except subprocess.CalledProcessError:
        sys.exit("this Python has no ensurepip: install python3-venv, or set PYTHON")
    pip = [str((below or folder) / "bin/python"), "-m", "pip"]
    if below is not None:
        (folder / PACKAGES / "below.pth").write_text(f"{below / PACKAGES}\n", "utf-8")
        pip += ["--python", str(folder / "bin/python")]
    for packages in PURPOSES[purpose][1]:
        say(f"installing {' '.join(packages)}")
        # Without byte code, which is a third of the time: most of the many thousand
        # modules are never imported.
        quiet = ["-qq", "--disable-pip-version-check", "--no-compile"]
        subprocess.run([*pip, "install", *quiet, *packages], cwd=ROOT, check=True)
    (folder / "recipe").write_text(wanted, "utf-8")


def enter(purpose: str) -> Path:
    """The folder of a current environment, locked against rebuilding by others.

    With it the one that it stands on, if any.

    The lock is shared and outlives `exec`: while any command runs in the
    environment, a rebuild waits instead of pulling the floor from under it.
    """
    if purpose in STAND_ON:
        enter(STAND_ON[purpose])
    folder = ROOT / PURPOSES[purpose][0]
    (ROOT / ".cache").mkdir(exist_ok=True)
    lock = os.open(ROOT / ".cache" / f"{purpose}.lock", os.O_RDWR | os.O_CREAT, 0o666)
    os.set_inheritable(lock, True)
    fcntl.flock(lock, fcntl.LOCK_SH)
    if not is_current(folder, recipe(purpose)):
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say(f"waiting for those who use {folder}")
            fcntl.flock(lock, fcntl.LOCK_EX)
        # Somebody else may have built it while this process waited.
        if not is_current(folder, wanted := recipe(purpose)):
            build(folder, purpose, wanted)
        fcntl.flock(lock, fcntl.LOCK_SH)
    return folder


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def main() -> None:
    if len(sys.argv) < 3 or sys.argv[1] not in PURPOSES:
        sys.exit(f"usage: scripts/environment {'|'.join(PURPOSES)} COMMAND...")
    purpose, command = sys.argv[1], sys.argv[2:]
    if purpose == "demo" and is_current(ROOT / ".venv", recipe("test")):
        purpose = "test"  # Holds more than the demo needs, and is there already.
    try:
        folder = enter(purpose)
    except subprocess.CalledProcessError as failure:
        sys.exit(f"{' '.join(failure.cmd)} failed")
    os.environ["VIRTUAL_ENV"] = str(folder)
    os.environ["PATH"] = f"{folder / 'bin'}{os.pathsep}{os.environ.get('PATH', '')}"
    # The last one would have every process compile all that it imports: none of it was
    # compiled when it was installed.
    for foreign in ("PYTHONHOME", "PYTHONPATH", "PYTHONDONTWRITEBYTECODE"):
        os.environ.pop(foreign, None)
    with contextlib.suppress(FileNotFoundError):
        os.execvp(command[0], command)
    sys.exit(f"{command[0]}: not found in {folder}")


if __name__ == "__main__":
    main()
