"""Pictures of the house, made from the imports: `docs/architecture/`."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Mapping

from tests.architecture.source import ROOT, imports, modules

_MADE = "<!-- Made by scripts/architecture from the imports; do not edit. -->\n"

# A step of a journey: from a module to the next, and what is done there. `calls` is
# an arrow along an import, which is looked up; `gives` goes the other way or through a
# value that was handed over, as a callback or a runner.
Step = tuple[str, str, str, str]

JOURNEYS: dict[str, tuple[str, tuple[Step, ...]]] = {
    "append": (
        "A turn is appended",
        (
            ("repositories/turns", "calls", "db/codec/inputs", "check, encode"),
            ("repositories/turns", "calls", "db/turns", "AppendTurns, an operation"),
            ("repositories/turns", "gives", "store/runners", "the operation"),
            ("store/runners", "calls", "commits/group_commit", "write"),
            ("commits/group_commit", "calls", "commits/lane", "the session's lane"),
            ("commits/lane", "calls", "commits/queue", "wait in turn, bounded"),
            ("commits/lane", "gives", "db/batch", "what waited together"),
            ("db/batch", "calls", "db/unit", "lock heads, number, gather, flush"),
            ("db/batch", "gives", "commits/lane", "durable: wake each caller"),
            ("store/runners", "calls", "repositories/hot_tier", "after the commit"),
        ),
    ),
    "archive-to-purge": (
        "A stale session is archived, then purged",
        (
            ("tasks/scheduler", "gives", "store/upkeep", "every interval"),
            ("store/upkeep", "calls", "retention/job", "run"),
            ("retention/job", "calls", "retention/recovery", "what a crash left"),
            ("retention/job", "calls", "retention/planner", "who, and why"),
            ("retention/planner", "calls", "retention/plan", "decide, pure"),
            ("retention/job", "calls", "archive/archiver", "one batch"),
            ("archive/archiver", "calls", "segments/writer", "write, sync, read back"),
            ("archive/archiver", "calls", "db/segments", "seal"),
            ("retention/job", "calls", "retention/purger", "only what is sealed"),
            ("retention/purger", "calls", "db/session_rows", "delete, and compare"),
        ),
    ),
    "export": (
        "A data set is exported",
        (
            (
                "store/transfer",
                "calls",
                "archive/documents",
                "whole sessions, in order",
            ),
            ("store/transfer", "calls", "store/exports", "documents, formats, options"),
            ("store/exports", "calls", "export/stages/job", "in a thread"),
            ("export/stages/job", "calls", "export/stages/gather", "documents to rows"),
            (
                "export/stages/gather",
                "calls",
                "export/reading/filters",
                "what takes part",
            ),
            ("export/stages/gather", "gives", "export/rules/base", "feedback to rows"),
            ("export/stages/job", "calls", "export/stages/spool", "rows wait on disk"),
            ("export/stages/job", "calls", "export/stages/settling", "which stay"),
            (
                "export/stages/settling",
                "calls",
                "export/choosing/settlement",
                "duplicates, caps, from small entries",
            ),
            ("export/stages/job", "calls", "export/dataset/parts", "a file at a time"),
            ("export/stages/job", "calls", "export/dataset/files", "card, manifest"),
            ("export/stages/job", "calls", "export/dataset/folder", "appears whole"),
        ),
    ),
}


def pages() -> dict[str, str]:
    """The text of each page by its file name."""
    made = {"layers.md": _layers()}
    for name, (title, steps) in JOURNEYS.items():
        made[f"{name}.md"] = _journey(title, steps)
    return made


def _room(dotted: str) -> str:
    return dotted.split(".")[1]


def arrows() -> dict[str, set[str]]:
    """Which room imports from which; single public modules are rooms too."""
    found: dict[str, set[str]] = {}
    for path, tree in modules().items():
        parts = path.removesuffix(".py").split("/")
        room = parts[1]
        if room.startswith("__"):
            continue
        targets = found.setdefault(room, set())
        for name in imports(tree):
            if name.startswith("convstore.") and _room(name) != room:
                targets.add(_room(name))
    return found


def reduced(graph: Mapping[str, set[str]]) -> dict[str, set[str]]:
    """The arrows that no longer way already tells."""

    def reach(start: str) -> set[str]:
        seen: set[str] = set()
        todo = [start]
        while todo:
            for nxt in graph.get(todo.pop(), ()):
                if nxt not in seen:
                    seen.add(nxt)
                    todo.append(nxt)
        return seen

    far = {node: reach(node) for node in graph}
    return {
        node: {
            t
            for t in targets
            if not any(t in far[u] for u in targets - {t} if u in far)
        }
        for node, targets in graph.items()
    }


def _layers() -> str:
    graph = reduced(arrows())
    lines = [_MADE, "# The rooms and what they stand on\n"]
    lines.append(
        "An arrow is an import; one that a longer way tells already is left out. Every "
        "arrow points down, and `lint-imports` holds that.\n"
    )
    lines += ["```mermaid", "flowchart TD"]
    lines += [f"  {room}[{room}]" for room in sorted(graph)]
    for room in sorted(graph):
        lines += [f"  {room} --> {target}" for target in sorted(graph[room])]
    lines += ["```", "", "| room | what it knows |", "| --- | --- |"]
    lines += [f"| `{room}` | {_first_line(room)} |" for room in sorted(graph)]
    return "\n".join(lines) + "\n"


def _first_line(room: str) -> str:
    tree = (
        modules().get(f"convstore/{room}/__init__.py")
        or modules()[f"convstore/{room}.py"]
    )
    return (ast.get_docstring(tree) or "").splitlines()[0].replace("|", "\\|")


def _journey(title: str, steps: Iterable[Step]) -> str:
    lines = [_MADE, f"# {title}\n"]
    lines.append(
        "A solid arrow is a call along an import, a dashed one goes through what was "
        "handed over: a runner, a callback, an answer.\n"
    )
    lines += ["```mermaid", "sequenceDiagram"]
    for source, kind, target, what in steps:
        arrow = "->>" if kind == "calls" else "-->>"
        lines.append(f"  {source}{arrow}{target}: {what}")
    lines += ["```", "", "| from | to | what |", "| --- | --- | --- |"]
    lines += [
        f"| [{source}](../../convstore/{source}.py) | "
        f"[{target}](../../convstore/{target}.py) | {what} |"
        for source, _, target, what in steps
    ]
    return "\n".join(lines) + "\n"


def untrue(steps: Iterable[Step]) -> list[str]:
    """Steps that name no module, or a call that no import carries."""
    found = []
    for source, kind, target, _ in steps:
        trees = modules()
        for module in (source, target):
            if f"convstore/{module}.py" not in trees:
                found.append(f"{module} is not there")
        tree = trees.get(f"convstore/{source}.py")
        if kind == "calls" and tree is not None and not _imports(tree, target):
            found.append(f"{source} does not import {target}")
    return found


def _imports(tree: ast.Module, target: str) -> bool:
    dotted = "convstore." + target.replace("/", ".")
    package, _, name = dotted.rpartition(".")
    return dotted in imports(tree) or any(
        isinstance(node, ast.ImportFrom)
        and node.module == package
        and any(alias.name == name for alias in node.names)
        for node in ast.walk(tree)
    )


def stale() -> list[str]:
    """Pages that are not as the imports would make them now."""
    folder = ROOT / "docs" / "architecture"
    return [
        name
        for name, text in pages().items()
        if not (folder / name).exists() or (folder / name).read_text("utf-8") != text
    ]
