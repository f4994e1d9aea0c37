"""The table of what the conformance kit found of stores, and which stores there are."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from convstore.testing.chat_isolation import ALIKE, TEXTS

RESULTS = Path(__file__).parent / "results" / "conformance.json"
WRITERS = 30
Found = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Store:
    """A store that is tried: its name for people, what has to be installed, and the
    function of `benchmarks.chat_stores`."""

    title: str
    package: str
    opener: str
    one_by_one: bool = False
    own_tables: bool = True

    @property
    def opens(self) -> str:
        """As the kit is told."""
        return f"benchmarks.chat_stores:{self.opener}"


STORES = (
    Store("convstore", "convstore", "convstore"),
    Store("OpenAI Agents SDK `SQLAlchemySession`", "openai-agents", "openai_agents"),
    Store(
        "Google ADK `DatabaseSessionService`",
        "google-adk",
        "google_adk",
        one_by_one=True,
    ),
    Store("LangChain `SQLChatMessageHistory`", "langchain-community", "langchain"),
    Store("LangGraph `SqliteSaver`, `PostgresSaver`", "langgraph", "langgraph"),
    Store("LlamaIndex `SQLAlchemyChatStore`", "llama-index-core", "llama_index"),
    Store(
        "Chainlit `SQLAlchemyDataLayer`",
        "chainlit",
        "chainlit",
        one_by_one=True,
        own_tables=False,
    ),
)


def table(found: Found) -> str:
    """What is shown of it in `docs/compare.md`: a column a store."""
    stores = [store for store in STORES if store.opener in found]
    heads = ["", *(f"{s.title} {found[s.opener]['release']}" for s in stores)]
    lines = [heads, ["---"] * len(heads)]
    for name, told in _ROWS:
        lines.append([name, *(_cell(told, s, found[s.opener]) for s in stores)])
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


Told = Callable[[Found, Store], str]
"""What a row says of one store on one database."""


def _cell(told: Told, store: Store, reports: Found) -> str:
    """Once where both databases say the same, else SQLite and PostgreSQL."""
    here = [name for name in ("SQLite", "PostgreSQL") if name in reports]
    said = [told(reports[name], store) for name in here]
    return said[0] if len(set(said)) == 1 else " / ".join(said)


def _of(trial: str, *path: str, several: bool = False) -> Told:
    """A number of a report. `several` is about calls of two messages: nothing is said
    of a store that takes one a call."""

    def told(reports: Found, store: Store) -> str:
        if several and store.one_by_one:
            return "–"
        value: Any = reports[trial]
        for name in path:
            value = value.get(name)
            if value is None:
                return "failed"
        if isinstance(value, bool):
            return "yes" if value else "no"
        if isinstance(value, dict):
            value = sum(value.values())
        return f"{len(value) if isinstance(value, list) else value:,}"

    return told


def _opening(reports: Found, store: Store) -> str:
    return _of("race", "unopened")(reports, store) if store.own_tables else "–"


def _others(who: str) -> Told:
    def told(reports: Found, store: Store) -> str:
        leaks = reports["isolation"].get("leaks")
        if leaks is None:
            return "failed"
        verbs = [leak.split()[1] for leak in leaks if leak.split()[0] == who]
        return ", ".join(verbs) or "nothing"

    return told


_ROWS: tuple[tuple[str, Told], ...] = (
    (
        "**killed 20 times while it writes**: messages acknowledged",
        _of("crash", "verdict", "acknowledged"),
    ),
    ("acknowledged, and lost", _of("crash", "verdict", "lost")),
    ("there twice", _of("crash", "verdict", "doubled")),
    ("out of order", _of("crash", "verdict", "disordered")),
    (
        "calls of two messages, of which one is there",
        _of("crash", "verdict", "half", several=True),
    ),
    ("**three open an empty database at once**: failed", _opening),
    (
        f"**{WRITERS} writers, one conversation**: messages acknowledged",
        _of("race", "verdict", "acknowledged"),
    ),
    ("acknowledged, and lost", _of("race", "verdict", "lost")),
    ("calls refused", _of("race", "refusals")),
    ("refused, and there", _of("race", "verdict", "denied", several=True)),
    ("out of the order of their writer", _of("race", "verdict", "disordered")),
    (
        "calls of two messages, with others between them",
        _of("race", "verdict", "torn", several=True),
    ),
    ("reads that take back what was read before", _of("race", "moved")),
    ("**another user who names the conversation**", _others("user")),
    ("another tenant who names it", _others("tenant")),
    (
        f"**{len(ALIKE)} ids that look alike**: mixed up",
        _of("isolation", "mixed"),
    ),
    (
        f"**{len(TEXTS)} odd texts**: come back otherwise",
        _of("isolation", "altered"),
    ),
    ("**a deleted conversation** comes back", _of("isolation", "returned")),
)
