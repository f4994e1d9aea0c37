"""Bar charts as SVG, drawn by hand: the same counts give the same bytes anywhere.

A plotting library gives other bytes with each release, and a data set is compared and
signed by its bytes.
"""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

_SVG = "http://www.w3.org/2000/svg"
_FONT = 'font-family="sans-serif" font-size="12"'
_WIDTH, _BAR, _GAP, _LEFT, _TOP = 640, 18, 6, 170, 40


def bar_chart(title: str, bars: Sequence[tuple[str, int]]) -> bytes:
    """A horizontal bar for each name and count, with the count written beside it."""
    most = max((count for _, count in bars), default=0) or 1
    room = _WIDTH - _LEFT - 90
    height = _TOP + len(bars) * (_BAR + _GAP) + _GAP
    lines = [
        f'<svg xmlns="{_SVG}" width="{_WIDTH}" height="{height}" {_FONT}>',
        f'<rect width="{_WIDTH}" height="{height}" fill="#fff"/>',
        f'<text x="10" y="22" font-size="15">{escape(title)}</text>',
    ]
    for index, (name, count) in enumerate(bars):
        y = _TOP + index * (_BAR + _GAP)
        width = count * room // most
        place = f'x="{_LEFT}" y="{y}" width="{width}" height="{_BAR}"'
        name_end, low = f'x="{_LEFT - 8}" text-anchor="end"', f'y="{y + 13}"'
        lines += [
            f"<text {name_end} {low}>{escape(name)}</text>",
            f'<rect {place} fill="#4c78a8"/>',
            f'<text x="{_LEFT + width + 6}" {low}>{count:,}</text>',
        ]
    lines.append("</svg>\n")
    return "\n".join(lines).encode()
