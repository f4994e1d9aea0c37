"""docs/export-formats.md names every format, rule and reason there is."""

from __future__ import annotations

import re
from pathlib import Path

from convstore.export.formats import FORMATS
from convstore.export.options import DEFAULT_RULES
from convstore.export.rules import RULES

ROOT = Path(__file__).resolve().parents[3]
PAGE = (ROOT / "docs" / "export-formats.md").read_text(encoding="utf-8")


def test_every_format_and_rule_is_on_the_page() -> None:
    for name in FORMATS:
        assert f"`{name}`" in PAGE
    for name in RULES:
        assert f"| {name} |" in PAGE or f"`{name}`" in PAGE


def test_the_page_says_which_rules_are_on() -> None:
    rows = dict(re.findall(r"^\| (R\d+) \|.*\| (yes|no) \|$", PAGE, re.M))

    assert rows == {
        name: "yes" if name in DEFAULT_RULES else "no"
        for name in RULES
        if name.startswith("R")
    }
    assert {rule.name for rule in RULES.values() if rule.default} == set(DEFAULT_RULES)


def test_every_reason_is_on_the_page() -> None:
    source = "".join(
        path.read_text(encoding="utf-8")
        for path in (ROOT / "convstore" / "export").rglob("*.py")
    )
    reasons = set(re.findall(r'Dropped\(\s*"([a-z-]+)"', source))
    reasons |= set(re.findall(r'drop\(\w+, "([a-z-]+)"\)', source))
    reasons |= set(re.findall(r'return index, "([a-z-]+)"', source))

    missing = {
        name
        for name in reasons
        if f"`{name}`" not in PAGE and not name.startswith("filter-")
    }

    assert len(reasons) > 30
    assert missing == set()
