"""The Python blocks of the pages on frameworks run as they stand."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.docs import test_examples
from tests.frameworks import is_here

# The page, and the package that it needs.
PAGES = {
    "agent-framework": "agent_framework",
    "chainlit": "chainlit",
    "google-adk": "google.adk",
    "langchain": "langchain_community",
    "llama-index": "llama_index",
    "openai-agents": "agents",
    "pydantic-ai": "pydantic_ai",
}
HERE = [page for page, package in PAGES.items() if is_here(package)]


@pytest.mark.parametrize("page", HERE)
def test_the_examples_of_a_page_run(page: str, tmp_path: Path) -> None:
    path = test_examples.ROOT / "docs" / "howto" / "frameworks" / f"{page}.md"
    test_examples.test_the_examples_of_a_page_run(path, tmp_path)
