"""What is killed while it writes through adapters, one module a framework.

Each has a class `Writer(store)`: `write(names)` stores two names with the framework's
own calls, `read()` gives the names that are there, in their order, and what does not
fit together. `whole` says whether the two are stored in one commit.
"""

from __future__ import annotations

from collections.abc import Iterator
from importlib import import_module
from typing import Any

from tests.frameworks import is_here

# The framework's package, and the module of its writer.
PACKAGES = {
    "agent_framework": "agent_framework",
    "agents": "openai_agents",
    "chainlit": "chainlit",
    "google.adk": "google_adk",
    "langchain_core.chat_history": "langchain",
    "langgraph.graph": "langgraph",
    "langgraph.store.base": "langgraph_memory",
    "llama_index.core": "llama_index",
    "pydantic_ai": "pydantic_ai",
}
Found = tuple[list[str], list[str]]


def writers_here() -> Iterator[tuple[str, Any]]:
    """The name and the class of each writer whose framework is installed."""
    for package, name in PACKAGES.items():
        if is_here(package):
            yield name, import_module(f"tests.frameworks.writers.{name}").Writer
