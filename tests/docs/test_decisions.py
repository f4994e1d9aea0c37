"""Decisions are numbered once, in a row, and their titles say their numbers."""

from __future__ import annotations

from tests.architecture.source import ROOT

PAGES = sorted((ROOT / "docs" / "decisions").glob("*.md"))


def test_every_decision_has_a_number_of_its_own() -> None:
    numbers = [int(page.name[:4]) for page in PAGES]

    assert numbers == list(range(1, len(PAGES) + 1))


def test_a_decision_says_its_number() -> None:
    wrong = [
        page.name
        for page in PAGES
        if not page.read_text("utf-8").startswith(f"# {int(page.name[:4])}. ")
    ]

    assert wrong == []
