"""The wheel is whole: a flat layout hides what it lacks from every other test."""

import re
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from email.parser import Parser
from pathlib import Path

import pytest

from convstore import __version__

ROOT = Path(__file__).resolve().parents[2]
# For those who work on convstore.
OURS = {"test", "bench", "trainers"}


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> zipfile.ZipFile:
    """The wheel of this checkout, built with what is installed, without a network."""
    if not (ROOT / "convstore").is_dir():
        pytest.skip("no sources here: the installed wheel is under test")
    folder = tmp_path_factory.mktemp("wheel")
    build = ["wheel", "--no-deps", "--no-build-isolation", "-qq", "-w", str(folder)]
    subprocess.run([sys.executable, "-m", "pip", *build, str(ROOT)], check=True)
    (path,) = folder.glob("*.whl")
    return zipfile.ZipFile(path)


def _text(wheel: zipfile.ZipFile, name: str) -> str:
    (path,) = [n for n in wheel.namelist() if n.endswith(f".dist-info/{name}")]
    return wheel.read(path).decode("utf-8")


def test_the_wheel_holds_the_package_and_nothing_else(wheel: zipfile.ZipFile) -> None:
    info = f"convstore-{__version__}.dist-info"

    assert {name.partition("/")[0] for name in wheel.namelist()} == {"convstore", info}


def test_the_wheel_holds_every_source_file(wheel: zipfile.ZipFile) -> None:
    sources = (p for p in (ROOT / "convstore").rglob("*") if p.is_file())
    expected = {
        path.relative_to(ROOT).as_posix()
        for path in sources
        if "__pycache__" not in path.parts
    }

    assert expected <= set(wheel.namelist())


def test_the_wheel_holds_the_migrations(wheel: zipfile.ZipFile) -> None:
    revisions = (ROOT / "migrations/versions").glob("*.py")
    expected = {f"convstore/migrations/versions/{path.name}" for path in revisions}

    assert expected
    assert expected | {"convstore/migrations/env.py"} <= set(wheel.namelist())


def test_the_wheel_carries_its_licence_and_command(wheel: zipfile.ZipFile) -> None:
    assert "convstore = convstore.cli.app:main" in _text(wheel, "entry_points.txt")
    assert "MIT License" in _text(wheel, "licenses/LICENSE")


def test_nothing_is_required_that_an_extra_should_bring(wheel: zipfile.ZipFile) -> None:
    metadata = Parser().parsestr(_text(wheel, "METADATA"))
    required = [r for r in metadata.get_all("Requires-Dist", []) if "extra ==" not in r]
    optional = ("asyncpg", "datasets", "prometheus", "pyarrow", "pytest", "redis")

    assert [r for r in required if r.startswith(optional)] == []
    assert metadata["Requires-Python"] == ">=3.11"


def test_the_metadata_tells_the_truth(wheel: zipfile.ZipFile) -> None:
    metadata = Parser().parsestr(_text(wheel, "METADATA"))
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    here = (
        f"Programming Language :: Python :: {sys.version_info[0]}.{sys.version_info[1]}"
    )

    assert metadata["Version"] == __version__
    assert metadata["License-Expression"] == "MIT"
    assert here in metadata.get_all("Classifier", [])
    # Names as the index writes them.
    extras = {name.replace("_", "-") for name in metadata.get_all("Provides-Extra", [])}
    assert extras == project["optional-dependencies"].keys()
    # The page of the package on the index is the README.
    assert metadata.get_payload().startswith("# convstore")


def test_every_package_that_is_needed_is_in_the_table_of_licences() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    extras = project["optional-dependencies"]
    brought = [r for name in extras if name not in OURS for r in extras[name]]
    page = (ROOT / "docs/reference/licences.md").read_text("utf-8")
    rows = dict(re.findall(r"^\| `([^`]+)` .*\| (.*?) \|$", page, re.MULTILINE))
    needed = {re.split(r"[\[<>=; ]", r)[0] for r in project["dependencies"] + brought}

    assert needed == rows.keys(), "run scripts/licences"
    assert "not looked at" not in rows.values()


def test_the_source_archive_holds_what_it_is_tested_with(tmp_path: Path) -> None:
    build = "import hatchling.build as b, sys; print(b.build_sdist(sys.argv[1]))"
    made = subprocess.run(
        [sys.executable, "-c", build, str(tmp_path)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    with tarfile.open(tmp_path / made.stdout.split()[-1]) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}

    wanted = {
        *("convstore/types.py", "migrations/env.py", "tests/conftest.py", "LICENSE"),
        *("README.md", "CHANGELOG.md", "SECURITY.md", "docs/pictures/life.svg"),
        "deploy/compose.yaml",
    }
    assert wanted - names == set()
    assert [n for n in names if ".cache" in n or n.endswith((".db", ".pyc"))] == []


def test_the_citation_is_of_this_version() -> None:
    told = (ROOT / "CITATION.cff").read_text("utf-8")

    assert f"\nversion: {__version__}\n" in told
