"""The reference pages, made from docstrings, settings, errors, tables and commands."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Callable, Iterator
from dataclasses import fields, is_dataclass
from typing import Any

import convstore
from convstore import gateway, metrics
from convstore.db import models
from convstore.export.formats import FORMATS
from convstore.export.formats.schemas import schema_of
from convstore.metrics import tracing
from convstore.policy import CachePolicy, LedgerPolicy, RetentionPolicy
from convstore.vocabulary import reports
from convstore.vocabulary.codec import dumps
from convstore.vocabulary.limits import Limits
from convstore.vocabulary.settings import StoreConfig

_MADE = "<!-- Made by scripts/reference from the code; do not edit. -->\n"
_PUBLIC = {
    "convstore.metrics": ["collector", "register", "StoreCollector"],
}
"""What users call of modules that say no `__all__`."""


def pages() -> dict[str, str]:
    """File name to text of each page under docs/reference."""
    return {
        "api.md": _api(),
        "cli.md": _cli(),
        "errors.md": _errors(),
        "gateway.md": _beside_the_store(),
        "schema.md": _schema(),
        "settings.md": _settings(),
        **{f"schemas/{name}.schema.json": _row_schema(name) for name in FORMATS},
    }


def _row_schema(name: str) -> str:
    return dumps(schema_of(name), indent=True).decode() + "\n"


def _page(title: str, lines: Iterator[str]) -> str:
    return f"# {title}\n\n{_MADE}\n" + "\n".join(lines).rstrip() + "\n"


def _doc(thing: object) -> str:
    return inspect.getdoc(thing) or ""


def _fenced(text: str) -> str:
    """A docstring as it is: its sections keep their form."""
    return f"```text\n{text}\n```"


def _api() -> str:
    def lines() -> Iterator[str]:
        yield "Everything here is imported from `convstore`. Times are aware UTC.\n"
        yield "## open_store\n"
        yield from _callable("open_store", convstore.open_store)
        store = convstore.Store
        yield "## Store\n"
        yield _fenced(_doc(store)) + "\n"
        yield from _methods("store", store, skip={"open"})
        for noun, cls in nouns().items():
            yield f"## store.{noun}\n"
            yield _fenced(_doc(cls)) + "\n"
            yield from _methods(f"store.{noun}", cls)
        yield from _conversation()
        yield "## Records\n"
        for name in convstore.__all__:
            thing = getattr(convstore, name)
            if is_dataclass(thing) and isinstance(thing, type):
                yield f"### {name}\n"
                yield from _record(thing)
        yield "## Reports\n"
        yield "What jobs and counts give back.\n"
        for name, thing in inspect.getmembers(reports, is_dataclass):
            if thing.__module__ == reports.__name__:
                yield f"### {name}\n"
                yield from _record(thing)

    return _page("Python", lines())


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
        for module in (gateway, metrics, tracing):
            yield f"## {module.__name__}\n"
            yield _fenced(_doc(module)) + "\n"
            for name in _PUBLIC.get(module.__name__) or module.__all__:
                yield f"### {name}\n"
                thing = getattr(module, name)
                if not isinstance(thing, type):
                    yield from _callable(name, thing)
                elif is_dataclass(thing):
                    yield from _record(thing)
                else:
                    yield _fenced(_doc(thing)) + "\n"
                    yield from _methods(name, thing)

    return _page("Gateway, metrics, traces, messages", lines())


def _record(thing: Any) -> Iterator[str]:
    yield _fenced(_doc(thing)) + "\n"
    for field in fields(thing):
        yield f"* `{field.name}: {field.type}`"
    yield ""


def _conversation() -> Iterator[str]:
    from convstore.repositories.conversation import BoundVerb, Conversation

    yield "## store.conversation(…)\n"
    yield _fenced(_doc(Conversation)) + "\n"
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
            yield f"### {prefix}.{name}\n"
            yield from _callable(name, thing)


def _callable(name: str, thing: Callable[..., Any]) -> Iterator[str]:
    signature = str(inspect.signature(thing)).replace("self, ", "").replace("self", "")
    yield f"```python\n{name}{signature}\n```\n"
    yield _fenced(_doc(thing)) + "\n"


def _errors() -> str:
    def lines() -> Iterator[str]:
        tree = inspect.getdoc(inspect.getmodule(convstore.ConvstoreError)) or ""
        yield _fenced(tree) + "\n"
        yield "| error | `code` | `transient` | when |"
        yield "| --- | --- | --- | --- |"
        for name in convstore.__all__:
            thing = getattr(convstore, name)
            if isinstance(thing, type) and issubclass(thing, convstore.ConvstoreError):
                when = _doc(thing).split("\n\n")[0].replace("\n", " ")
                transient = "yes" if thing.transient else "no"
                yield f"| `{name}` | `{thing.code}` | {transient} | {when} |"

    return _page("Errors", lines())


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


def _settings() -> str:
    def lines() -> Iterator[str]:
        yield (
            "Given as `StoreConfig(...)` or in the environment as `CONVSTORE_<NAME>`; "
            "nested ones take two underscores. Overrides by tenant or tag are JSON: "
            '`CONVSTORE_RETENTION=\'{"tags": {"vip": {"never": true}}}\'`.\n'
        )
        yield "| setting | default | |"
        yield "| --- | --- | --- |"
        nested = {"retention", "limits", "ledger", "cache"}
        for name, field in StoreConfig.model_fields.items():
            if name not in nested:
                default = "" if field.default is None else field.default
                full = f"CONVSTORE_{name.upper()}"
                yield f"| `{full}` | `{default}` | {field.description} |"
        yield ""
        for name, cls in (
            ("retention", RetentionPolicy),
            ("limits", Limits),
            ("ledger", LedgerPolicy),
            ("cache", CachePolicy),
        ):
            yield f"## {name}\n\n{_fenced(_doc(cls))}\n"
            yield "| setting | default |"
            yield "| --- | --- |"
            defaults = cls()
            for field in fields(cls):
                value = getattr(defaults, field.name)
                full = f"CONVSTORE_{name.upper()}__{field.name.upper()}"
                yield f"| `{full}` | `{value}` |"
            yield ""

    return _page("Settings", lines())


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
