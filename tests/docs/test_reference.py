"""The reference pages are what the code says."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.docs.reference import pages

REFERENCE = Path(__file__).resolve().parents[2] / "docs" / "reference"


@pytest.fixture(scope="module")
def made() -> dict[str, str]:
    return pages()


def test_the_reference_pages_are_up_to_date(made: dict[str, str]) -> None:
    stale = [
        name
        for name, text in made.items()
        if not (REFERENCE / name).is_file()
        or (REFERENCE / name).read_text(encoding="utf-8") != text
    ]

    assert stale == [], "run scripts/reference"


def test_there_is_no_reference_page_of_what_is_gone(made: dict[str, str]) -> None:
    written = {
        path.relative_to(REFERENCE).as_posix()
        for path in REFERENCE.rglob("*")
        if path.is_file()
    }

    # Made by `scripts/licences`.
    gone = written - made.keys() - {"licences.md"}
    assert gone == set(), "run scripts/reference"
