"""An export of ChatGPT's shape beside the same turns as plain messages.

Each import is a process of its own into a new SQLite file, with fewer conversations
first, so that its memory can be compared. Rates are by processor time: they hold on a
machine that does something else as well.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

TURNS = 6
"""Of one conversation: three questions, each with its answer."""

_WORDS = "the archive of the town holds maps, deeds and letters since 1325 and more "


@dataclass(frozen=True)
class Run:
    """What one import took."""

    turns: int
    cpu_s: float
    rss_mb: float

    @property
    def rate(self) -> float:
        """Turns for each second of the processor."""
        return self.turns / self.cpu_s


def _texts(number: int) -> list[str]:
    start = number % len(_WORDS)
    turned = _WORDS[start:] + _WORDS[:start]
    return [f"{number}.{place} {turned * 4}" for place in range(TURNS)]


def _chatgpt(count: int) -> Iterator[str]:
    """One JSON list on one line, as the export has it."""
    yield "["
    for number in range(count):
        nodes: dict[str, Any] = {
            "root": {"id": "root", "parent": None, "children": [], "message": None}
        }
        above = "root"
        for place, text in enumerate(_texts(number)):
            name = f"{number:08x}-{place}"
            message = {
                "id": name,
                "author": {"role": ("user", "assistant")[place % 2], "metadata": {}},
                "create_time": 1772355600.0 + 60 * number + place,
                "content": {"content_type": "text", "parts": [text]},
                "status": "finished_successfully",
                "weight": 1.0,
                "recipient": "all",
                "metadata": {"model_slug": "m-large"} if place % 2 else {},
            }
            nodes[above]["children"] = [name]
            nodes[name] = {
                "id": name,
                "parent": above,
                "children": [],
                "message": message,
            }
            above = name
        talk = {
            "title": f"Archive {number}",
            "create_time": 1772355600.0 + 60 * number,
            "mapping": nodes,
            "current_node": above,
            "conversation_id": f"c-{number:08x}",
        }
        yield ("," if number else "") + json.dumps(talk)
    yield "]"


def _messages(count: int) -> Iterator[str]:
    for number in range(count):
        said = [
            {"role": ("user", "assistant")[place % 2], "content": text}
            for place, text in enumerate(_texts(number))
        ]
        yield json.dumps({"session_id": f"c-{number:08x}", "messages": said}) + "\n"


def _write(path: Path, pieces: Iterator[str]) -> Path:
    with path.open("w") as file:
        file.writelines(pieces)
    return path


def _run(folder: Path, format_: str, source: Path, count: int) -> Run:
    home = folder / f"{format_}-{count}"
    home.mkdir()
    command = [sys.executable, "-m", "convstore", "import", format_, str(source)]
    environment = {**os.environ, "CONVSTORE_HOME": str(home)}
    pid = os.posix_spawn(
        sys.executable,
        [*command, "--quiet", "--json"],
        environment,
        file_actions=[(os.POSIX_SPAWN_OPEN, 1, str(home / "told"), 65, 0o600)],
    )
    _, status, used = os.wait4(pid, 0)
    told = json.loads((home / "told").read_text())
    if status or told["turns"] != count * TURNS:
        raise SystemExit(f"{format_}: {told}")
    cpu_s = used.ru_utime + used.ru_stime
    return Run(told["turns"], cpu_s, used.ru_maxrss / 1024)


def runs(folder: Path, count: int) -> dict[tuple[str, int], Run]:
    """What imports of `count` conversations took, and of a tenth, by format."""
    found: dict[tuple[str, int], Run] = {}
    for size in (max(1, count // 10), count):
        for format_, pieces in (("chatgpt", _chatgpt), ("messages", _messages)):
            source = _write(folder / f"{format_}.json", pieces(size))
            found[format_, size] = _run(folder, format_, source, size)
            source.unlink()
    return found
