"""What the site has beside `docs/`: the pages of the root, and a list of decisions.

A hook of MkDocs, see `mkdocs.yml`. The same files are read as plain Markdown in a
checkout; there links lead to sources too, which the site does not have: they become
plain words.
"""

from __future__ import annotations

import posixpath
import re
import sys
from pathlib import Path
from typing import Any

from mkdocs.structure.files import File

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from tests.docs.site import with_the_rest  # noqa: E402

DOCS = ROOT / "docs"
PAGES = {
    "README.md": "index.md",
    "ARCHITECTURE.md": "ARCHITECTURE.md",
    "CHANGELOG.md": "CHANGELOG.md",
    "CONTRIBUTING.md": "CONTRIBUTING.md",
    "SECURITY.md": "SECURITY.md",
}
"""Of the root: where they are on the site."""

_LINK = re.compile(r"(!?)\[([^\]\[]*)\]\(([^)\s]+)\)")
_FENCE = re.compile(r"(^```.*?^```$)", re.MULTILINE | re.DOTALL)
_ELSEWHERE = re.compile(r"[a-z]+:")


def on_config(config: Any) -> Any:
    config.nav = with_the_rest(list(config.nav))
    return config


def on_files(files: Any, config: Any) -> Any:
    for source, place in PAGES.items():
        page = ROOT / source
        if page.exists():
            text = page.read_text("utf-8")
            files.append(File.generated(config, place, content=text))
    if files.get_file_from_path("decisions/index.md") is None:
        listed = _decisions()
        files.append(File.generated(config, "decisions/index.md", content=listed))
    return files


def on_page_markdown(markdown: str, page: Any, config: Any, files: Any) -> str:
    """Let links lead where the pages are on the site."""
    at = page.file.src_uri
    roots = {place: source for source, place in PAGES.items()}
    # As the file lies in the checkout, whose links are those that were written.
    source = roots.get(at, f"docs/{at}")

    def moved(match: re.Match[str]) -> str:
        picture, text, link = match.groups()
        target, hash_, anchor = link.partition("#")
        if not target or _ELSEWHERE.match(target):
            return match[0]
        lies = posixpath.normpath(posixpath.join(posixpath.dirname(source), target))
        if lies in ("docs/decisions", "docs/reference"):
            lies = {"docs/decisions": "docs/decisions/index.md"}.get(
                lies, "docs/reference/api.md"
            )
        place = PAGES.get(lies)
        if place is None and lies.startswith("docs/"):
            place = lies.removeprefix("docs/")
        if place is None:
            if not (ROOT / lies).exists():
                return match[0]  # told as a link that leads nowhere
            return f"{text} (`{lies}`)" if text != lies else f"`{lies}`"
        there = posixpath.relpath(place, posixpath.dirname(at) or ".")
        return f"{picture}[{text}]({there}{hash_}{anchor})"

    parts = _FENCE.split(markdown)
    return "".join(
        part if part.startswith("```") else _LINK.sub(moved, part) for part in parts
    )


def _decisions() -> str:
    lines = ["# Decisions", "", "What will be asked about twice, a page each.", ""]
    for page in sorted((DOCS / "decisions").glob("*.md")):
        title = page.read_text("utf-8").splitlines()[0].removeprefix("# ")
        lines.append(f"* [{title}]({page.name})")
    return "\n".join(lines) + "\n"
