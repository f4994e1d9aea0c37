"""The reference pages, made from docstrings, settings, errors, tables and commands."""

from __future__ import annotations

import ast
import asyncio
import inspect
import re
from collections.abc import Callable, Iterator
from dataclasses import MISSING, fields, is_dataclass
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct

import convstore
from convstore import export, gateway, metrics
from convstore.cli.exits import code_of_class
from convstore.db import models
from convstore.export.formats import FORMATS
from convstore.export.formats.schemas import schema_of
from convstore.metrics import tracing
from convstore.vocabulary import errors, reports
from convstore.vocabulary.codec import dumps
from convstore.vocabulary.http_status import http_status
from convstore.vocabulary.settings import StoreConfig

_VERSIONS = Path(__file__).resolve().parents[2] / "migrations" / "versions"
_MADE = "<!-- Made by scripts/reference from the code; do not edit. -->\n"
_PUBLIC = {
    "convstore.metrics": ["collector", "register", "StoreCollector"],
}
"""What users call of modules that say no `__all__`."""


def pages() -> dict[str, str]:
    """File name to text of each page under docs/reference."""
    return {
        **_api(),
        "cli.md": _cli(),
        **_errors(),
        "gateway.md": _beside_the_store(),
        "migrations.md": _migrations(),
        "schema.md": _schema(),
        "settings.md": _settings(),
        **{f"schemas/{name}.schema.json": _row_schema(name) for name in FORMATS},
    }


def _row_schema(name: str) -> str:
    return dumps(schema_of(name), indent=True).decode() + "\n"


def _page(title: str, lines: Iterator[str], *, below: bool = False) -> str:
    text = "\n".join(lines).rstrip()
    back = "[All of Python](../api.md)\n\n" if below else ""
    return f"# {title}\n\n{_MADE}\n{back}{text}\n"


def _doc(thing: object) -> str:
    return inspect.getdoc(thing) or ""


def _fenced(text: str) -> str:
    """A docstring as it is: its sections keep their form."""
    return f"```text\n{text}\n```"


_SECTION = re.compile(r"^(Args|Attributes|Returns|Raises|Yields):$")
_ENTRY = re.compile(r"^    (\S[^:]*): (.*)$")


def _told(text: str) -> str:
    """A docstring as Markdown: its sections become lists."""
    lines: list[str] = []
    inside = False
    for line in text.splitlines():
        section = _SECTION.match(line)
        entry = _ENTRY.match(line) if inside else None
        if section:
            inside = True
            lines += [f"**{section[1]}**", ""]
        elif entry:
            names = ", ".join(f"`{name}`" for name in entry[1].split(", "))
            lines.append(f"* {names}: {entry[2]}")
        elif inside and line.startswith("        "):
            lines[-1] += f" {line.strip()}"
        else:
            inside = inside and (not line or line.startswith("    "))
            lines.append(line)
    return "\n".join(lines)


def _api() -> dict[str, str]:
    """The index, and one page for each noun, for the store and for what comes back."""
    made = {"api/store.md": _page("Store", _store(), below=True)}
    for noun, cls in nouns().items():
        title = f"store.{noun}"
        made[f"api/{noun}.md"] = _page(title, _noun(title, cls), below=True)
    made |= {
        "api/conversation.md": _page(
            "store.conversation(…)", _conversation(), below=True
        ),
        "api/records.md": _page("Records", _records(), below=True),
        "api/reports.md": _page("Reports", _reports(), below=True),
    }
    return {"api.md": _page("Python", _index(made)), **made}


def _index(made: dict[str, str]) -> Iterator[str]:
    yield (
        "What is named here is imported from `convstore`, or from `convstore.types`, "
        "which has every record, report and error that an annotation may name. Times "
        "are aware UTC. The same verbs without `await`: `convstore.blocking`. Errors: "
        "[a page each](errors.md).\n"
    )
    for name, text in made.items():
        lines = text.splitlines()
        verbs = [line[4:].split(".")[-1] for line in lines if line.startswith("## ")]
        said = ", ".join(f"`{verb}`" for verb in verbs)
        yield f"* [{lines[0][2:]}]({name}): {said}"


def _store() -> Iterator[str]:
    yield "## open_store\n"
    yield from _callable("open_store", convstore.open_store)
    yield _told(_doc(convstore.Store)) + "\n"
    yield from _methods("store", convstore.Store, skip={"open"})


def _noun(title: str, cls: type) -> Iterator[str]:
    yield _told(_doc(cls)) + "\n"
    yield from _methods(title, cls)


def _records() -> Iterator[str]:
    for name in convstore.__all__:
        thing = getattr(convstore, name)
        if isinstance(thing, type) and _fields_of(thing):
            yield f"## {name}\n"
            yield from _record(thing)


def _reports() -> Iterator[str]:
    yield "What jobs and counts give back.\n"
    for name, thing in inspect.getmembers(reports, is_dataclass):
        if thing.__module__ == reports.__name__:
            yield f"## {name}\n"
            yield from _record(thing)


def nouns() -> dict[str, type]:
    """The nouns that an open store has, in their order."""

    async def look() -> dict[str, type]:
        async with convstore.open_store("sqlite://") as store:
            return {
                name: type(noun)
                for name, noun in vars(store).items()
                if not name.startswith("_")
            }

    return asyncio.run(look())


def _beside_the_store() -> str:
    def lines() -> Iterator[str]:
        for module in (gateway, metrics, tracing, export):
            yield f"## {module.__name__}\n"
            yield _told(_doc(module)) + "\n"
            for name in _PUBLIC.get(module.__name__) or module.__all__:
                yield f"### {name}\n"
                thing = getattr(module, name)
                if not isinstance(thing, type):
                    yield from _callable(name, thing)
                elif _fields_of(thing):
                    yield from _record(thing)
                else:
                    yield _told(_doc(thing)) + "\n"
                    for line in _methods(name, thing):
                        yield f"##{line}" if line.startswith("## ") else line

    return _page("Gateway, metrics, traces, stages of an export", lines())


def _fields_of(thing: Any) -> list[tuple[str, str, bool]]:
    """Name, type and whether it may be left out, of each field of a record."""
    if is_dataclass(thing):
        return [
            (
                f.name,
                str(f.type),
                f.default is not MISSING or f.default_factory is not MISSING,
            )
            for f in fields(thing)
        ]
    if isinstance(thing, type) and issubclass(thing, Struct):
        hints = inspect.get_annotations(thing)
        for base in thing.__mro__[1:]:
            hints = inspect.get_annotations(base) | hints
        return [
            (f.name, str(hints.get(f.name, "")), not f.required)
            for f in msgspec.structs.fields(thing)
        ]
    return []


def _record(thing: Any) -> Iterator[str]:
    yield _told(_doc(thing)) + "\n"
    yield "| field | type | |"
    yield "| --- | --- | --- |"
    for name, kind, optional in _fields_of(thing):
        shown = kind.replace("|", "\\|")
        yield f"| `{name}` | `{shown}` | {'may be left out' if optional else ''} |"
    yield ""


def _conversation() -> Iterator[str]:
    from convstore.repositories.conversation import BoundVerb, Conversation

    yield _told(_doc(Conversation)) + "\n"
    names = sorted(
        name
        for name, value in vars(Conversation).items()
        if isinstance(value, BoundVerb)
    )
    yield "Verbs of the nouns, with the session filled in: " + ", ".join(
        f"`{name}`" for name in names
    )
    yield ""
    yield from _methods("chat", Conversation)


def _methods(prefix: str, cls: type, skip: set[str] = frozenset()) -> Iterator[str]:  # type: ignore[assignment]
    for name, thing in inspect.getmembers(cls, callable):
        if not name.startswith("_") and name not in skip:
            yield f"## {prefix}.{name}\n"
            yield from _callable(name, thing)


_WIDE = 80
"""Columns of a signature before it is written with a parameter a line."""


def _callable(name: str, thing: Callable[..., Any]) -> Iterator[str]:
    yield f"```python\n{_signature(name, thing)}\n```\n"
    yield _told(_doc(thing)) + "\n"


def _signature(name: str, thing: Callable[..., Any]) -> str:
    shape = inspect.signature(thing)
    shown = []
    star = False
    for parameter in shape.parameters.values():
        if parameter.name == "self":
            continue
        if parameter.kind is parameter.VAR_POSITIONAL:
            star = True
        if parameter.kind is parameter.KEYWORD_ONLY and not star:
            star = True
            shown.append("*")
        shown.append(_plain(str(parameter)))
    gives = ""
    if shape.return_annotation is not shape.empty:
        kind = shape.return_annotation
        gives = (
            f" -> {kind if isinstance(kind, str) else inspect.formatannotation(kind)}"
        )
    flat = f"{name}({', '.join(shown)}){gives}"
    if len(flat) <= _WIDE:
        return flat
    inner = "".join(f"    {one},\n" for one in shown)
    return f"{name}(\n{inner}){gives}"


def _plain(parameter: str) -> str:
    """Without the quotes of an annotation that is kept as text."""
    name, colon, rest = parameter.partition(": ")
    if colon and rest.startswith("'"):
        kind, _, default = rest[1:].partition("'")
        return f"{name}: {kind}{default}"
    return parameter


def _error_classes() -> list[Any]:
    """Every error, in the order of the alphabet."""
    return [
        getattr(errors, name)
        for name in sorted(vars(errors))
        if isinstance(getattr(errors, name), type)
        and issubclass(getattr(errors, name), errors.ConvstoreError)
    ]


def _errors() -> dict[str, str]:
    def index() -> Iterator[str]:
        yield _fenced(inspect.getdoc(errors) or "") + "\n"
        yield "| error | `code` | `transient` | HTTP | exit code | when |"
        yield "| --- | --- | --- | --- | --- | --- |"
        for kind in _error_classes():
            when = _doc(kind).split("\n\n")[0].replace("\n", " ")
            transient = "yes" if kind.transient else "no"
            name = f"[`{kind.__name__}`](errors/{kind.code}.md)"
            status, exits = http_status(_bare(kind)), code_of_class(kind)
            numbers = f"{transient} | {status} | {exits}"
            yield f"| {name} | `{kind.code}` | {numbers} | {when} |"

    raised = _raised()
    pages = {
        f"errors/{kind.code}.md": _page(kind.__name__, _error(kind, raised))
        for kind in _error_classes()
    }
    return {"errors.md": _page("Errors", index()), **pages}


def _bare(kind: type[BaseException]) -> BaseException:
    """An error of a class, whatever its constructor wants to know."""
    return kind.__new__(kind)


def _advice(kind: Any) -> tuple[str, str]:
    """What an error means, and what to do: its own word, or that of what it is a kind
    of."""
    told, _, todo = _doc(kind).partition("\n\nTo do: ")
    if not todo:
        todo = _advice(kind.__base__)[1]
    return told, todo.replace("\n", " ")


def _error(kind: Any, raised: dict[str, list[str]]) -> Iterator[str]:
    told, todo = _advice(kind)
    yield "[All errors](../errors.md)\n"
    yield told + "\n"
    yield "## What to do\n"
    yield todo + "\n"
    yield "## For programs\n"
    yield "| | |"
    yield "| --- | --- |"
    yield f"| `code` | `{kind.code}` |"
    again = (
        "yes: repeat the same call, with the same `external_id`"
        if kind.transient
        else "no"
    )
    yield f"| may the same call be tried again | {again} |"
    yield f"| answer over HTTP (`http_status`) | {http_status(_bare(kind))} |"
    yield f"| exit code of a command | {code_of_class(kind)} |"
    line = [k for k in kind.__mro__[1:] if issubclass(k, errors.ConvstoreError)]
    if line:
        above = ", ".join(f"[`{k.__name__}`]({k.code}.md)" for k in line)
        yield f"| caught as well by `except` of | {above} |"
    below = [k for k in _error_classes() if kind in k.__bases__]
    if below:
        kinds = ", ".join(f"[`{k.__name__}`]({k.code}.md)" for k in below)
        yield f"| kinds of it | {kinds} |"
    attributes = list(inspect.signature(kind.__init__).parameters)[1:]
    if "__init__" in vars(kind):
        named = ", ".join(f"`{name}`" for name in attributes)
        yield f"| made of | {named} |"
    yield ""
    if raised.get(kind.__name__):
        yield "## Who says that they raise it\n"
        yield "\n".join(f"* {place}" for place in raised[kind.__name__])


def _raised() -> dict[str, list[str]]:
    """By error, the verbs whose description names it, each with its page."""
    found: dict[str, list[str]] = {}
    verbs = [("open_store", "store", convstore.open_store)]
    for noun, cls in {"store": convstore.Store, **nouns()}.items():
        for name, thing in inspect.getmembers(cls, callable):
            if not name.startswith("_") and name != "open":
                shown = f"store.{name}" if noun == "store" else f"store.{noun}.{name}"
                verbs.append((shown, noun, thing))
    for shown, noun, thing in verbs:
        _, _, said = _doc(thing).partition("Raises:")
        for name in set(re.findall(r"\b\w+Error\b", said)):
            found.setdefault(name, []).append(f"[`{shown}`](../api/{noun}.md)")
    return found


def _schema() -> str:
    def lines() -> Iterator[str]:
        yield "Times are integer microseconds since 1970, UTC. JSON is kept as text.\n"
        for table in models.metadata.sorted_tables:
            key = ", ".join(column.name for column in table.primary_key.columns)
            yield f"## {table.name}\n\n{table.comment} Key: `{key}`.\n"
            yield "| column | type | null | |"
            yield "| --- | --- | --- | --- |"
            for column in table.columns:
                null = "yes" if column.nullable else ""
                kind = str(column.type)
                yield f"| `{column.name}` | {kind} | {null} | {column.comment} |"
            yield ""
            for index in sorted(table.indexes, key=lambda i: str(i.name)):
                unique = "unique " if index.unique else ""
                columns = ", ".join(column.name for column in index.columns)
                yield f"* {unique}index `{index.name}` on `{columns}`"
            yield ""

    return _page("Schema", lines())


def _migrations() -> str:
    """What each revision does, in its own words."""

    def lines() -> Iterator[str]:
        yield (
            "The newest first. `convstore db upgrade` runs those that a database has "
            "not; see [Upgrade](../howto/upgrade.md).\n"
        )
        for path in sorted(_VERSIONS.glob("0*.py"), reverse=True):
            said = ast.get_docstring(ast.parse(path.read_text("utf-8"))) or ""
            title, _, rest = said.partition("\n\n")
            yield f"## convstore_{path.name[:4]}\n"
            yield title.replace("\n", " ") + "\n"
            yield rest + "\n"

    return _page("Migrations", lines())


def _settings() -> str:
    def lines() -> Iterator[str]:
        yield (
            "Given as `StoreConfig(...)` or in the environment as `CONVSTORE_<NAME>`; "
            "nested ones take two underscores. Overrides by tenant or tag are JSON: "
            '`CONVSTORE_RETENTION=\'{"tags": {"vip": {"never": true}}}\'`. The options '
            "`--home`, `--url`, `--archive-dir` and `--tenant` before a command come "
            "before the environment.\n"
        )
        yield "| setting | default | |"
        yield "| --- | --- | --- |"
        nested = {}
        for name, field in StoreConfig.model_fields.items():
            if is_dataclass(field.annotation) or field.default_factory is not None:
                nested[name] = field.get_default(call_default_factory=True)
                continue
            default = "" if field.default in (None, "") else f"`{field.default}`"
            full = "SCHEMA" if name == "db_schema" else name.upper()
            yield f"| `CONVSTORE_{full}` | {default} | {field.description} |"
        yield ""
        for name, defaults in nested.items():
            yield f"## {name}\n"
            told, about = _attributes(_doc(type(defaults)))
            yield f"{told}\n"
            yield "| setting | default | |"
            yield "| --- | --- | --- |"
            for field in _fields_of(type(defaults)):
                value = getattr(defaults, field[0])
                shown = "" if value is None else f"`{value}`"
                full = f"CONVSTORE_{name.upper()}__{field[0].upper()}"
                yield f"| `{full}` | {shown} | {about.get(field[0], '')} |"
            yield ""

    return _page("Settings", lines())


def _attributes(doc: str) -> tuple[str, dict[str, str]]:
    """A docstring without its attributes, and these by name."""
    told, _, listed = doc.partition("Attributes:\n")
    found: dict[str, str] = {}
    name = ""
    for line in listed.splitlines():
        entry = _ENTRY.match(line)
        if entry:
            name = entry[1]
            found[name] = entry[2]
        elif name and line.startswith("        "):
            found[name] += f" {line.strip()}"
    return told.strip(), {k: v.replace("|", "\\|") for k, v in found.items()}


def _cli() -> str:
    from typer.main import get_command

    from convstore.cli.root import app

    def lines() -> Iterator[str]:
        yield from _command(get_command(app), "convstore")

    return _page("Command line", lines())


def _command(command: Any, path: str) -> Iterator[str]:
    yield f"## {path}\n"
    yield _fenced(inspect.cleandoc(command.help or "")) + "\n"
    shown = [p for p in command.params if not getattr(p, "hidden", False)]
    if shown:
        yield "| | |"
        yield "| --- | --- |"
        for parameter in shown:
            names = ", ".join(f"`{o}`" for o in parameter.opts)
            if parameter.param_type_name == "argument":
                names = f"`{parameter.name}`"
            yield f"| {names} | {(getattr(parameter, 'help', '') or '').strip()} |"
        yield ""
    for name, child in sorted(getattr(command, "commands", {}).items()):
        if not child.hidden:
            yield from _command(child, f"{path} {name}")
