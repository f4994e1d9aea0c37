"""Exports of one long conversation: read in time of their length, whichever tool's."""

from __future__ import annotations

import gc
import time
from pathlib import Path
from typing import Any

import pytest

from convstore.imports.reading import read_sessions
from convstore.imports.registry import load_format
from tests.unit.imports.tools.samples import SAMPLES, Sample

IDS = [f"{n}-{sample.name}" for n, sample in enumerate(SAMPLES)]
# What tells whose a message is, and not which one it is.
_SHARED = frozenset(
    "sessionId session_id conversation_id conversationId thread_id threadId chatId "
    "chat_id trace_id traceId user_id userId sender_id app_name question_id "
    "invocation_id checkpoint_id".split()
)
_ONE_ROW = frozenset(
    "sessions threads chat agent_sessions agno_sessions conversations app_states "
    "user_states".split()
)
_FEW, _MANY = 300, 2_400


def copied(value: Any, number: int) -> Any:
    """The value with ids of its own, as what follows it in a conversation."""
    if isinstance(value, list):
        return [copied(item, number) for item in value]
    if not isinstance(value, dict):
        return value
    return {
        key: f"{item}-{number}"
        if isinstance(item, str) and key not in _SHARED and _is_id(key)
        else copied(item, number)
        for key, item in value.items()
    }


def _is_id(key: str) -> bool:
    return key.lower().endswith(("id", "hash")) or "parent" in key.lower()


def grown(value: Any, count: int) -> Any:
    """The value with its outermost list, or object of objects, so many times."""
    if isinstance(value, list) and value and all(isinstance(v, dict) for v in value):
        return [copied(item, n) for n in range(count) for item in value]
    if not isinstance(value, dict):
        return value
    if len(value) > 1 and all(isinstance(item, dict) for item in value.values()):
        return {
            f"{key}-{n}": copied(item, n)
            for n in range(count)
            for key, item in value.items()
        }
    return {key: grown(item, count) for key, item in value.items()}


def long(sample: Sample, count: int) -> Sample:
    records = sample.records
    if len(records) > 1:
        more = (copied(r, n) for n in range(count) for r in records[1:])
        records = (records[0], *more)
    elif records:
        records = (grown(records[0], count),)
    tables = sample.tables and {
        name: [grown(row, count) for row in rows]
        if name in _ONE_ROW
        else [copied(row, n) for n in range(count) for row in rows]
        for name, rows in sample.tables.items()
    }
    return Sample(sample.name, 0, records, grown(sample.document, count), tables)


@pytest.mark.mostly_slow("*-chatgpt")
@pytest.mark.parametrize("sample", SAMPLES, ids=IDS)
def test_a_long_conversation_is_read_in_time_of_its_length(
    sample: Sample, tmp_path: Path
) -> None:
    def took(count: int) -> float:
        path, spent = long(sample, count).written(tmp_path), []
        for _ in range(3):
            gc.collect()  # what others have left is not to be paid for here
            began = time.process_time()
            for _ in read_sessions(load_format(sample.name), path):
                pass
            spent.append(time.process_time() - began)
        return min(spent)

    # Eight times as much; as much again for each would be sixty-four times.
    assert took(_MANY) < 28 * took(_FEW) + 0.2
