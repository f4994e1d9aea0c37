"""Agent frameworks on our adapters, beside their own stores."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from benchmarks.bench import Bench, Figures, Goal, Row, times
from benchmarks.framework_backends import MANY

_WORK = "benchmarks.framework_backends"
_MOST_BYTES = 2_000_000
_TURNS = 200


class Framework(NamedTuple):
    """A framework: its own store, the environment that it is in, its two calls."""

    name: str
    store: str
    environment: str
    add: str
    read: str

    def goal(self, call: str) -> str:
        """The line of a call, such as `add 30`: what is called, by how many at once."""
        what, _, callers = call.partition(" ")
        named = self.add if what == "add" else self.read
        at_once = f", {callers} at once" if int(callers) > 1 else ""
        return f"{self.name}: {named}{at_once}"


_FRAMEWORKS = {
    "openai_agents": Framework(
        *("OpenAI Agents", "SQLAlchemySession", "frameworks"),
        *("add_items of two", "get_items of 20"),
    ),
    "langgraph": Framework(
        *("LangGraph", "its saver", "frameworks"),
        *("a turn of a graph", "get_state"),
    ),
    "google_adk": Framework(
        *("Google ADK", "DatabaseSessionService", "frameworks"),
        *("append_event, twice", "get_session of 20"),
    ),
    "agent_framework": Framework(
        *("Agent Framework", "files, not synced", "frameworks-2"),
        *("save_messages of two", "get_messages"),
    ),
    "llama_index": Framework(
        *("LlamaIndex", "SQLAlchemyChatStore", "frameworks-2"),
        *("add_messages of two", "get_messages"),
    ),
    "langchain": Framework(
        *("LangChain", "SQLChatMessageHistory", "frameworks-2"),
        *("add_messages of two", "get messages"),
    ),
    "chainlit": Framework(
        *("Chainlit", "SQLAlchemyDataLayer", "chainlit"),
        *("create_step, twice", "get_thread"),
    ),
}
_OTHERS = {
    ("openai_agents", "SQLite"): {"theirs, of SQLite": "SQLiteSession"},
    ("agent_framework", "SQLite"): {"theirs, synced": "files, synced"},
    ("agent_framework", "PostgreSQL"): {"theirs, synced": "files, synced"},
}
"""By framework and database: other stores of theirs, by how they are asked for."""


def measure(bench: Bench) -> Iterable[Row]:
    """Both with the same calls. Of each call the round that took the client least."""
    for framework, told in _FRAMEWORKS.items():
        for database in bench.databases:
            both = _rounds(bench, framework, told, database, "theirs")
            yield from _rows(database, told, told.store, both)
            for own, store in _OTHERS.get((framework, database), {}).items():
                both = _rounds(bench, framework, told, database, own)
                yield from _rows(database, told, store, both)
            if framework == "langgraph":
                yield from _on_disk(bench, database, told)


def _rounds(
    bench: Bench, framework: str, told: Framework, database: str, own: str
) -> dict[str, Figures]:
    given = {
        "framework": framework,
        "alone": bench.scaled(300, 60),
        "together": bench.scaled(20, 4),
    }
    best: dict[str, Figures] = {}
    for _ in range(bench.scaled(3, 1)):
        for contestant in (own, "ours"):
            figures = bench.within(
                told.environment, f"{_WORK}:calls", database, contestant, **given
            )
            who = "ours" if contestant == "ours" else "theirs"
            for call, figure in figures.items():
                before = best.setdefault(call, {}).get(who)
                if before is None or figure["client_us"] < before["client_us"]:
                    best[call][who] = figure
    return {call: both for call, both in best.items() if len(both) == 2}


def _rows(
    database: str, told: Framework, store: str, figures: dict[str, Figures]
) -> Iterator[Row]:
    for call, both in figures.items():
        wanted = 3.0 if call.endswith(f" {MANY}") else 1.0
        yield _row(told.goal(call), database, store, both, wanted)


def _row(
    name: str, database: str, store: str, both: dict[str, Figures], wanted: float
) -> Row:
    ours, theirs = both["ours"], both["theirs"]
    ratio = times(theirs["client_us"], ours["client_us"])
    rate = times(ours["per_s"], theirs["per_s"])
    measured = (
        f"{ratio} x ({ours['client_us']} µs of the client's processor against "
        f"{theirs['client_us']} of {store}; {rate} x the calls a second)"
    )
    return Row(name, database, f"{wanted:.0f} x", measured, ratio >= wanted, both)


def _on_disk(bench: Bench, database: str, told: Framework) -> Iterator[Row]:
    turns = bench.scaled(_TURNS, _TURNS // 5)
    both = {
        contestant: figures
        for contestant in ("theirs", "ours")
        if "bytes"
        in (
            figures := bench.within(
                *(told.environment, f"{_WORK}:graph_on_disk", database, contestant),
                turns=turns,
            )
        )
    }
    if len(both) == 2:
        name = f"{told.name}: a turn, of {turns} in one thread"
        yield _row(name, database, told.store, both, 1.0)
        yield _room(database, both, turns)


def _room(database: str, both: dict[str, Figures], turns: int) -> Row:
    ours, theirs = both["ours"]["bytes"], both["theirs"]["bytes"]
    told = f"{ours / 1e6:.2f} MB ({theirs / 1e6:.1f} MB of its own)"
    most = _MOST_BYTES * turns / _TURNS
    name = f"LangGraph: {turns} turns of 1 KB on disk"
    return Row(name, database, f"{most / 1e6:g} MB", told, ours <= most, both)


GOAL = Goal("frameworks", measure)
FRAMEWORKS = tuple(_FRAMEWORKS.values())
