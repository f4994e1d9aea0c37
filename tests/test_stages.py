"""What `scripts/test` leaves out is run by `.ci/run`: its stages together run all."""

from __future__ import annotations

import re
import shutil
import subprocess
from itertools import chain, combinations
from pathlib import Path

import pytest
from _pytest.mark.expression import Expression

ROOT = Path(__file__).resolve().parents[1]
MARKERS = ("benchmark", "crash", "slow", "trainers", "whole")
# Benchmarks are no tests, and the whole of a suite is for whoever asks for it.
OFF = {"benchmark", "whole"}
_FUNCTION = re.compile(r"^(\w+)\(\) \{\n(.*?)^\}", re.MULTILINE | re.DOTALL)
_STAGE = re.compile(r'^stage "[^"]+" (\w+)', re.MULTILINE)
_TESTS = re.compile(r"scripts/test ([^|\n]*)")


def _asked_for(folder: Path, arguments: list[str]) -> str:
    """The marks that `scripts/test` asks pytest for: of several `-m` the last."""
    scripts = folder / "scripts"
    scripts.mkdir(exist_ok=True)
    shutil.copy(ROOT / "scripts" / "test", scripts)
    (scripts / "environment").write_text('#!/bin/sh\nprintf "%s\\n" "$@"\n')
    (scripts / "environment").chmod(0o755)
    done = subprocess.run(
        [scripts / "test", *arguments],
        cwd=folder,
        capture_output=True,
        text=True,
        check=True,
    )
    words = done.stdout.splitlines()
    places = [n for n, word in enumerate(words) if word == "-m"]
    return words[places[-1] + 1]


def _runs(asked: str, marks: set[str]) -> bool:
    return Expression.compile(asked).evaluate(lambda name, **_: name in marks)


def test_the_stages_of_ci_together_run_every_test(tmp_path: Path) -> None:
    text = (ROOT / ".ci" / "run").read_text("utf-8")
    bodies = dict(_FUNCTION.findall(text))
    stages = [
        _asked_for(tmp_path, call.replace('"$@"', "").split())
        for stage in _STAGE.findall(text)
        for call in _TESTS.findall(bodies.get(stage, ""))
    ]

    every = chain.from_iterable(
        combinations(MARKERS, count) for count in range(len(MARKERS) + 1)
    )
    for marks in map(set, every):
        ran = [asked for asked in stages if _runs(asked, marks)]
        assert len(ran) == 1 or marks & OFF, (marks, ran)


def test_tests_that_are_named_run_whether_slow_or_not(tmp_path: Path) -> None:
    (tmp_path / "test_x.py").touch()

    for path in ("test_x.py", "test_x.py::test_it[a b]"):
        assert _runs(_asked_for(tmp_path, [path]), {"slow"})
        assert _runs(_asked_for(tmp_path, [path]), set())
        assert not _runs(_asked_for(tmp_path, ["--slow", path]), set())
    assert not _runs(_asked_for(tmp_path, []), {"slow"})
    assert _runs(_asked_for(tmp_path, ["--all"]), {"slow"})
    assert _runs(_asked_for(tmp_path, ["--all"]), set())


@pytest.mark.mostly_slow("kept", "as well *")
@pytest.mark.parametrize("case", ["kept", "as well [so]", "left"])
def test_cases_that_are_not_named_are_slow(
    case: str, request: pytest.FixtureRequest
) -> None:
    assert ("slow" in request.node.keywords) == (case == "left")


@pytest.mark.mostly_slow("kept", "renamed")
@pytest.mark.parametrize("case", ["kept"])
def a_case_that_is_gone(case: str) -> None:
    """Collected by the test below alone."""


def test_a_case_that_is_named_and_not_there_is_an_error(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    module = request.node.getparent(pytest.Module)
    name, test = "test_of_it", a_case_that_is_gone
    monkeypatch.setattr(module.obj, name, test, raising=False)

    with pytest.raises(pytest.UsageError, match="no case is called renamed"):
        module.ihook.pytest_pycollect_makeitem(collector=module, name=name, obj=test)
