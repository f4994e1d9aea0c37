"""Tests of adapters run where the frameworks are: `scripts/frameworks`, as CI does."""

from __future__ import annotations

from importlib.util import find_spec

# The framework's package, and the folder of its tests.
HOMES = {
    "agents": "openai_agents",
    "chainlit": "chainlit",
    "langgraph": "langgraph",
    "pydantic_ai": "pydantic_ai",
}
collect_ignore = [home for package, home in HOMES.items() if find_spec(package) is None]
