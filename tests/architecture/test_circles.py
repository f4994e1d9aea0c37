"""No circle of imports, inside a room either, whether for types alone or late."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from tests.architecture.source import modules


def _name(path: str) -> str:
    return path.removesuffix(".py").removesuffix("/__init__").replace("/", ".")


def _imported(tree: ast.Module, known: set[str]) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module and not node.level:
            for alias in node.names:
                inner = f"{node.module}.{alias.name}"
                yield inner if inner in known else node.module
        elif isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)


def test_no_module_imports_one_that_imports_it() -> None:
    """Names that a package gives out late are the package's own business: its
    `__init__` is left out."""
    paths = {path: tree for path, tree in modules().items() if "__init__" not in path}
    known = {_name(path) for path in paths}
    graph = {
        _name(path): set(_imported(tree, known)) & known - {_name(path)}
        for path, tree in paths.items()
    }
    # What imports nothing of the rest is in no circle, nor what none of it imports.
    while outside := {
        name
        for name, targets in graph.items()
        if not targets or not any(name in others for others in graph.values())
    }:
        graph = {
            name: targets - outside
            for name, targets in graph.items()
            if name not in outside
        }

    assert graph == {}
