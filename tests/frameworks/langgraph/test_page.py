"""The Python blocks of the page on LangGraph run as they stand."""

from __future__ import annotations

from pathlib import Path

from tests.docs import test_examples

PAGE = test_examples.ROOT / "docs" / "howto" / "frameworks" / "langgraph.md"


def test_the_examples_of_the_page_run(tmp_path: Path) -> None:
    test_examples.test_the_examples_of_a_page_run(PAGE, tmp_path)
