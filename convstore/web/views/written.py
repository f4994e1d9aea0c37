"""Data sets that were written: their manifests, their drawings, and a form for more."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

from convstore.vocabulary.data_sets import WrittenDataSet
from convstore.vocabulary.errors import InvalidInputError
from convstore.web.views.plots import bars
from convstore.web.views.reasons import REASONS
from convstore.web.visit import Go, Sent, View, Visit, whole

MOST = 100
"""Data sets of the list, and files of a manifest, that are shown."""
PLOTS = ("lengths", "rules")
_MOST_PLOT_BYTES = 256 * 1024
_SHARES = (0, 5, 10, 20)
"""Of a hundred rows, how many may be kept for testing."""


async def written(visit: Visit) -> list[dict[str, Any]]:
    """What the tenant's folder holds, the newest first."""
    if visit.data_sets is None:
        return []
    found = await visit.store.data_sets(visit.data_sets, limit=MOST)
    return [
        {
            "set": one,
            "url": visit.url("/dataset", name=one.name) if one.state == "whole" else "",
        }
        for one in found
    ]


async def show(visit: Visit) -> View:
    """One data set, as its manifest tells of it."""
    found = await _named(visit)
    shown: dict[str, Any] = {
        "found": found,
        "splits": bars(found.splits),
        "rules": bars(found.rules),
        "dropped": bars(found.dropped),
        "reasons": REASONS,
        "files": found.files[:MOST],
        "plots": {
            name: visit.url("/dataset/plot", name=found.name, plot=name)
            for name in PLOTS
            if any(file.path == f"plots/{name}.svg" for file in found.files)
        },
    }
    return View("dataset.html", found.name, shown, {"data_set": found}, "/datasets")


async def plot(visit: Visit) -> Sent:
    """A drawing of a data set, as the export made it."""
    found, name = await _named(visit), visit.needed("plot")
    if name not in PLOTS:
        raise InvalidInputError("plot", f"must be one of {', '.join(PLOTS)}")
    drawn = _read(_folder(visit) / found.name / "plots" / f"{name}.svg")
    return Sent(f"{name}.svg", "image/svg+xml", _one(drawn), inline=True)


async def write(visit: Visit) -> Go:
    """Write a data set to a folder of the tenant, under a name that is new."""
    name, format_ = visit.form.get("name", "").strip(), visit.form.get("format", "")
    if not name or len(name) > 100 or not set(name) <= _NAME or name[0] in ".-":
        told = "letters, digits, - and _, at most 100 of them: it becomes a folder"
        raise InvalidInputError("name", told)
    share = whole("test", visit.form.get("test", "0"))
    if share not in _SHARES:
        raise InvalidInputError("test", f"must be one of {_SHARES}")
    folder, user = _folder(visit), visit.query.get("user")
    os.makedirs(folder, mode=0o700, exist_ok=True)
    report = await visit.store.export(
        [format_],
        to=folder / name,
        splits={"train": 1 - share / 100, "test": share / 100}
        if share
        else {"train": 1.0},
        filters={"users": (user,)} if user else {},
        title=name,
    )
    return Go(visit.url("/dataset", name=name), {"report": _plain(report)})


_NAME = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.")


def _plain(report: Any) -> Mapping[str, Any]:
    # Where it lies on the server is nothing for whoever sees the page.
    (made,) = report.formats
    return {"rows": made.rows, "splits": made.splits, "dropped": made.dropped}


def _folder(visit: Visit) -> Path:
    if visit.data_sets is None:
        raise InvalidInputError("data_sets", "this page has no folder for data sets")
    return visit.data_sets


async def _named(visit: Visit) -> WrittenDataSet:
    """The data set of an address. Names of folders alone are known here."""
    name = visit.needed("name")
    found = await visit.store.data_sets(_folder(visit), limit=1_000)
    one = next((one for one in found if one.name == name), None)
    if one is None or one.state != "whole":
        raise InvalidInputError("name", "there is no data set of this name")
    return one


def _read(path: Path) -> bytes:
    if path.is_symlink() or not path.is_file():
        raise InvalidInputError("plot", "is not there")
    with path.open("rb") as file:
        return file.read(_MOST_PLOT_BYTES)


async def _one(piece: bytes) -> AsyncIterator[bytes]:
    yield piece
