"""`convstore archive adopt`: go on with the archive folder that is there."""

from __future__ import annotations

from typing import TYPE_CHECKING

import typer

from convstore.cli.context import AsJson, Yes, confirm, with_store
from convstore.cli.exits import FOUND
from convstore.cli.output import count, print_json, say, warn

if TYPE_CHECKING:
    from convstore.vocabulary.reports import AdoptionReport


def adopt(context: typer.Context, yes: Yes = False, as_json: AsJson = False) -> int:
    """Go on with the archive folder that is there.

    For when the old one is lost, when the database came back from a backup, or when a
    copy of it is to be a database of its own. Says what is lost, and asks. Another
    database that works on the folder stops. Exit code 1: sessions were lost.
    """
    seen = with_store(context, lambda store: store.archive.adopt(dry_run=True))
    if not yes:
        for line in _told(seen):
            warn(line)
    confirm("Go on with this folder?", yes)
    done = with_store(context, lambda store: store.archive.adopt())
    if as_json:
        print_json(done)
    else:
        for line in _told(done):
            say(line)
    return FOUND if done.sessions_lost else 0


def _told(report: AdoptionReport) -> list[str]:
    lost = len(report.segments_lost)
    mark = f"the mark {report.folder_id}" if report.folder_id else "no mark yet"
    lines = [
        f"the folder has {mark}",
        (
            f"{count(report.segments_found, 'segment')} of this database there, "
            f"{lost} lost, with {count(report.sessions_lost, 'archived session')}"
        ),
    ]
    if report.segments_unknown:
        lines.append(
            f"{count(report.segments_unknown, 'segment')} there that are not in this "
            "database: `convstore archive rebuild` takes them up"
        )
    return [*lines, *(f"lost: segment {name}" for name in report.segments_lost)]
