"""Real conversations: each comes in, and comes back equal."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from convstore.imports.model import ImportedSession
from convstore.imports.reading import Imported, read_sessions
from tests.real_files import (
    EXPECTED,
    EXPECTED_OF_STAND_INS,
    STAND_INS,
    TOOL_RESULTS,
    format_of,
    packed,
)
from tests.unit.imports.inverse.formats import to_record


def imported(folder: Path, file: str, name: str) -> list[Imported]:
    """The records of a file; the test fails if one is set aside."""
    items = list(read_sessions(format_of(name), folder / f"{file}.jsonl.gz"))
    assert [item for item in items if not isinstance(item, Imported)] == []
    return [item for item in items if isinstance(item, Imported)]


def sessions_of(folder: Path, file: str, name: str) -> list[ImportedSession]:
    return [item.session for item in imported(folder, file, name)]


@pytest.mark.mostly_slow("oasst*", "xsid*", "preference*", "tau*")
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
        again = to_record(format_, item.session)
        assert again == (rows if isinstance(again, list) else rows[0])


def test_every_data_set_is_covered(real_data: Path) -> None:
    files = {
        str(path.relative_to(real_data)).removesuffix(".jsonl.gz")
        for path in real_data.glob("*/*.jsonl.gz")
    }

    described = {"sgd/schema"}  # Descriptions of services; no conversations.
    assert files - described == {file for file, *_ in EXPECTED}


def test_the_stand_ins_hold_what_is_expected_of_them(tmp_path: Path) -> None:
    folder = packed(STAND_INS, tmp_path)

    for file, name, *counts in EXPECTED_OF_STAND_INS:
        sessions = sessions_of(folder, file, name)
        turns = sum(len(session.turns) for session in sessions)
        acts = sum(len(session.interactions) for session in sessions)
        assert [len(sessions), turns, acts] == counts, file


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

    assert calls == {"found": TOOL_RESULTS}


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
