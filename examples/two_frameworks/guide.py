"""The agent: what it answers to the questions that it has seen. Knows no framework."""

from __future__ import annotations

from collections.abc import Sequence


def answer(questions: Sequence[str]) -> str:
    """Where a model of yours would be asked."""
    return f"Question {len(questions)} was: {questions[-1]} I know of three archives."
