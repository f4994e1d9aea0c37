"""The reference pages are what the code says."""

from __future__ import annotations

from pathlib import Path

import pytest

from convstore.export.formats import FORMATS
from tests.docs.reference import pages

REFERENCE = Path(__file__).resolve().parents[2] / "docs" / "reference"


@pytest.mark.parametrize(
    "name",
    [
        *("api.md", "cli.md", "errors.md", "gateway.md", "schema.md", "settings.md"),
        *(f"schemas/{name}.schema.json" for name in FORMATS),
    ],
)
def test_a_reference_page_is_up_to_date(name: str) -> None:
    written = (REFERENCE / name).read_text(encoding="utf-8")

    assert written == pages()[name], "run scripts/reference"
