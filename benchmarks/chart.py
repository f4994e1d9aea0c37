"""Bars as a picture that any page shows: SVG, in light and dark, nothing loaded."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

Bars = Sequence[tuple[str, str, Sequence[tuple[str, float, str]]]]
"""Title, unit, and label, value and kind (`us`, `limit`, `peer`) of each bar."""

_WIDTH, _LABEL, _BAR, _GAP, _HEAD = 760, 210, 20, 8, 34
_STYLE = """
text { font: 13px system-ui, sans-serif; fill: #24292f; }
.head { font-weight: 600; }
.us { fill: #3f51b5; } .limit { fill: #9aa4b2; } .peer { fill: #d59a3d; }
@media (prefers-color-scheme: dark) {
  text { fill: #e6e6e6; } .us { fill: #8c9eff; } .limit { fill: #5c6673; }
}
"""


def chart(parts: Bars, title: str) -> str:
    """The picture; each part has a scale of its own, from nothing."""
    pieces: list[str] = []
    y = 6
    for head, unit, bars in parts:
        pieces.append(_text(0, y + 16, f"{head}, {unit}", "head"))
        y += _HEAD - _GAP
        most = max(value for _, value, _ in bars)
        for label, value, kind in bars:
            width = max((_WIDTH - _LABEL - 90) * value / most, 1)
            size = f'width="{width:.0f}" height="{_BAR}"'
            pieces += [
                _text(0, y + 15, label),
                f'<rect class="{kind}" x="{_LABEL}" y="{y}" {size} rx="2"/>',
                _text(_LABEL + width + 8, y + 15, f"{value:,.0f}"),
            ]
            y += _BAR + _GAP
        y += 14
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {y}" '
        f'width="{_WIDTH}" height="{y}" role="img" aria-label="{escape(title)}">\n'
        f"<style>{_STYLE}</style>\n" + "\n".join(pieces) + "\n</svg>\n"
    )


def _text(x: float, y: float, text: str, kind: str = "") -> str:
    named = f' class="{kind}"' if kind else ""
    return f'<text{named} x="{x:.0f}" y="{y:.0f}">{escape(text)}</text>'
