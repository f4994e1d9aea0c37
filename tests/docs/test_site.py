"""The pages name only what there is, and the lists of pages are whole."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks import conformance_table, for_people, migrations_table
from benchmarks.report import COMPARED, PAGE, PICTURE, README, RESULTS, UPGRADE
from tests.docs.site import contents, navigation, places

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"
PAGES = sorted(
    [*DOCS.rglob("*.md"), *ROOT.glob("*.md"), *(ROOT / "examples").rglob("*.md")]
)


def _text(page: Path) -> str:
    return page.read_text("utf-8")


def test_the_list_for_programs_is_up_to_date() -> None:
    assert _text(DOCS / "llms.txt") == contents(), "run scripts/reference"


def test_every_page_is_on_the_site_once() -> None:
    listed = list(places(navigation()))

    assert len(listed) == len(set(listed))
    missing = [
        place
        for place in listed
        if not (DOCS / place).exists()
        and not (ROOT / place).exists()
        and place not in ("index.md", "decisions/index.md")
    ]
    assert missing == []


def test_what_is_measured_is_on_the_pages() -> None:
    found = for_people.figures(RESULTS)

    assert _text(PICTURE) == for_people.picture(found), "scripts/bench --pages"
    in_place = for_people.in_place(RESULTS)
    for page in (COMPARED, README):
        assert for_people.comparison(found) in _text(page), "scripts/bench --pages"
        added = for_people.frameworks(in_place, "add")
        assert added in _text(page), "scripts/bench --pages"
        assert added.count(" → ") > 2 * 5  # two databases, five others
    read = for_people.frameworks(in_place, "read")
    assert read in _text(COMPARED), "scripts/bench --pages"
    assert "<!-- missed: begin -->" in _text(PAGE)
    taken = json.loads(migrations_table.RESULTS.read_text("utf-8"))
    assert migrations_table.table(taken) in _text(UPGRADE), "scripts/bench --pages"
    tried = json.loads(conformance_table.RESULTS.read_text("utf-8"))
    assert conformance_table.table(tried) in _text(COMPARED), "scripts/bench --pages"
    assert len(tried) > 5  # ours, and five others


def test_the_drawn_picture_is_up_to_date() -> None:
    done = subprocess.run([sys.executable, ROOT / "scripts" / "pictures", "--check"])

    assert done.returncode == 0, "run scripts/pictures"


@pytest.mark.parametrize(
    "page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix()
)
def test_every_row_of_a_page_is_in_a_table(page: Path) -> None:
    """What follows an empty line begins a table: without a head it is shown as text."""
    fenced = re.sub(r"^```.*?^```$", "", _text(page), flags=re.M | re.S)
    lines = [*fenced.splitlines(), ""]

    headless = [
        line
        for before, line, after in zip(["", *lines], lines, lines[1:], strict=False)
        if line.startswith("|")
        and not before.startswith("|")
        and not re.match(r"\|( ?:?-+:? ?\|)+ *$", after)
    ]
    assert headless == []


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
