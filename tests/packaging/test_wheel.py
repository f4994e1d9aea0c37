"""The wheel is whole: a flat layout hides what it lacks from every other test."""

import subprocess
import sys
import zipfile
from email.parser import Parser
from pathlib import Path

import pytest

from convstore import __version__

ROOT = Path(__file__).resolve().parents[2]


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
