"""What the commands print: lines, tables and JSON, safe for a terminal.

Stored text can hold escape sequences that drive the reader's terminal, or marks that
turn its order around. None of them gets out of here as it is.
"""

from __future__ import annotations

import os
import re
import shutil
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import fields
from typing import TYPE_CHECKING, Any

from convstore.vocabulary.codec import dumps

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

    from convstore.vocabulary.progress import Progress as Told

# C0 and C1 controls, line and paragraph separators, and what turns text around.
_UNSAFE = re.compile(
    "[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028\u2029\u202a-\u202e\u2066-\u2069]"
)
# JSON text has its C0 controls escaped already, and its own line ends.
_UNSAFE_IN_JSON = re.compile(_UNSAFE.pattern.replace("\x00-\x1f", ""))


def clean(text: object) -> str:
    """The text on one line, with escapes for what must not be shown as it is."""
    return _UNSAFE.sub(_escaped, str(text).replace("\n", "⏎"))


def say(text: object = "") -> None:
    """Print one line."""
    print(clean(text), flush=True)


def say_more(cursor: str | None) -> None:
    """Print how the next page is asked for, if there is one."""
    if cursor:
        say(f"more: --cursor {cursor}")


def warn(text: object) -> None:
    """Print one line to the error stream."""
    print(clean(text), file=sys.stderr, flush=True)


def print_json(value: object, *, indent: bool = True) -> None:
    """Print a value, records and times included, as JSON: the same value, readable."""
    print(json_text(value, indent=indent), flush=True)


def json_text(value: object, *, indent: bool = False) -> str:
    """JSON that a terminal can be shown."""
    return safe_json(dumps(value, indent=indent))


def safe_json(data: bytes) -> str:
    """JSON text with the unsafe characters in its strings escaped: the same value."""
    return _UNSAFE_IN_JSON.sub(_escaped, data.decode())


def print_table(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Print rows under headings, each on one line, as wide as the longest cells.

    On a terminal that is narrower each row is a paragraph: its first cell alone on a
    line, so that an id can be copied whole, and the others by name below it.
    """
    shown = [["" if cell is None else clean(cell) for cell in row] for row in rows]
    table = [[column.upper() for column in columns], *shown]
    widths = [max(map(_cells, column)) for column in zip(*table, strict=True)]
    room = _room()
    if room is not None and sum(widths) + len(_GAP) * (len(widths) - 1) > room:
        for first, *others in shown:
            named = zip(columns[1:], others, strict=True)
            parts = (f"{name} {cell}" for name, cell in named if cell)
            print("\n".join(_paragraph(first, parts, room)))
        sys.stdout.flush()
        return
    for row in table:
        padded = (
            cell + " " * (width - _cells(cell))
            for cell, width in zip(row, widths, strict=True)
        )
        print(_GAP.join(padded).rstrip())
    sys.stdout.flush()


_GAP = "   "
_LEAST_ROOM = 20
"""Columns of a terminal below which nothing can be laid out."""


def _room() -> int | None:
    """The columns of the terminal, or those of COLUMNS; None where nobody asks."""
    given = os.environ.get("COLUMNS", "")
    if not given.isdecimal() and not sys.stdout.isatty():
        return None
    return max(shutil.get_terminal_size().columns, _LEAST_ROOM)


def _paragraph(first: str, parts: Iterable[str], room: int) -> list[str]:
    """The first on lines of its own, then the others, as many on a line as fit."""
    inner, line = room - len(_GAP), ""
    lines = _folded(first, room)
    for part in parts:
        joined = f"{line}{_GAP}{part}" if line else part
        if _cells(joined) <= inner:
            line = joined
            continue
        if line:
            lines.append(_GAP + line)
        *full, line = _folded(part, inner)
        lines += [_GAP + piece for piece in full]
    return [*lines, _GAP + line] if line else lines


def _folded(text: str, width: int) -> list[str]:
    """The text in pieces that fit."""
    from rich.cells import chop_cells

    return chop_cells(text, width) or [""]


def _cells(text: str) -> int:
    """How many columns of a terminal the text takes."""
    from rich.cells import cell_len

    return cell_len(text)


def print_facts(facts: Iterable[tuple[str, object]]) -> None:
    """Print names and values below each other; what is None or empty is left out."""
    shown = [(name, value) for name, value in facts if value not in (None, "", {}, ())]
    width = max((len(name) for name, _ in shown), default=0)
    for name, value in shown:
        say(f"{name:<{width}}  {fact(value)}")


def print_report(report: Any, **instead: object) -> None:
    """Print the fields of a report as facts, in their order; some told otherwise."""
    facts = {field.name: getattr(report, field.name) for field in fields(report)}
    told = (facts | instead).items()
    print_facts((name.replace("_", " "), value) for name, value in told)


def fact(value: Any) -> str:
    """A value for people: counts as `a 1, b 2`, times without their microseconds."""
    if isinstance(value, dict):
        return ", ".join(f"{name} {count}" for name, count in value.items())
    if isinstance(value, list | tuple):
        return ", ".join(map(str, value))
    if hasattr(value, "isoformat"):
        return str(value.isoformat(sep=" ", timespec="seconds"))
    if isinstance(value, float):
        return f"{value:.1f}"
    return str(value)


def count(number: int, thing: str) -> str:
    """A number of things whose plural takes an s."""
    return f"{number} {thing}" if number == 1 else f"{number} {thing}s"


def size(size_bytes: int) -> str:
    """Bytes in the largest unit that leaves a number above one."""
    amount, units = float(size_bytes), ["B", "kB", "MB", "GB"]
    while amount >= 1000 and len(units) > 1:
        amount /= 1000
        units.pop(0)
    return f"{amount:.0f} {units[0]}" if units[0] == "B" else f"{amount:.1f} {units[0]}"


class Bar:
    """A progress bar, or nothing where nobody watches."""

    def __init__(self, progress: Progress | None, task: TaskID | None) -> None:
        self._progress, self._task = progress, task

    def told(self, progress: Told) -> None:
        """Show what a job tells of itself."""
        of = "" if progress.total is None else f"/{progress.total}"
        text = f"{progress.done}{of} {progress.unit}"
        self.at(progress.done, progress.total, text)

    @property
    def shown(self) -> bool:
        """Whether anybody watches."""
        return self._progress is not None

    def at(
        self,
        done: float,
        total: float | None,
        text: str,
        *,
        counted: tuple[int, str] | None = None,
    ) -> None:
        """Show how far it is; a total of None moves without an end.

        `counted` is what the speed is told of, if that is not `done`: how many since
        the beginning, and what they are called. Less than before begins anew.
        """
        if self._progress is None or self._task is None:
            return
        number, unit = counted or (done, "")
        task = self._progress.tasks[0]
        if number < task.fields.get("number", 0):
            self._progress.reset(self._task)
        self._progress.update(
            self._task,
            completed=done,
            total=total,
            description=clean(text),
            number=number,
            unit=unit,
            per_s=f"{number / task.elapsed:,.0f} {unit}/s" if task.elapsed else "",
        )


@contextmanager
def progress(text: str, *, quiet: bool = False) -> Iterator[Bar]:
    """A bar on the error stream while the block lasts, if that is a terminal."""
    if quiet or not sys.stderr.isatty():
        yield Bar(None, None)
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn
    from rich.progress import TimeElapsedColumn as Elapsed
    from rich.progress import TimeRemainingColumn as Left

    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        TextColumn("{task.fields[per_s]}", markup=False),
        Elapsed(),
        TextColumn("gone,"),
        Left(),
        TextColumn("left"),
    )
    with Progress(*columns, console=Console(stderr=True), transient=True) as shown:
        yield Bar(shown, shown.add_task(text, total=None, per_s=""))


def _escaped(match: re.Match[str]) -> str:
    return f"\\u{ord(match[0]):04x}"
