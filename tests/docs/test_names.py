"""What pages, docstrings and comments name is there: files, names, commands, settings.

A page that names a module which was moved, or an option that was renamed, misleads
whoever follows it.
"""

from __future__ import annotations

import ast
import re
import subprocess
from collections.abc import Iterator
from fnmatch import fnmatch
from functools import cache
from importlib import import_module
from typing import Any

import pytest
from typer.main import get_command

from convstore import Store, types
from convstore.cli.root import app
from convstore.errors import ConfigError, MissingExtraError
from convstore.vocabulary.environment import check_names
from convstore.vocabulary.settings import StoreConfig
from tests.architecture.source import ROOT, modules
from tests.docs import reference

# Made from the code; and an old entry of the changelog is true of its time.
NOT_READ = ("CHANGELOG.md", "docs/reference/")
# These speak of the inside: what they name is ours, but for what is listed below it.
OF_THE_HOUSE = (
    "ARCHITECTURE.md",
    "CONTRIBUTING.md",
    "convstore/",
    "docs/architecture/",
    "docs/decisions/",
    "docs/glossary.md",
)
FOREIGN = {
    "FrozenInstanceError",
    "convstore_NNNN",
    "pg_upgrade",
    "rejected_rows/",  # folders that a store or an export makes
    "tmp/",
}
OPTIONS_OF_OTHERS = {
    "--basetemp",
    "--hypothesis-profile",
    "--media",
    "--name",
    "--no-proxy-headers",
    "--pdb",
}
OPTIONS_OF_OTHERS |= {"--live", "--sessions"}
OPTIONS_OF_OTHERS |= {"--fix", "--proxy-headers", "--trainers", "--schema"}
OPTIONS_OF_OTHERS |= {"--slow", "--all"}
# Of the sessions' own file, and keys in a card: names with a dot that are no modules.
KEYS = {"convstore.generation", "convstore.rule", "convstore.schema.json"}

COMMENT = re.compile(r"(?:^|  ) *# (.*)$", re.MULTILINE)
SPAN = re.compile(r"`([^`\n]+)`")
BLOCK = re.compile(r"^```.*?^```$", re.MULTILINE | re.DOTALL)
PLACE = re.compile(
    r"(?<![\w/~.-])(?:convstore|tests|docs|scripts|examples|migrations)/[\w./*-]*\w"
)
DOTTED = re.compile(r"\bconvstore(?:\.[A-Za-z_]\w*)+")
FILE = re.compile(r"(?:[\w.*-]+/)*[\w*-]+\.(?:py|pyi|toml|sh)")
FOLDER = re.compile(r"(?:[\w.-]+/)+")
NAME = re.compile(r"(?=\w*_|[A-Z]|\w+[.(])[A-Za-z_][\w.]*(?:\(.*\))?")
NOUN = re.compile(r"(?<![\w./])store\.(\w+)(?:\.(\w+))?")
FIELD = re.compile(r"`([A-Z]\w+)\.([a-z_]\w*)")
VARIABLE = re.compile(r"\bCONVSTORE_[A-Z][A-Z0-9_]*[A-Z0-9]\b")
SHELL = re.compile(r"^```(?:sh|console|bash)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
COMMAND = re.compile(r"^(?:\$ )?convstore((?: [a-z][a-z-]*)+)([^|]*)")
OPTION = re.compile(r"(?<![\w-])--[a-z][a-z-]*")


@cache
def texts() -> dict[str, str]:
    """Each page, and of each module what it says about itself."""
    pages = [name for name in files() if name.endswith(".md")]
    read = {
        name: (ROOT / name).read_text("utf-8")
        for name in pages
        if not name.startswith(NOT_READ)
    }
    return read | {
        path: "\n".join(_said(path, tree)) for path, tree in modules().items()
    }


def _said(path: str, tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            yield str(node.value.value)
    yield from COMMENT.findall((ROOT / path).read_text("utf-8"))


@cache
def files() -> tuple[str, ...]:
    listed = ["git", "ls-files", "--cached", "--others", "--exclude-standard"]
    done = subprocess.run(listed, cwd=ROOT, capture_output=True, text=True, check=True)
    return tuple(name for name in done.stdout.splitlines() if (ROOT / name).exists())


@cache
def _endings() -> set[str]:
    """Each file and folder, from each of its parts on."""
    found: set[str] = set()
    for path in files():
        parts = path.split("/")
        for end in range(1, len(parts) + 1):
            found.update("/".join(parts[start:end]) for start in range(end))
    return found


@cache
def _is_place(name: str) -> bool:
    if "*" in name:
        return any(fnmatch(path, f"*{name}") for path in files())
    return name.rstrip("/") in _endings()


def _wrong(found: Iterator[tuple[str, str]]) -> list[str]:
    return sorted({f"{text}: {name}" for text, name in found})


def spans(of_the_house: bool = False) -> Iterator[tuple[str, str]]:
    for name, text in texts().items():
        if not of_the_house or name.startswith(OF_THE_HOUSE):
            for span in SPAN.findall(BLOCK.sub("", text)):
                yield name, span


def test_each_file_that_is_named_is_there() -> None:
    places = (
        (name, place) for name, text in texts().items() for place in PLACE.findall(text)
    )
    ours = (
        (name, span)
        for name, span in spans(of_the_house=True)
        if FILE.fullmatch(span) or FOLDER.fullmatch(span)
    )

    assert _wrong(pair for pair in places if not _is_place(pair[1])) == []
    assert _wrong(p for p in ours if not _is_place(p[1]) and p[1] not in FOREIGN) == []


def _is_there(dotted: str) -> bool:
    parts = dotted.split(".")
    for cut in range(len(parts), 0, -1):
        try:
            thing: Any = import_module(".".join(parts[:cut]))
        except MissingExtraError:
            return _is_place(f"{'/'.join(parts[:3])}*")  # needs what is not here
        except ModuleNotFoundError as error:
            if not str(error.name).startswith("convstore"):
                return _is_place(f"{'/'.join(parts[:3])}*")  # needs what is not here
            continue
        return _has(thing, parts[cut:])
    return False


def _has(thing: Any, names: list[str]) -> bool:
    for name in names:
        if not hasattr(thing, name):
            return name in getattr(thing, "__annotations__", {})
        thing = getattr(thing, name)
    return True


def test_each_name_with_its_module_is_there() -> None:
    found = (
        (name, dotted)
        for name, text in texts().items()
        for dotted in DOTTED.findall(text)
        if dotted not in KEYS and not _is_there(dotted)
    )

    assert _wrong(found) == []


@cache
def _words() -> set[str]:
    code = (name for name in files() if name.endswith((".py", ".toml", ".html", ".js")))
    return {word for n in code for word in re.findall(r"\w+", (ROOT / n).read_text())}


def test_each_name_of_the_inside_is_in_the_code() -> None:
    found = (
        (name, span)
        for name, span in spans(of_the_house=True)
        if NAME.fullmatch(span) and span not in FOREIGN and not FILE.fullmatch(span)
        if not set(re.findall(r"[A-Za-z_]\w*", span.split("(")[0])) <= _words()
        if not _is_place(span)
    )

    assert _wrong(found) == []


def test_each_verb_and_field_of_the_face_is_there() -> None:
    nouns = reference.nouns()

    def wrong() -> Iterator[tuple[str, str]]:
        for name, text in texts().items():
            for noun, verb in NOUN.findall(text):
                # That of the store for threads is its own.
                home = nouns.get(noun) if verb else None
                there = hasattr(home, verb) if home else noun in nouns
                # Nor is the end of a file's name one.
                other = noun in ("awaitable", "md")
                if not (there or other or hasattr(Store, noun)):
                    yield name, f"store.{noun}.{verb}"
            for cls, field in FIELD.findall(text) if name.endswith(".md") else ():
                if (thing := getattr(types, cls, None)) and not _has(thing, [field]):
                    yield name, f"{cls}.{field}"

    assert _wrong(wrong()) == []


def test_each_variable_of_the_environment_is_read() -> None:
    settings = StoreConfig._names()
    code = "\n".join(
        (ROOT / name).read_text("utf-8")
        for name in files()
        if name.endswith((".py", ".sh")) or name.startswith(("scripts/", ".ci/"))
        if name != "tests/docs/test_names.py"
    )

    def is_read(variable: str) -> bool:
        try:
            check_names([variable], settings)
        except ConfigError:
            return False
        return not variable.startswith("CONVSTORE_TEST_") or variable in code

    named = ((n, v) for n, text in texts().items() for v in VARIABLE.findall(text))

    assert _wrong(pair for pair in named if not is_read(pair[1])) == []


@cache
def commands() -> dict[str, Any]:
    def walk(command: Any, path: str) -> Iterator[tuple[str, Any]]:
        yield path, command
        for name, child in getattr(command, "commands", {}).items():
            yield from walk(child, f"{path} {name}".strip())

    return dict(walk(get_command(app), ""))


def _options(command: Any) -> set[str]:
    return {"--help"} | {
        option for p in command.params for option in (*p.opts, *p.secondary_opts)
    }


def _lines() -> Iterator[tuple[str, str]]:
    """What stands where a reader takes it for something to be typed."""
    yield from spans()
    for name, text in texts().items():
        for block in SHELL.findall(text):
            yield from ((name, line) for line in block.splitlines())


def test_each_command_and_its_options_are_there() -> None:
    def wrong() -> Iterator[tuple[str, str]]:
        for name, line in _lines():
            for words, rest in COMMAND.findall(line):
                fitting = (p for p in commands() if f"{words} ".startswith(f" {p} "))
                path = max(fitting, key=len, default="")
                command = commands()[path]
                if hasattr(command, "commands") and words != f" {path}":
                    yield name, f"convstore{words}"
                known = _options(command) | _options(commands()[""])
                for option in set(OPTION.findall(rest)) - known:
                    yield name, f"convstore{words} {option}"

    assert _wrong(wrong()) == []


def test_each_option_that_is_named_alone_is_one_of_a_command() -> None:
    known = set().union(*map(_options, commands().values())) | OPTIONS_OF_OTHERS
    named = (
        (name, option)
        for name, span in spans()
        if span.startswith("--")
        for option in OPTION.findall(span)
    )

    assert _wrong(pair for pair in named if pair[1] not in known) == []


@pytest.mark.parametrize(
    ("looks", "name"),
    [
        (_is_place, "convstore/db/modles.py"),
        (_is_there, "convstore.store.facade.Stoer"),
        (_is_there, "convstore.storre"),
    ],
)
def test_what_is_not_there_is_found_out(looks: Any, name: str) -> None:
    assert not looks(name)
