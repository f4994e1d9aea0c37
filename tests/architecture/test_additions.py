"""ARCHITECTURE.md says where a new part goes: each place is there, and is enough."""

from __future__ import annotations

import re
import sys
import tomllib
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from pkgutil import iter_modules
from runpy import run_path
from types import ModuleType
from typing import Any

import pytest

from convstore import Store, StoreConfig, adapters, migration
from convstore.blobs import selection as blob_selection
from convstore.blobs.memory import MemoryBlobs
from convstore.cache import selection as cache_selection
from convstore.cache.memory import MemoryCache
from convstore.db import copying, dialects, migrate, models
from convstore.db.dialects.sqlite import SqliteDialect
from convstore.export import formats as export_formats
from convstore.imports import registry
from convstore.imports.model import ImportedSession
from convstore.policy import CachePolicy
from convstore.testing.framework_suite import ANSWER, QUESTION, FrameworkSuite
from tests.architecture.source import ROOT
from tests.docs import reference

TOY_ADAPTER = """
from convstore.errors import NotFoundError

class History:
    def __init__(self, store):
        self.store = store

    async def add(self, session_id, messages):
        chat = self.store.conversation(session_id, user_id="ann")
        await chat.append_many([{"role": r, "content": c} for r, c in messages])

    async def read(self, session_id):
        try:
            said = await self.store.conversation(session_id).history(limit=100)
        except NotFoundError:
            return []
        return [(message["role"], message["content"]) for message in said]
"""
TOY_TABLE = """
from sqlalchemy import Column, Integer

from convstore.db.models.columns import of_session, session_id, table, tenant_id

toys = table(
    "toys",
    tenant_id(),
    session_id(),
    Column("count", Integer, nullable=False, comment="how many"),
    of_session(),
    key=("tenant_id", "session_id"),
    comment="What a session plays with.",
)
"""
PLACE = re.compile(r"`((?:convstore|tests|migrations)/[\w/.]*|pyproject\.toml)`")
NAME = re.compile(r"`([\w-]+)`")


def rows() -> Iterator[list[str]]:
    text = (ROOT / "ARCHITECTURE.md").read_text("utf-8")
    table = text.partition("## To add …")[2].partition("\n\nAn adapter")[0]
    for line in table.strip().splitlines()[2:]:
        yield [cell.strip() for cell in line.strip("|").split("|")]


def test_each_place_that_the_table_names_is_there() -> None:
    places = [place for row in rows() for cell in row for place in PLACE.findall(cell)]

    assert len(places) >= 16
    assert [place for place in places if not (ROOT / place).exists()] == []


def test_each_register_is_in_the_module_that_the_table_names() -> None:
    for _, _, register, _ in rows():
        (name,) = NAME.findall(register)
        (module,) = PLACE.findall(register)

        assert re.search(
            rf"^(class |\[project\.)?{name}\b", (ROOT / module).read_text("utf-8"), re.M
        )


def test_an_export_format_is_added_by_its_entry(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    toy = export_formats.FORMATS["kto"]
    monkeypatch.setitem(export_formats.FORMATS, "toy", toy)

    assert export_formats.pick_formats(["toy"]) == [toy]


def test_an_import_format_is_added_by_its_entry(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    module = ModuleType("convstore.imports.formats.toy")
    made = ImportedSession(session_id="s-1", turns=())
    module.parse = lambda _: made  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, module.__name__, module)
    entry = registry.FormatEntry("toy", "a format of this test", "toy")
    monkeypatch.setattr(registry, "FORMATS", {**registry.FORMATS, "toy": entry})

    assert registry.load_format("toy").parse({}) is made


def test_a_blob_store_is_added_by_its_scheme(monkeypatch: pytest.MonkeyPatch) -> None:
    toy = MemoryBlobs()
    monkeypatch.setitem(blob_selection.STORES, "toy", lambda *_: toy)

    assert blob_selection.blob_store("toy://somewhere") is toy


def test_a_cache_is_added_by_its_kind(monkeypatch: pytest.MonkeyPatch) -> None:
    toy = MemoryCache(max_sessions=1, ttl_s=1, cleanup_interval_s=1)
    monkeypatch.setitem(cache_selection.CACHES, "toy", lambda *_: toy)
    policy = CachePolicy(kind="toy")  # type: ignore[arg-type]

    assert cache_selection.session_cache(policy, "") is toy


def test_a_noun_is_added_by_its_line() -> None:
    """The store for threads and the reference show it without being told."""
    names = reference.nouns()
    page = (ROOT / "docs/reference/api.md").read_text("utf-8")
    stub = (ROOT / "convstore/blocking/__init__.pyi").read_text("utf-8")

    assert {"sessions", "items", "archive"} <= set(names)
    assert [n for n in names if f"[store.{n}](api/{n}.md)" not in page] == []
    assert [n for n in names if f"    {n}: _" not in stub] == []


def test_an_adapter_is_added_by_its_file(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A toy of a framework whose messages are pairs of a role and a text."""
    (tmp_path / "toy.py").write_text(TOY_ADAPTER, "utf-8")
    monkeypatch.setattr(adapters, "__path__", [*adapters.__path__, str(tmp_path)])
    history = import_module("convstore.adapters.toy").History
    monkeypatch.delitem(sys.modules, "convstore.adapters.toy")

    class Toy(FrameworkSuite):
        def talk(self) -> list[Any]:
            return [self.asked(QUESTION), ("assistant", ANSWER)]

        def asked(self, text: str) -> Any:
            return ("user", text)

        async def add(self, store: Store, session_id: str, messages: Any) -> None:
            await history(store).add(session_id, messages)

        async def read(self, store: Store, session_id: str) -> list[Any]:
            return await history(store).read(session_id)  # type: ignore[no-any-return]

    url = f"sqlite:///{tmp_path}/store.db"
    config = StoreConfig(url=url, archive_dir=str(tmp_path / "archive"))
    Toy().test_messages_come_back_equal_and_in_order(config)


def test_each_adapter_has_its_extra_its_tests_and_its_page() -> None:
    names = [module.name for module in iter_modules(adapters.__path__)]
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    pages = "".join(p.read_text("utf-8") for p in (ROOT / "docs/howto").rglob("*.md"))

    assert "openai_agents" in names
    for name in names:
        assert name.replace("_", "-") in project["optional-dependencies"]
        assert (ROOT / "tests/frameworks" / name).is_dir()
        assert f"convstore.adapters.{name}" in pages


def test_a_dialect_is_added_by_its_scheme(monkeypatch: pytest.MonkeyPatch) -> None:
    toy = SqliteDialect()
    monkeypatch.setitem(dialects.DIALECTS, "toy", lambda: toy)

    assert dialects.dialect_of_url("toy://somewhere") is toy


def test_every_table_is_one_of_the_metadata_that_migrations_are_held_against() -> None:
    declared = {name for name in vars(models) if not name.startswith("_")}

    assert {table.name for table in models.metadata.sorted_tables} <= declared


def test_a_table_is_added_by_its_file(tmp_path: Path) -> None:
    """What compares a database, copies one, describes the schema and keeps the
    migrations of applications away from it knows the table without being told."""
    url = f"sqlite:///{tmp_path}/store.db"
    migrate.upgrade(url)
    (tmp_path / "toy.py").write_text(TOY_TABLE, "utf-8")
    toys = run_path(str(tmp_path / "toy.py"))["toys"]
    try:
        (missing,) = migrate.differences(url)
        migrate.run_on(url, toys.create)

        assert "add_table" in missing
        assert migrate.differences(url) == []
        assert toys in copying._tables()
        assert "## toys" in reference._schema()
        include = migration.include_object_for()
        assert not include(toys, "toys", "table", False, None)
    finally:
        models.metadata.remove(toys)
