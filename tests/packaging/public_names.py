"""What users may import and call: modules, their names, the verbs of the nouns."""

from __future__ import annotations

import ast
import inspect
from importlib import import_module
from pathlib import Path
from types import ModuleType

import convstore
from tests.docs.reference import nouns

FOLDER = Path(__file__).resolve().parent / "public-names"
ADAPTERS = Path(convstore.__file__).parent / "adapters"
MODULES = (
    "convstore",
    "convstore.blocking",
    "convstore.errors",
    "convstore.export",
    "convstore.gateway",
    "convstore.metrics",
    "convstore.metrics.tracing",
    "convstore.migration",
    "convstore.policy",
    "convstore.tables",
    "convstore.testing",
    "convstore.types",
    "convstore.web",
)


def names() -> list[str]:
    """Every public name, sorted."""
    found = {f"{name}:{public}" for name in MODULES for public in of_module(name)}
    found |= {f"convstore.adapters.{name}" for name in adapters()}
    faces = {"store": convstore.Store, "conversation": convstore.types.Conversation}
    faces |= {f"store.{noun}": cls for noun, cls in nouns().items()}
    for face, cls in faces.items():
        found |= {f"{face}.{verb}()" for verb in verbs(cls)}
    return sorted(found)


def of_module(name: str) -> list[str]:
    """What a module says that it has, or else what is defined in it."""
    module = import_module(name)
    if hasattr(module, "__all__"):
        return list(module.__all__)
    return [
        public
        for public, thing in vars(module).items()
        if not public.startswith("_")
        and not isinstance(thing, ModuleType)
        and getattr(thing, "__module__", "").startswith("convstore")
    ]


def adapters() -> list[str]:
    """`module:Class` of each adapter: read, since frameworks need not be installed."""
    found = []
    for path in sorted(ADAPTERS.iterdir()):
        source = path / "__init__.py" if path.is_dir() else path
        if not source.is_file() or path.name.startswith("_"):
            continue
        tree = ast.parse(source.read_text("utf-8"))
        classes = {n.name for n in ast.walk(tree) if isinstance(n, ast.ClassDef)}
        imported = {
            alias.asname or alias.name
            for node in ast.walk(tree)
            if isinstance(node, ast.ImportFrom)
            for alias in node.names
        }
        found += [
            f"{path.stem}:{name}"
            for name in sorted(classes | imported)
            if name.startswith("Convstore")
        ]
    return found


def verbs(cls: type) -> list[str]:
    """What can be called on an instance."""
    return [
        name
        for name, _ in inspect.getmembers(cls, callable)
        if not name.startswith("_") and name != "open"
    ]
