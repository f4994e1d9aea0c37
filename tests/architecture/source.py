"""The source code of the package as syntax trees, read once."""

import ast
import gc
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from tests.leaks import set_aside

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "convstore"


@cache
def modules() -> dict[str, ast.Module]:
    """Path relative to the checkout, and its syntax tree."""
    paths = sorted(PACKAGE.rglob("*.py"))
    # A million nodes that stay: nobody need look for garbage among them.
    gc.disable()
    trees = {
        path.relative_to(ROOT).as_posix(): ast.parse(path.read_text("utf-8"))
        for path in paths
    }
    gc.enable()
    set_aside()
    return trees


def imports(tree: ast.Module) -> Iterator[str]:
    """The dotted names that a module imports, wherever in it."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            yield node.module


@cache
def imported() -> dict[str, tuple[str, ...]]:
    """Path, and the dotted names that the module imports."""
    return {path: tuple(imports(tree)) for path, tree in modules().items()}


@cache
def called() -> dict[str, tuple[str, ...]]:
    """Path, and what the module calls."""
    return {path: tuple(calls(tree)) for path, tree in modules().items()}


def calls(tree: ast.Module) -> Iterator[str]:
    """What a module calls, as written: `datetime.now`, `eval`."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            yield ast.unparse(node.func)
