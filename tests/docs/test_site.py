"""The pages name only what there is, and the lists of pages are whole."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from benchmarks import for_people
from benchmarks.report import COMPARED, PAGE, PICTURE, README, RESULTS
from convstore.vocabulary.settings import StoreConfig
from tests.docs.reference import pages as make_pages
from tests.docs.site import contents, navigation

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"
PAGES = sorted(
    [*DOCS.rglob("*.md"), *ROOT.glob("*.md"), *(ROOT / "examples").rglob("*.md")]
)
# What was is named in these, and what others have.
_OF_BEFORE = {"CHANGELOG.md"}
_NOT_OURS = ("CONVSTORE_TEST_", "CONVSTORE_DEMO_", "CONVSTORE_BENCH_")


pages = cache(make_pages)


def _text(page: Path) -> str:
    return page.read_text("utf-8")


def _places(entries: list[Any]) -> Iterator[str]:
    for entry in entries:
        for place in entry.values():
            yield from [place] if isinstance(place, str) else _places(place)


def test_the_list_for_programs_is_up_to_date() -> None:
    assert _text(DOCS / "llms.txt") == contents(), "run scripts/reference"


def test_every_page_is_on_the_site_once() -> None:
    listed = list(_places(navigation()))
    there = {page.relative_to(DOCS).as_posix() for page in DOCS.rglob("*.md")}
    apart = {p for p in there if p.startswith(("decisions/", "reference/errors/"))}

    assert len(listed) == len(set(listed))
    assert there - apart - set(listed) == set()


def test_what_is_measured_is_on_the_pages() -> None:
    found = for_people.figures(RESULTS)

    assert _text(PICTURE) == for_people.picture(found), "scripts/bench --pages"
    for page in (COMPARED, README):
        assert for_people.comparison(found) in _text(page), "scripts/bench --pages"
    assert "<!-- missed: begin -->" in _text(PAGE)


def test_the_drawn_picture_is_up_to_date() -> None:
    done = subprocess.run([sys.executable, ROOT / "scripts" / "pictures", "--check"])

    assert done.returncode == 0, "run scripts/pictures"


def test_every_setting_that_a_page_names_exists() -> None:
    settings = pages()["settings.md"]
    known = set(re.findall(r"CONVSTORE_[A-Z_]+", settings))
    groups = {f"CONVSTORE_{name.upper()}" for name in StoreConfig.model_fields}
    wrong = [
        (page.relative_to(ROOT).as_posix(), name)
        for page in PAGES
        if page.name not in _OF_BEFORE
        for name in set(re.findall(r"CONVSTORE_[A-Z][A-Z_]*[A-Z]", _text(page)))
        if name not in known | groups and not name.startswith(_NOT_OURS)
    ]

    assert wrong == []


def test_every_command_that_a_page_names_exists() -> None:
    listed = re.findall(r"^#+ (convstore[a-z -]*)$", pages()["cli.md"], re.MULTILINE)
    known = {tuple(path.split()[1:]) for path in listed}
    groups = {path[:1] for path in known if len(path) == 2}
    wrong = []
    for page in PAGES:
        if page.name in _OF_BEFORE:
            continue
        for said in _commands(_text(page)):
            words = tuple(said.split())
            if words[:1] in groups:
                if words not in known and len(words) == 2:
                    wrong.append((page.name, said))
            elif words[:1] not in known:
                wrong.append((page.name, said))

    assert wrong == []


def _commands(text: str) -> list[str]:
    """What follows `convstore` in blocks of code, and in code within a line."""
    blocks = "".join(re.findall(r"^```.*?^```$", text, re.MULTILINE | re.DOTALL))
    command = r"convstore ([a-z]+(?: [a-z]+)?)"
    return re.findall(rf"^{command}", blocks, re.MULTILINE) + re.findall(
        rf"`{command}", text
    )


@pytest.mark.parametrize(
    "page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix()
)
def test_a_link_of_a_page_leads_somewhere(page: Path) -> None:
    links = re.findall(r"\]\((?![a-z]+:|#)([^)#\s]+)(?:#[^)]*)?\)", _text(page))
    fenced = re.sub(r"^```.*?^```$", "", _text(page), flags=re.M | re.S)

    broken = [
        link
        for link in links
        if f"]({link}" in fenced and not (page.parent / link).exists()
    ]
    assert broken == []
