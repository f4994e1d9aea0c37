"""docs/archive-format.md says what is true: its examples run and its names exist."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest

from convstore.blobs.local import LocalBlobs
from convstore.segments.manifest import Entry, Manifest
from convstore.vocabulary.checkpoints import (
    CheckpointEnd,
    StoredCheckpoint,
    StoredCheckpoints,
    StoredElement,
    StoredValue,
    StoredWrite,
)
from convstore.vocabulary.documents import FORMAT_VERSION
from convstore.vocabulary.records import (
    Choice,
    GraphState,
    Interaction,
    Item,
    LedgerEntry,
    LegalHold,
    Session,
    SessionDocument,
    Turn,
)
from tests.summary import leave_out
from tests.unit.segments.made import MARKER, odd, write

DOCS = Path(__file__).parents[3] / "docs"
PAGE = (DOCS / "archive-format.md").read_text("utf-8")


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE)


@pytest.fixture(scope="module")
def segment(tmp_path_factory: pytest.TempPathFactory) -> Path:
    blobs = LocalBlobs(tmp_path_factory.mktemp("page") / "archive")
    manifest: Manifest = write(blobs, odd())
    return blobs.root / manifest.key


def test_every_shell_example_runs(segment: Path, pytestconfig: pytest.Config) -> None:
    if not all(map(shutil.which, ("bash", "zstd", "jq"))):
        leave_out(pytestconfig, "the format page", "needs bash, zstd and jq")
    outputs = []
    for example in blocks("sh"):
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", example],
            cwd=segment.parent,
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, (example, done.stderr)
        outputs.append(done.stdout)

    titles, turns, one, *_ = outputs
    assert titles.count("Archieven in Enschede\n") == 5
    assert json.loads(turns.splitlines()[0]) == {
        "role": "user",
        "content": f"{MARKER} 1 1",
    }
    assert json.loads(one)["session"]["id"] == "s-1"


def test_the_python_reader_reads(segment: Path) -> None:
    # The others need engines: `tests/engines`.
    reader, *_ = blocks("python")
    done = subprocess.run(
        [sys.executable, "-I", "-c", reader, str(segment), "s-1"],
        capture_output=True,
        text=True,
    )

    assert done.stdout == f"{MARKER} 1 1\n", done.stderr


def properties(schema: dict[str, Any], name: str | None = None) -> list[str]:
    return list((schema["$defs"][name] if name else schema)["properties"])


def test_the_schemas_name_the_fields_of_the_records_in_their_order() -> None:
    schema = json.loads((DOCS / "session-document.schema.json").read_text("utf-8"))
    named = {
        "session": Session,
        "turn": Turn,
        "interaction": Interaction,
        "choice": Choice,
        "graph_state": GraphState,
        "ledger": LedgerEntry,
        "hold": LegalHold,
        "item": Item,
        "checkpoints": StoredCheckpoints,
        "checkpoint": StoredCheckpoint,
        "checkpoint_value": StoredValue,
        "checkpoint_element": StoredElement,
        "checkpoint_write": StoredWrite,
        "checkpoint_end": CheckpointEnd,
    }

    for name, record in named.items():
        assert properties(schema, name) == [f.name for f in fields(record)]
    assert properties(schema)[2:] == [f.name for f in fields(SessionDocument)]
    manifest = json.loads((DOCS / "manifest.schema.json").read_text("utf-8"))
    assert properties(manifest, "entry") == [f.name for f in fields(Entry)]


def test_every_object_of_the_schemas_is_closed_but_free_form_ones() -> None:
    for name in ("session-document", "manifest"):
        schema = json.loads((DOCS / f"{name}.schema.json").read_text("utf-8"))
        for part in (schema, *schema["$defs"].values()):
            if "properties" in part:
                assert part["additionalProperties"] is False
                optional = {"imported_at", "payload", "payload_format"}
                optional |= {"forked_from", "forked_at_seq", "forked_turns"}
                optional |= {"generation", "root_session_id", "adapter_state", "items"}
                if part is schema:
                    optional |= {"checkpoints", "attachments"}
                needed = [name for name in part["properties"] if name not in optional]
                assert part["required"] == needed


def test_the_current_version_is_in_the_table() -> None:
    assert f"\n| {FORMAT_VERSION} | " in PAGE
    assert f"Format version {FORMAT_VERSION}." in PAGE
