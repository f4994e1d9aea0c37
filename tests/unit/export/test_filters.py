"""A filter holds for every format that holds what it is about."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from convstore.export.formats import FORMATS
from convstore.export.options import ExportOptions, Filters
from convstore.export.stages.job import run_export
from convstore.vocabulary.records import SessionDocument
from tests.unit.export.samples import Chat, one_exchange


def judged(language: str, model: str, finish: str) -> SessionDocument:
    """A session of which every format makes at least one row."""
    chat = Chat(f"s-{language}", language=language)
    fields = {"model": model, "finish_reason": finish}
    question = chat.user(f"Which number, in {language}?")
    good = chat.assistant(f"One, in {language}.", **fields)
    bad = chat.assistant(f"None, in {language}.", parent_seq=question, **fields)
    chat.act("choose", chosen=good, rejected=(bad,))
    chat.up(good)
    chat.down(bad)
    nodes = [{"id": "n", "text": f"Think of one, in {language}.", "parent": None}]
    chat.graph({"nodes": nodes}, turn_seq=good)
    chat.act("feedback", node_id="n", feedback="correct")
    return chat.document()


OF_ANSWERS = FORMATS.keys() - {"prompt", "stepwise", "oasst", "rlhf-json", "convstore"}
"""What the others hold is no answer, or all of them."""


@pytest.mark.parametrize(
    ("name", "filters", "reason"),
    [
        *((name, {"languages": ("nl",)}, "filter-language") for name in FORMATS),
        *((name, {"models": ("m-nl",)}, "filter-model") for name in sorted(OF_ANSWERS)),
        *(
            (name, {"finish_reasons": ("stop",)}, "filter-finish-reason")
            for name in sorted(OF_ANSWERS)
        ),
    ],
)
def test_a_filter_holds_for_every_format(
    tmp_path: Path, name: str, filters: dict[str, Any], reason: str
) -> None:
    sessions = [judged("nl", "m-nl", "stop"), judged("en", "m-en", "done")]
    everything = run_export(sessions, [name], tmp_path / "all").formats[0]

    options = ExportOptions(filters=Filters(**filters))
    narrowed = run_export(sessions, [name], tmp_path / "some", options).formats[0]

    assert narrowed.rows * 2 == everything.rows > 0
    assert reason in narrowed.dropped


@pytest.mark.parametrize(
    ("wanted", "rows"),
    [
        ({"plan.tier": "gold"}, 1),
        ({"plan.tier": "tin"}, 0),
        ({"plan": {"tier": "gold", "seats": 1}}, 1),
        ({"a.b": True}, 1),
        ({"a.b": 1}, 0),
        ({"plan.seats": 1}, 1),
        ({"plan.seats": 1.0}, 0),
        ({"plan.seats": "1"}, 0),
        ({"plan.seats": True}, 0),
        ({"plan.seats.more": 1}, 0),
        ({"none": None}, 1),
        ({"absent": None}, 0),
    ],
)
def test_metadata_is_compared_as_json_and_by_path(
    tmp_path: Path, wanted: dict[str, Any], rows: int
) -> None:
    metadata = {"plan": {"tier": "gold", "seats": 1}, "a.b": True, "none": None}
    session = one_exchange(1, metadata=metadata)
    options = ExportOptions(filters=Filters(metadata=wanted))

    report = run_export([session], ["kto"], tmp_path / "out", options)

    assert report.rows == rows
