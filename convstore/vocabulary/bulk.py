"""One act upon many sessions, and what came of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

BulkAct: TypeAlias = Literal["tag", "untag", "hold", "delete", "export"]

BULK_ACTS: tuple[BulkAct, ...] = ("tag", "untag", "hold", "delete", "export")


@dataclass(frozen=True, slots=True)
class BulkReport:
    """What an act upon all sessions of a filter did, or would do.

    Attributes:
        act: The act.
        dry_run: Nothing was changed: `done` is empty.
        matched: Ids of the sessions that met the filter, newest activity first.
        done: How many it was done to.
        refused: How many were left as they are, by the code of the error.
        complete: False where more sessions may meet the filter: call again.
    """

    act: BulkAct
    dry_run: bool
    matched: tuple[str, ...]
    done: int
    refused: dict[str, int]
    complete: bool
