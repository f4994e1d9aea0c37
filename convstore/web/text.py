"""Text as it is shown: what cannot be seen is made visible, and times are short."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from datetime import datetime
from urllib.parse import quote, urlencode

_HIDDEN = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f"
    "\u200b-\u200f\u2028-\u202f\u2060-\u206f\u3164\ufeff\uffa0\ufff0-\ufffb"
    "\U000e0000-\U000e007f]"
)
"""Controls, what turns text around, what has no width, tags. Joiners of scripts that
need them, and of pictures, stay: see `_JOINED`."""
_JOINED = re.compile("(?<=[^\x00-\x7f])[\u200c\u200d](?=[^\x00-\x7f])")

_MOST_NAME_CHARS = 200
"""Of a folder: file systems take 255 bytes."""


def visible(text: str) -> str:
    """The text, each hidden character as its number: `⟦202E⟧`."""
    if _HIDDEN.search(text) is None:
        return text
    joined = {found.start() for found in _JOINED.finditer(text)}

    def show(found: re.Match[str]) -> str:
        if found.start() in joined:
            return found[0]
        return f"⟦{ord(found[0]):04X}⟧"

    return _HIDDEN.sub(show, text.replace("\r\n", "\n"))


def address(root: str, path: str, query: Mapping[str, object]) -> str:
    """A local address; ids are in its query, where each may be any text."""
    told = {name: str(value) for name, value in query.items() if value is not None}
    return f"{root}{path}" + (f"?{urlencode(told)}" if told else "")


def folder_of(tenant: str) -> str:
    """What the folder of a tenant is called, whatever the tenant's id is."""
    told = f"tenant={quote(tenant, safe='')}"
    if len(told) <= _MOST_NAME_CHARS:
        return told
    return f"tenant={hashlib.sha256(tenant.encode()).hexdigest()}"


def moment(at: datetime) -> str:
    """A time to the minute."""
    return f"{at:%Y-%m-%d %H:%M}"


def ago(at: datetime, now: datetime) -> str:
    """How long ago, as a person says it; the day where it is long."""
    seconds = (now - at).total_seconds()
    if seconds < 60:
        return "just now"
    if seconds < 3_600:
        return f"{int(seconds // 60)} min ago"
    if seconds < 86_400:
        return f"{int(seconds // 3_600)} h ago"
    if seconds < 7 * 86_400:
        days = int(seconds // 86_400)
        return "yesterday" if days == 1 else f"{days} days ago"
    return f"{at.day} {at:%b}" if at.year == now.year else f"{at.day} {at:%b %Y}"


def size(count: float) -> str:
    """Bytes as a person reads them."""
    for unit in ("B", "kB", "MB", "GB"):
        if count < 1_000:
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1_000
    return f"{count:.1f} TB"


def money(micros: int | None) -> str:
    """Millionths of a US dollar as dollars."""
    return "–" if micros is None else f"${micros / 1_000_000:,.4f}"


def units(count: int, unit: str) -> str:
    """What so many are called: `1 turn`, `2 turns`."""
    return unit if count == 1 else f"{unit}s"


def duration(seconds: float) -> str:
    """A length of time in its largest unit that says it well."""
    for unit, length in (("days", 86_400), ("hours", 3_600), ("minutes", 60)):
        if seconds >= 2 * length or seconds == length:
            count = seconds / length
            return f"{count:g} {unit if count != 1 else unit[:-1]}"
    return f"{seconds:g} seconds"
