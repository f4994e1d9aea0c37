"""Data sets out: documents become rows by rules, and rows become files by formats.

`Store.export` is the whole way. Its stages are here for whoever spreads them over
processes or machines: `plan` says what is read, `rows` makes the rows of one split,
`settle` decides across rows, `write_part` writes one file, `finish` publishes.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from convstore.export.dataset.parts import Part, WrittenPart
    from convstore.export.options import ExportOptions
    from convstore.export.report import ExportReport
    from convstore.export.stages.finishing import finish, write_part
    from convstore.export.stages.making import Counts, Rows, rows
    from convstore.export.stages.planning import hold_snapshot, plan
    from convstore.export.stages.settling import Routing, Settlement, settle
    from convstore.export.stages.splits import Source, Split

__all__ = [
    "Counts",
    "ExportOptions",
    "ExportReport",
    "Part",
    "Routing",
    "Rows",
    "Settlement",
    "Source",
    "Split",
    "WrittenPart",
    "finish",
    "hold_snapshot",
    "plan",
    "rows",
    "settle",
    "write_part",
]

_HOMES = {
    "Counts": "stages.making",
    "Part": "dataset.parts",
    "ExportOptions": "options",
    "ExportReport": "report",
    "Routing": "stages.settling",
    "Rows": "stages.making",
    "Settlement": "stages.settling",
    "Source": "stages.splits",
    "Split": "stages.splits",
    "WrittenPart": "dataset.parts",
    "finish": "stages.finishing",
    "hold_snapshot": "stages.planning",
    "plan": "stages.planning",
    "rows": "stages.making",
    "settle": "stages.settling",
    "write_part": "stages.finishing",
}


def __getattr__(name: str) -> Any:
    # Loaded when asked for: a store that never exports pays for none of it.
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{home}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)
