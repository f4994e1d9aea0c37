"""What `deploy/` names exists: files, commands, settings, extras and metrics."""

from __future__ import annotations

import re
import shutil
import subprocess
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.cli.test_help import ALL
from tests.summary import leave_out

ROOT = Path(__file__).resolve().parents[2]
DEPLOY = ROOT / "deploy"
SETTINGS = ROOT / "docs" / "reference" / "settings.md"
FILES = sorted(path for path in DEPLOY.rglob("*") if path.is_file())


def _yaml(name: str) -> Any:
    return yaml.safe_load((DEPLOY / name).read_text("utf-8"))


def _documents() -> Iterator[Any]:
    for path in sorted((DEPLOY / "kubernetes").glob("*.yaml")):
        yield from yaml.safe_load_all(path.read_text("utf-8"))


def _containers(document: Any) -> Iterator[Any]:
    if isinstance(document, dict):
        yield from document.get("containers", [])
        for value in document.values():
            yield from _containers(value)


def _is_command(words: list[str]) -> bool:
    named = [word for word in words if not word.startswith("-")]
    return " ".join(named[:2]) in ALL or " ".join(named[:1]) in ALL


def test_the_services_name_what_there_is() -> None:
    told = _yaml("compose.yaml")
    services = told["services"]

    for name, service in services.items():
        waits = service.get("depends_on", {})
        assert waits.keys() <= services.keys(), name
        for volume in service.get("volumes", []):
            source = volume.split(":")[0]
            assert source in told["volumes"] or (DEPLOY / source).is_file(), volume
        if service.get("image") == "convstore:local" and "entrypoint" not in service:
            assert _is_command(service["command"]), name
    assert (DEPLOY / services["worker"]["build"]["context"]).resolve() == ROOT
    assert (ROOT / services["worker"]["build"]["dockerfile"]).is_file()
    module = services["backend"]["entrypoint"][2]
    assert (ROOT / module.replace(".", "/") / "__main__.py").is_file()
    for published in (p for s in services.values() for p in s.get("ports", [])):
        assert published.startswith("127.0.0.1:")


def test_the_image_has_extras_that_exist() -> None:
    text = (DEPLOY / "Containerfile").read_text("utf-8")
    (extras,) = re.findall(r"'\.\[([a-z,-]+)\]'", text)
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]

    assert set(extras.split(",")) <= project["optional-dependencies"].keys()
    for source in re.findall(r"^COPY (?!--from)(\S+)", text, re.MULTILINE):
        assert (ROOT / source).exists()


def test_the_pods_run_commands_that_exist() -> None:
    documents = list(_documents())
    containers = [c for document in documents for c in _containers(document)]

    assert len(containers) == 3
    assert all(document["apiVersion"] and document["kind"] for document in documents)
    assert all(_is_command(container["args"]) for container in containers)


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_a_file_names_settings_and_commands_that_exist(path: Path) -> None:
    text = path.read_text("utf-8")
    known = set(re.findall(r"CONVSTORE_[A-Z_]+", SETTINGS.read_text("utf-8")))
    named = set(re.findall(r"CONVSTORE_[A-Z_]*[A-Z]", text))
    commands = re.findall(r"(?:`|bin/)convstore ([a-z][a-z -]*[a-z])", text)

    assert named - known == set()
    assert [said for said in commands if not _is_command(said.split())] == []


def test_the_alerts_and_the_dashboard_ask_for_metrics_that_are_told() -> None:
    manual = (ROOT / "docs" / "howto" / "metrics.md").read_text("utf-8")
    rules = [rule for group in _yaml("alerts.yml")["groups"] for rule in group["rules"]]
    source = "".join(
        path.read_text("utf-8") for path in (ROOT / "convstore/metrics").glob("*.py")
    )
    page = (ROOT / "docs" / "howto" / "deploy.md").read_text("utf-8")

    for rule in rules:
        assert rule["alert"] in page
        for metric in re.findall(r"convstore_([a-z_]+)", rule["expr"]):
            word = re.sub(r"_(total|seconds|bytes)$", "", metric)
            assert word in source or word in manual, metric


def test_prometheus_takes_the_rules(pytestconfig: pytest.Config) -> None:
    promtool = shutil.which("promtool")
    if promtool is None:
        leave_out(pytestconfig, "the rules of the alerts", "needs promtool")
    assert promtool is not None
    done = subprocess.run(
        [promtool, "check", "config", "prometheus.yml"],
        cwd=DEPLOY,
        capture_output=True,
        text=True,
        timeout=120,
    )

    assert done.returncode == 0, done.stdout + done.stderr
