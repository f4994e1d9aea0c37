"""An adapter without its framework says what to install, and not what Python missed."""

from __future__ import annotations

import sys
from importlib import import_module
from pathlib import Path
from types import ModuleType

import pytest

from convstore.errors import ConfigError, MissingExtraError
from convstore.vocabulary import extras

# The adapter, the module that it cannot do without, and what is to be installed.
ADAPTERS = {
    "agent_framework": ("agent_framework", "agent-framework"),
    "chainlit": ("chainlit", "chainlit"),
    "google_adk": ("google.adk", "google-adk"),
    "langchain": ("langchain_core", "langchain"),
    "langgraph": ("langgraph", "langgraph"),
    "llama_index": ("llama_index", "llama-index"),
    "openai_agents": ("agents", "openai-agents"),
    "pydantic_ai": ("pydantic_ai", "pydantic-ai"),
}


def _forget(monkeypatch: pytest.MonkeyPatch, *packages: str) -> None:
    for name in list(sys.modules):
        if name.startswith(tuple(f"{package}." for package in packages)):
            monkeypatch.delitem(sys.modules, name)


def test_every_adapter_is_asked() -> None:
    folder = Path(import_module("convstore.adapters").__path__[0])

    assert {path.stem for path in folder.iterdir() if path.stem[0] != "_"} == set(
        ADAPTERS
    )


@pytest.mark.parametrize("adapter", ADAPTERS)
@pytest.mark.parametrize("there", [None, "other"], ids=["missing", "another release"])
def test_an_adapter_without_its_framework_names_the_extra(
    adapter: str, there: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    package, extra = ADAPTERS[adapter]
    _forget(monkeypatch, "convstore.adapters", package)
    # Python finds nothing under a name that stands for None, and no name in a module
    # of another release.
    module = None if there is None else ModuleType(package)
    monkeypatch.setitem(sys.modules, package, module)  # type: ignore[arg-type]

    with pytest.raises(MissingExtraError) as caught:
        import_module(f"convstore.adapters.{adapter}")

    assert f"pip install 'convstore[{extra}]'" in str(caught.value)
    assert isinstance(caught.value, ImportError)  # for who tries whether it is there
    assert isinstance(caught.value, ConfigError)


def test_a_framework_of_another_release_is_told_with_the_one_that_is_wanted(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    declared = [
        "orjson<4,>=3.10",
        "openai-agents<0.25,>=0.24; extra == 'openai-agents'",
        'redis<9,>=7; extra == "redis"',
    ]
    monkeypatch.setattr(extras, "requires", lambda _: declared)
    monkeypatch.setattr(extras, "version", {"openai-agents": "0.8.1"}.__getitem__)

    with (
        pytest.raises(MissingExtraError) as caught,
        extras.needed("openai-agents", "the adapter"),
    ):
        from os import nothing_of_this_name  # type: ignore[attr-defined] # noqa: F401

    assert str(caught.value) == (
        "the adapter needs another release of a dependency: "
        "pip install 'convstore[openai-agents]' "
        "(installed: openai-agents 0.8.1, wanted <0.25,>=0.24)"
    )


def test_a_fault_of_our_own_is_not_taken_for_a_missing_framework() -> None:
    with pytest.raises(ImportError) as caught, extras.needed("langgraph", "it"):
        from convstore.types import nothing_of_this_name  # noqa: F401

    assert not isinstance(caught.value, MissingExtraError)
