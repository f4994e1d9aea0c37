"""Whatever a user may name in an annotation can be imported from a public module."""

from __future__ import annotations

import ast
import inspect
import subprocess
import sys
import typing
from collections.abc import Callable, Iterator
from importlib import import_module
from types import ModuleType
from typing import Any

import pytest

import convstore
from convstore import testing, types
from tests.architecture.source import ROOT

ROOTS = ("Store", "Transaction", "Conversation", "StoreConfig")
PUBLIC = (
    "convstore",
    "convstore.types",
    "convstore.errors",
    "convstore.policy",
    "convstore.gateway",
    "convstore.metrics",
    "convstore.migration",
    "convstore.testing",
)
# Public, too, but for no type that a signature of the store names.
BESIDE = (
    "convstore.blocking",
    "convstore.export",
    "convstore.metrics.tracing",
    "convstore.tables",
    "convstore.web",
)
# JSON is what a caller's own data is: nothing more can be said of it.
JSON = {"Json": object, "JsonObject": dict, "Messages": object}
# What another library makes, which need not be installed.
FOREIGN = {"Buffer.to_dspy_history(return)"}


class Face:
    """Every type that can be reached from the roots, with the places that name it."""

    def __init__(self) -> None:
        self.found: dict[type, list[str]] = {}
        self.untyped: list[str] = []
        for name in ROOTS:
            self._add(getattr(types, name), name)

    def _add(self, hint: Any, place: str) -> None:
        for part in typing.get_args(hint):
            for one in part if isinstance(part, list) else [part]:
                self._add(one, place)
        if hint is Any:
            self.untyped.append(place)
        if not isinstance(hint, type) or not hint.__module__.startswith("convstore"):
            return
        new = hint not in self.found
        self.found.setdefault(hint, []).append(place)
        if new:
            self._walk(hint)

    def _walk(self, cls: type) -> None:
        for base in cls.__mro__:
            if not base.__module__.startswith("convstore"):
                continue
            for name, hint in _hints(base, base.__module__).items():
                if not name.startswith("_"):
                    self._add(hint, f"{base.__name__}.{name}")
            for name, function in _functions(base):
                for parameter, hint in _hints(function, function.__module__).items():
                    self._add(hint, f"{base.__name__}.{name}({parameter})")


def _hints(annotated: Any, module: str) -> dict[str, Any]:
    names = _names(sys.modules[module]) | JSON
    return inspect.get_annotations(annotated, globals=names, eval_str=True)


def _functions(cls: type) -> Iterator[tuple[str, Callable[..., Any]]]:
    for name, value in vars(cls).items():
        if name.startswith("_"):
            continue
        if isinstance(value, property):
            value = value.fget
        if isinstance(value, classmethod | staticmethod):
            value = value.__func__
        if inspect.isfunction(value):
            yield name, inspect.unwrap(value)


def _names(module: ModuleType) -> dict[str, Any]:
    """What a module knows by name, what it imports for its types alone included."""
    names = dict(vars(module))
    for node in ast.walk(ast.parse(inspect.getsource(module))):
        if isinstance(node, ast.ImportFrom) and node.module and not node.level:
            for alias in node.names:
                if alias.name in names or node.module.startswith("_"):
                    continue  # The latter is there for type checkers alone.
                home = import_module(node.module)
                names[alias.asname or alias.name] = getattr(home, alias.name)
    return names


def test_a_type_in_a_public_signature_is_public() -> None:
    homes = [import_module(name) for name in PUBLIC]
    private = {
        f"{cls.__module__}.{cls.__name__}": places[0]
        for cls, places in Face().found.items()
        if all(getattr(home, cls.__name__, None) is not cls for home in homes)
    }

    assert private == {}


def test_no_public_signature_takes_or_gives_just_anything() -> None:
    assert set(Face().untyped) - FOREIGN == set()


def test_the_types_are_in_order() -> None:
    assert types.__all__ == sorted(types.__all__)


@pytest.mark.parametrize("name", [*PUBLIC, *BESIDE])
def test_a_public_module_shows_what_it_promises_and_nothing_else(name: str) -> None:
    module = import_module(name)
    for suite in testing.__all__:
        import_module(f"convstore.testing.{suite}")

    assert dir(module) == sorted(module.__all__)
    assert [each for each in module.__all__ if not hasattr(module, each)] == []


def test_an_adapter_shows_what_it_promises_and_nothing_else() -> None:
    """Read, not imported: one environment does not have all frameworks."""
    folder = ROOT / "convstore/adapters"
    files = [p for p in folder.glob("*.py") if p.name != "__init__.py"]
    for path in [*files, *folder.glob("*/__init__.py")]:
        names = {
            name
            for node in ast.parse(path.read_text("utf-8")).body
            for name in [getattr(node, "name", None), *_targets(node)]
        }

        assert {"__all__", "__dir__"} <= names, path.name


def _targets(node: ast.stmt) -> Iterator[str]:
    for target in node.targets if isinstance(node, ast.Assign) else ():
        yield ast.unparse(target)


def test_every_public_name_of_the_package_is_a_public_type() -> None:
    beside = {"__version__", "open_store"}

    assert set(convstore.__all__) - beside <= set(types.__all__)


def test_naming_a_type_loads_no_database() -> None:
    program = (
        "import sys; from convstore.types import Session, ErasureReceipt, Limits;"
        "print([n for n in ('sqlalchemy', 'pydantic', 'alembic') if n in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        check=True,
        cwd=ROOT,
    )

    assert done.stdout.strip() == "[]"
