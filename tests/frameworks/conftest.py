"""Tests of adapters run where the frameworks are: `scripts/frameworks`, as CI does."""

from __future__ import annotations

import pytest

from tests.frameworks import is_here
from tests.frameworks.ran import note

# The framework's package, and the folder of its tests.
HOMES = {
    "agent_framework": "agent_framework",
    "agents": "openai_agents",
    "chainlit": "chainlit",
    "google.adk": "google_adk",
    "langchain_community": "langchain",
    "langgraph": "langgraph",
    "llama_index": "llama_index",
    "pydantic_ai": "pydantic_ai",
}
collect_ignore = [home for package, home in HOMES.items() if not is_here(package)]


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    note(report)
