"""The samples that the package ships are good data, and small."""

from __future__ import annotations

import json
from importlib.resources import files
from pathlib import Path

import pytest

from convstore.imports.reading import Imported, read_sessions
from convstore.imports.registry import load_format
from tests.unit.imports.inverse.formats import to_record

SAMPLES = Path(str(files("convstore"))) / "samples"


@pytest.mark.parametrize(
    ("name", "format_name", "count"),
    [("support", "messages", 8), ("preferences", "preference", 3)],
)
def test_every_sample_comes_in_and_comes_back_equal(
    name: str, format_name: str, count: int
) -> None:
    format_ = load_format(format_name)

    items = list(read_sessions(format_, SAMPLES / f"{name}.jsonl"))

    sessions = [item.session for item in items if isinstance(item, Imported)]
    assert len(sessions) == len(items) == count
    assert len({session.session_id for session in sessions}) == count
    for item in items:
        assert isinstance(item, Imported)
        assert to_record(format_, item.session) == json.loads(item.data)


def test_the_samples_hold_what_a_demo_shows() -> None:
    items = read_sessions(load_format("messages"), SAMPLES / "support.jsonl")

    sessions = [item.session for item in items if isinstance(item, Imported)]

    assert {"nl", "en", "ar", "ja"} <= {session.language for session in sessions}
    assert any(turn.parts for session in sessions for turn in session.turns)
    assert any(turn.tools for session in sessions for turn in session.turns)
    assert sum(path.stat().st_size for path in SAMPLES.iterdir()) < 20_000
