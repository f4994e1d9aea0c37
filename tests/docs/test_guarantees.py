"""Each guarantee of the README names tests, and they are there."""

import ast
import re
from pathlib import Path

from convstore.tables import metadata

ROOT = Path(__file__).resolve().parents[2]
GUARANTEE = re.compile(r"^\|? ?(\d+)\. ", re.MULTILINE)
NAMED = re.compile(r"`(tests/[\w/]+\.py)::(\w+)`")


def _table() -> str:
    page = (ROOT / "docs/reliability.md").read_text("utf-8")
    return page.partition("and their tests\n")[2].partition("\n## ")[0]


def test_every_guarantee_is_in_the_table() -> None:
    readme = (ROOT / "README.md").read_text("utf-8")
    promised = readme.partition("## What it promises")[2].partition("\n## ")[0]

    numbers = GUARANTEE.findall(_table())
    assert numbers == GUARANTEE.findall(promised)
    assert numbers == [str(number) for number in range(1, 19)]


def test_every_test_of_the_page_is_there() -> None:
    page = (ROOT / "docs/reliability.md").read_text("utf-8")
    missing = [
        f"{path}::{name}"
        for path, name in NAMED.findall(page)
        if name not in _functions(ROOT / path)
    ]

    assert missing == []


def _functions(path: Path) -> set[str]:
    tree = ast.parse(path.read_text("utf-8")) if path.is_file() else ast.Module()
    kinds = (ast.FunctionDef, ast.AsyncFunctionDef)
    return {node.name for node in ast.walk(tree) if isinstance(node, kinds)}


# Counts, states, and what stays of an erased session: its id, and the receipt.
NAMELESS = {"archive_entries", "erasures", "session_counts", "search_state"}


def test_the_tables_to_rewrite_after_an_erasure_are_all_that_held_a_person() -> None:
    page = (ROOT / "docs" / "howto" / "operate.md").read_text("utf-8")
    (told,) = re.findall(r"`VACUUM FULL ([a-z_, ]+,[a-z_, ]+)`", page)

    held = {n for n, table in metadata.tables.items() if "tenant_id" in table.c}
    assert set(told.split(", ")) == held - NAMELESS
