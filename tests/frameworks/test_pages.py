"""The Python blocks of the pages on frameworks run as they stand."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.docs import test_examples

PAGES = ["openai-agents", "pydantic-ai"]


@pytest.mark.parametrize("page", PAGES)
def test_the_examples_of_a_page_run(page: str, tmp_path: Path) -> None:
    path = test_examples.ROOT / "docs" / "howto" / "frameworks" / f"{page}.md"
    test_examples.test_the_examples_of_a_page_run(path, tmp_path)
