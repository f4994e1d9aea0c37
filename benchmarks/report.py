"""The table, and the JSON that it is printed from."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from benchmarks import conformance_table, for_people, migrations_table
from benchmarks.bench import Row
from benchmarks.machine import ABSENT

RESULTS = Path(__file__).parent / "results"
PAGE = Path(__file__).parent.parent / "docs" / "benchmarks.md"
PICTURE = PAGE.parent / "pictures" / "benchmarks.svg"
COMPARED = PAGE.parent / "compare.md"
README = PAGE.parent.parent / "README.md"
UPGRADE = PAGE.parent / "howto" / "upgrade.md"


def keep(name: str, rows: Sequence[Row], machine: dict[str, str]) -> None:
    """Write the figures of one goal as JSON, over those of the run before."""
    RESULTS.mkdir(exist_ok=True)
    result = {"machine": machine, "rows": [asdict(row) for row in rows]}
    text = json.dumps(result, indent=1, ensure_ascii=False)
    (RESULTS / f"{name}.json").write_text(text + "\n", "utf-8")


def table(rows: Sequence[Row]) -> str:
    """The lines of the table, as Markdown."""
    lines = ["| goal | database | at least | measured | met |", "| --- " * 5 + "|"]
    lines += [
        f"| {r.goal} | {r.database} | {r.at_least} | {r.measured} "
        f"| {'yes' if r.met else '**no**'} |"
        for r in rows
    ]
    return "\n".join(lines)


def publish(names: Sequence[str]) -> None:
    """Put the kept figures of all goals into `docs/`: two pages and a picture."""
    rows: list[Row] = []
    machine: dict[str, str] = {}
    for name in names:
        path = RESULTS / f"{name}.json"
        if path.exists():
            kept = json.loads(path.read_text("utf-8"))
            rows += [Row(**row) for row in kept["rows"]]
            # Not every goal is run in an environment that has every peer.
            for what, value in kept["machine"].items():
                if value != ABSENT or what not in machine:
                    machine[what] = value
    facts = "; ".join(f"{what} {value}" for what, value in machine.items())
    _put(PAGE, "figures", f"{table(rows)}\n\nMeasured on: {facts}.")
    found = for_people.figures(RESULTS)
    PICTURE.write_text(for_people.picture(found), "utf-8")
    _put(PAGE, "sentences", for_people.sentences(found, rows))
    _put(PAGE, "missed", for_people.missed_goals(rows))
    in_place = for_people.in_place(RESULTS)
    for page in (COMPARED, README):
        _put(page, "figures", for_people.comparison(found))
        _put(page, "frameworks", for_people.frameworks(in_place, "add"))
    _put(COMPARED, "reads", for_people.frameworks(in_place, "read"))
    publish_conformance()
    publish_migrations()


def publish_conformance() -> None:
    """Put what the conformance kit found into `docs/compare.md`."""
    if not conformance_table.RESULTS.exists():
        return
    found = json.loads(conformance_table.RESULTS.read_text("utf-8"))
    _put(COMPARED, "conformance", conformance_table.table(found))


def publish_migrations() -> None:
    """Put what each revision takes into `docs/howto/upgrade.md`."""
    if migrations_table.RESULTS.exists():
        found = json.loads(migrations_table.RESULTS.read_text("utf-8"))
        _put(UPGRADE, "migrations", migrations_table.table(found))


def _put(page: Path, name: str, text: str) -> None:
    """Put what was made between the marks of a page."""
    begin, end = f"<!-- {name}: begin -->", f"<!-- {name}: end -->"
    before, rest = page.read_text("utf-8").split(begin)
    after = rest.split(end)[1]
    page.write_text(f"{before}{begin}\n\n{text}\n\n{end}{after}", "utf-8")
