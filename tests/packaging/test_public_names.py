"""What a release promised is still there: each name of its list imports."""

from __future__ import annotations

from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

import pytest

import convstore
from convstore.types import Conversation
from tests.docs.reference import nouns
from tests.packaging.public_names import FOLDER, adapters

LISTS = sorted(FOLDER.glob("*.txt"))


def test_there_is_a_list_of_a_release() -> None:
    assert LISTS


@pytest.mark.parametrize("page", LISTS, ids=lambda page: page.stem)
def test_each_name_of_a_release_imports(page: Path) -> None:
    lines = page.read_text("utf-8").split()
    there = nouns()
    known = set(adapters())
    gone = []
    for line in lines:
        module, _, name = line.partition(":")
        if module.startswith("convstore.adapters."):
            found = line.removeprefix("convstore.adapters.") in known
        elif name:
            found = _has(module, name)
        else:
            face, _, verb = line.removesuffix("()").rpartition(".")
            of = {"store": convstore.Store, "conversation": Conversation}
            of |= {f"store.{noun}": cls for noun, cls in there.items()}
            found = callable(getattr(of.get(face), verb, None))
        if not found:
            gone.append(line)

    assert gone == []


def _has(module: str, name: str) -> bool:
    """Whether `from module import name` works: a module in it counts."""
    return hasattr(import_module(module), name) or bool(find_spec(f"{module}.{name}"))
