"""The contents of the documentation, as a list for readers that are programs."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"
# Listed on pages of their own.
_APART = ("decisions/", "reference/errors/")
# Pages of the site that lie elsewhere in the checkout.
_MOVED = {"index.md": "../README.md", "decisions/index.md": "decisions/"}
_ROOT = {"ARCHITECTURE.md", "CHANGELOG.md", "CONTRIBUTING.md", "SECURITY.md"}


def navigation() -> list[Any]:
    """The pages of the site in their order: of `mkdocs.yml`."""
    told = yaml.safe_load((ROOT / "mkdocs.yml").read_text("utf-8"))
    return with_the_rest(list(told["nav"]))


def with_the_rest(listed: list[Any]) -> list[Any]:
    """The navigation, and behind it the pages that nobody has placed yet."""
    placed = set(places(listed))
    found = (page.relative_to(DOCS).as_posix() for page in DOCS.rglob("*.md"))
    rest = sorted(p for p in found if p not in placed and not p.startswith(_APART))
    if not rest:
        return listed
    return [*listed, {"More": [{_title(DOCS / place): place} for place in rest]}]


def places(entries: list[Any]) -> Iterator[str]:
    """The pages of a navigation."""
    for entry in entries:
        for place in entry.values():
            yield from [place] if isinstance(place, str) else places(place)


def _title(page: Path) -> str:
    return page.read_text("utf-8").splitlines()[0].removeprefix("# ")


def contents() -> str:
    """`llms.txt`: what there is, each page with a line, by <https://llmstxt.org>."""
    head = (ROOT / "README.md").read_text("utf-8").split("\n\n")
    said = next(part for part in head[1:] if part[0].isalpha())
    lines = ["# convstore", "", f"> {said}", ""]
    for part in navigation():
        ((title, pages),) = part.items()
        lines += [f"## {title}", "", *_listed(pages), ""]
    return "\n".join(lines).rstrip() + "\n"


def _listed(pages: list[Any]) -> Iterator[str]:
    for entry in pages:
        ((title, place),) = entry.items()
        if isinstance(place, list):
            yield from _listed(place)
            continue
        link = _MOVED.get(place, f"../{place}" if place in _ROOT else place)
        said = _sentence(DOCS / link)
        yield f"- [{title}]({link}){f': {said}' if said else ''}"


def _sentence(page: Path) -> str:
    """The first sentence of a page, without links."""
    if not page.is_file():
        return ""
    for part in page.read_text("utf-8").split("\n\n"):
        if part[0].isalpha() and not part.startswith("To do"):
            plain = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", part.replace("\n", " "))
            return re.split(r"(?<=[.:]) ", plain)[0].rstrip(":")
    return ""
