"""What type checkers see is what there is."""

import runpy
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def test_the_stub_of_the_blocking_face_is_up_to_date() -> None:
    script = ROOT / "scripts/generate_blocking_stub.py"
    stub = ROOT / "convstore/blocking/__init__.pyi"

    generated = runpy.run_path(str(script))["generate"]()

    assert stub.read_text("utf-8") == generated, f"run {script.relative_to(ROOT)}"


def test_the_public_face_has_the_types_that_it_promises() -> None:
    api = ROOT / "tests/typing/api.py"

    done = subprocess.run(
        [sys.executable, "-m", "mypy", "--strict", str(api)],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )

    about_api = [x for x in done.stdout.splitlines() if x.startswith("tests/typing")]
    assert about_api == []
    assert "found" not in done.stderr
