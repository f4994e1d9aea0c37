"""What people read first: a chart, five sentences, the comparison, the goals missed."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from benchmarks.bench import Row
from benchmarks.chart import Bars, chart
from benchmarks.framework_backends import MANY
from benchmarks.goals.frameworks import FRAMEWORKS

NAMES = {
    "convstore": "convstore",
    "prototype": "limit: the bare queue",
    "bare": "limit: the bare driver",
    "openai_agents": "OpenAI Agents SDK",
    "google_adk": "Google ADK",
    "langchain": "LangChain",
}
_KINDS = {"convstore": "us", "prototype": "limit", "bare": "limit"}
_PEERS = ("openai_agents", "google_adk", "langchain")
TITLE = "convstore beside the bare drivers and the stores of three frameworks"

Figures = dict[str, dict[str, Any]]


def figures(results: Path) -> dict[str, Figures]:
    """The figures of what is shown, by a name and the database."""
    found: dict[str, Figures] = {}
    for name in ("appends", "lone_writer", "windows"):
        kept = json.loads((results / f"{name}.json").read_text("utf-8"))
        for row in kept["rows"]:
            if row["figures"].get("convstore"):
                found[f"{name} {row['database']}"] = row["figures"]
    return found


def picture(found: dict[str, Figures]) -> str:
    """The chart: appends and windows on both databases."""

    def bars(name: str) -> list[tuple[str, float, str]]:
        shown = found[name]
        return [
            (NAMES[who], shown[who]["per_s"], _KINDS.get(who, "peer"))
            for who in NAMES
            if who in shown
        ]

    parts: Bars = [
        (
            "Durable appends, 50 sessions at once, SQLite",
            "a second",
            bars(f"{_A} {_S}"),
        ),
        (
            "Durable appends, 50 sessions at once, PostgreSQL",
            "a second",
            bars(f"{_A} {_P}"),
        ),
        ("Windows of 20 turns, cold, SQLite", "a second", bars(f"{_W} {_S}")),
        ("Windows of 20 turns, cold, PostgreSQL", "a second", bars(f"{_W} {_P}")),
    ]
    return chart(parts, TITLE)


_A, _L, _W, _S, _P = "appends", "lone_writer", "windows", "SQLite", "PostgreSQL"


def sentences(found: dict[str, Figures], rows: Sequence[Row]) -> str:
    """Five sentences: appends, the limit, the lone writer, windows, what was missed."""
    on_sqlite, on_server = found[f"{_A} {_S}"], found[f"{_A} {_P}"]
    lone, window = found[f"{_L} {_S}"], found[f"{_W} {_S}"]
    missed = sum(1 for row in rows if not row.met)
    return (
        f"With fifty conversations at once, convstore stores {_per_s(on_sqlite)} turns "
        f"a second on SQLite and {_per_s(on_server)} on PostgreSQL, each on the disk "
        "before it is acknowledged: "
        f"{_times(on_sqlite)} and {_times(on_server)} times what the best of the "
        "stores of three agent frameworks does. "
        "The limit is the least that a queue and a shared commit can be, without any "
        f"check or number: of that it has {_share(on_sqlite, 'prototype')} and "
        f"{_share(on_server, 'prototype')} percent. "
        f"A single writer that waits for each turn has {_per_s(lone)} a second, "
        f"{_times(lone)} times the best of those stores and {_share(lone, 'bare')} "
        "percent of the bare driver, which does nothing else. "
        f"A window of twenty turns is read {_times(window)} times as fast as by the "
        "best of them on SQLite, and from the hot tier in a few microseconds. "
        f"Of {len(rows)} goals {missed} are missed; they are listed once, below, with "
        "the reasons."
    )


def missed_goals(rows: Sequence[Row]) -> str:
    """The goals that are missed, a line each."""
    lines = ["| missed | database | at least | measured |", "| --- " * 4 + "|"]
    lines += [
        f"| {r.goal} | {r.database} | {r.at_least} | {r.measured} |"
        for r in rows
        if not r.met
    ]
    return "\n".join(lines)


def comparison(found: dict[str, Figures]) -> str:
    """The table of `docs/compare.md`: a second, of each store that was measured."""
    columns = ["convstore", *_PEERS]
    lines = [
        "| a second | " + " | ".join(NAMES[who] for who in columns) + " |",
        "| --- " * (len(columns) + 1) + "|",
        *_compared(found, columns),
    ]
    return "\n".join(lines)


def _compared(found: dict[str, Figures], columns: list[str]) -> Iterator[str]:
    told = {
        _A: "durable appends, 50 sessions at once",
        _L: "durable appends, one writer",
        _W: "windows of 20 turns, cold",
    }
    for name, what in told.items():
        for database in (_S, _P):
            shown = found.get(f"{name} {database}")
            if shown:
                cells = (f"{shown[who]['per_s']:,}" for who in columns)
                yield f"| {what}, {database} | " + " | ".join(cells) + " |"


def in_place(results: Path) -> Figures:
    """What was measured of frameworks: the figures of both stores, by the line of the
    call, the database and the framework's own store."""
    path = results / "frameworks.json"
    if not path.exists():
        return {}
    found: Figures = {}
    for row in json.loads(path.read_text("utf-8"))["rows"]:
        # A framework may have several: the line says beside which one.
        if told := re.search(r" against [\d.]+ of ([^;]+); ", row["measured"]):
            found[f"{row['goal']} {row['database']} {told[1]}"] = row["figures"]
    return found


def frameworks(found: Figures, what: str) -> str:
    """The table of one kind of call, `add` or `read`: each framework's own stores that
    have on the disk what they acknowledge, and ours in their place, a second."""
    places = [(database, n) for database in (_S, _P) for n in (1, MANY)]
    heads = [
        "a second, its own → convstore",
        *(f"{db}, {'one' if n == 1 else n} at a time" for db, n in places),
    ]
    lines = [f"| {' | '.join(heads)} |", "| --- " * len(heads) + "|"]
    for told in FRAMEWORKS:
        goals = [f"{told.goal(f'{what} {n}')} {db} " for db, n in places]
        stores = [key[len(goals[0]) :] for key in found if key.startswith(goals[0])]
        for store in stores:
            if "not synced" not in store:
                cells = [_both(found.get(f"{goal}{store}")) for goal in goals]
                lines.append(f"| {told.name}, {store} | {' | '.join(cells)} |")
    return "\n".join(lines)


def _both(shown: dict[str, Any] | None) -> str:
    if shown is None:
        return "–"
    return " → ".join(f"{shown[who]['per_s']:,.0f}" for who in ("theirs", "ours"))


def _per_s(shown: Figures) -> str:
    return f"{shown['convstore']['per_s']:,}"


def _times(shown: Figures) -> str:
    best = max(shown[who]["per_s"] for who in _PEERS)
    return f"{shown['convstore']['per_s'] / best:.1f}".removesuffix(".0")


def _share(shown: Figures, limit: str) -> str:
    return f"{100 * shown['convstore']['per_s'] / shown[limit]['per_s']:.0f}"
