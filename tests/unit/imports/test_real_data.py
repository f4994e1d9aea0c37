"""Real conversations: each comes in, and comes back equal."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from convstore.imports.mapped import mapped_format
from convstore.imports.mapping import load_mapping
from convstore.imports.model import ImportedSession
from convstore.imports.reading import Imported, read_sessions
from convstore.imports.registry import Format, load_format

MAPS = Path(__file__).with_name("maps")

# file, format or map, sessions, turns, interactions
EXPECTED = [
    ("tau-bench-airline/trajectories", "messages", 164, 4_418, 164),
    ("oasst1-en/messages", "oasst", 105, 1_064, 2_236),
    ("oasst2-multilingual/trees", "oasst", 318, 807, 1_531),
    ("oasst1-zh/dialogues", "alpaca", 561, 1_974, 0),
    ("oasst1-zh/ranked", "alpaca", 554, 2_560, 862),
    ("glaive-toolcall/toolcall-en", "sharegpt", 223, 1_556, 0),
    ("glaive-toolcall/toolcall-zh", "sharegpt", 231, 1_414, 0),
    ("preference-demos/dpo-en", "preference", 231, 1_176, 231),
    ("preference-demos/dpo-zh", "preference", 235, 760, 235),
    ("preference-demos/kto-en", "kto", 254, 826, 254),
    ("qmsum-meetings/meetings", "qmsum-meetings", 17, 9_020, 0),
    ("naughty-strings/strings", "naughty-strings", 342, 342, 0),
    ("pandalm-human-preference/pairs", "pandalm-human-preference", 862, 2_586, 2_586),
    ("finegrained-qa-feedback/feedback", "finegrained-qa-feedback", 387, 1_935, 2_699),
    (
        "topical-chat-ratings/conversations",
        "topical-chat-ratings",
        1_073,
        23_251,
        25_276,
    ),
    ("bigbench-mistake/traces", "bigbench-mistake", 1_540, 3_079, 12_277),
    ("xpersona/dialogues", "xpersona", 1_667, 25_974, 0),
    ("xsid/utterances", "xsid", 5_249, 5_249, 0),
    ("crosswoz/dialogues", "crosswoz", 500, 8_458, 0),
    ("sgd/dialogues", "sgd", 1_000, 18_482, 0),
    ("prm800k-samples/solutions", "prm800k-samples", 6, 6, 0),
    ("prm800k-samples/mcts-trees", "prm800k-samples-mcts", 2, 4, 0),
    ("toolbench-dfs/trees", "toolbench-dfs", 8, 16, 8),
    ("tree-of-thoughts/game24-bfs", "tree-of-thoughts", 81, 162, 0),
    ("tree-of-thoughts/text-votes", "tree-of-thoughts", 72, 144, 0),
    ("tree-of-thoughts/game24-cot-samples", "tree-of-thoughts", 81, 81, 0),
    (
        "tree-of-thoughts/crosswords-dfs-prune",
        "tree-of-thoughts-crosswords",
        14,
        14,
        14,
    ),
    (
        "tree-of-thoughts/crosswords-dfs-noprune",
        "tree-of-thoughts-crosswords",
        14,
        14,
        14,
    ),
]


def format_of(name: str) -> Format:
    path = MAPS / f"{name}.toml"
    return mapped_format(load_mapping(path)) if path.exists() else load_format(name)


def imported(folder: Path, file: str, name: str) -> list[Imported]:
    """The records of a file; the test fails if one is set aside."""
    items = list(read_sessions(format_of(name), folder / f"{file}.jsonl.gz"))
    assert [item for item in items if not isinstance(item, Imported)] == []
    return [item for item in items if isinstance(item, Imported)]


def sessions_of(folder: Path, file: str, name: str) -> list[ImportedSession]:
    return [item.session for item in imported(folder, file, name)]


@pytest.mark.parametrize(("file", "name", "sessions", "turns", "acts"), EXPECTED)
def test_every_conversation_comes_in_and_comes_back_equal(
    real_data: Path, file: str, name: str, sessions: int, turns: int, acts: int
) -> None:
    format_ = format_of(name)

    items = imported(real_data, file, name)

    assert len(items) == sessions
    assert sum(len(item.session.turns) for item in items) == turns
    assert sum(len(item.session.interactions) for item in items) == acts
    for item in items:
        rows = [json.loads(line) for line in item.data.split(b"\n")]
        again = format_.to_record(item.session)
        assert again == (rows if isinstance(again, list) else rows[0])


def test_every_data_set_is_covered(real_data: Path) -> None:
    files = {
        str(path.relative_to(real_data)).removesuffix(".jsonl.gz")
        for path in real_data.glob("*/*.jsonl.gz")
    }

    described = {"sgd/schema"}  # Descriptions of services; no conversations.
    assert files - described == {file for file, *_ in EXPECTED}


def test_the_tool_calls_of_agent_runs_are_found_by_their_results(
    real_data: Path,
) -> None:
    calls: Counter[str] = Counter()
    for session in sessions_of(real_data, "tau-bench-airline/trajectories", "messages"):
        known: set[Any] = set()
        for turn in session.turns:
            known.update(part["id"] for part in turn.parts or ())
            if turn.role == "tool":
                calls["found" if turn.tool_call_id in known else "lost"] += 1

    assert calls == {"found": 950}


def test_the_best_ranked_answers_are_the_active_branch(real_data: Path) -> None:
    for session in sessions_of(real_data, "oasst1-en/messages", "oasst"):
        seq = session.head_seq or len(session.turns)
        while seq > 1:
            turn = session.turns[seq - 1]
            parent = seq - 1 if turn.parent_seq is None else turn.parent_seq
            ranks = [
                other.metadata["rank"]
                for place, other in enumerate(session.turns, 1)
                if (place - 1 if other.parent_seq is None else other.parent_seq)
                == parent
                and other.metadata["rank"] is not None
            ]
            assert turn.metadata["rank"] == min(ranks, default=None)
            seq = parent
