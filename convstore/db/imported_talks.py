"""Conversations of a tool, taken again after they went on there.

Their turns have ids of the tool's own, so that what is new is found by them wherever in
the tree it stands. It is added at the end, with its parent's number; what is there
already is left alone, also where the tool has changed it since.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy import Table

from convstore.db import models
from convstore.db.codec.interactions import moved_row
from convstore.db.codec.row_types import GRAPH_STATES
from convstore.db.heads import SwitchBranch
from convstore.db.imported_sessions import ImportSession, Stored, stored_of_names
from convstore.db.known_acts import look_up_acts
from convstore.db.recording import RecordInteraction, acts_of, says_the_same
from convstore.db.turns import look_up_external
from convstore.db.unit import Head, Row, Unit, check_usable


@dataclass(slots=True)
class ImportTalk(ImportSession):
    """Create a session, or add to it what its source has gained.

    Numbers in the record are places in it; `places` tells which turn of the session
    each is. The head follows the source where the session has not gone on by itself.
    """

    def _go_on(self, unit: Unit, head: Head) -> Stored:
        row = head.row
        if row["state"] == "archived" and self._seems_whole(row):
            return Stored()
        check_usable(row["state"], row["user_id"], self.key[1], None)
        unit.flush()
        self._check_places(self.acts, self.graphs)
        places, fresh, changed = self._compared(unit, row["turn_count"])
        acts, changed_acts = self._new(unit, models.interactions, self._acts(places))
        graphs, changed_graphs = self._new(
            unit, models.graph_states, self._graphs(places)
        )
        last = row["last_activity_at"]
        if fresh:
            self._append(unit, head, fresh, places)
        look_up_acts(unit, acts_of(acts))
        for operation in (*acts, *graphs):
            operation.apply(unit)
        if fresh or acts or graphs:
            self._date(head, last)
        self.keep_states(unit, head)
        changed += changed_acts + changed_graphs
        return Stored(False, len(fresh), len(acts), len(graphs), changed)

    def _seems_whole(self, row: Row) -> bool:
        """Whether an archived session has as much as the source, unread."""
        return bool(
            row["turn_count"] >= len(self._rows)
            and row["interaction_count"] >= len(self.acts)
            and row["graph_state_count"] >= len(self.graphs)
        )

    def _compared(
        self, unit: Unit, count: int
    ) -> tuple[dict[int, int], list[Row], int]:
        """The number of each turn by its place, the new ones, and how many differ."""
        look_up_external(unit, [self.turns])
        places: dict[int, int] = {}
        fresh: list[Row] = []
        changed = 0
        for place, given in enumerate(self._rows, 1):
            known = unit.external[self.key][given["external_id"]]
            if known is not None:
                places[place] = known["seq"]
                changed += bytes(known["digest"]) != given["digest"]
                continue
            count += 1
            places[place] = count
            parent = given["parent_seq"]
            parent = place - 1 if parent is None else parent
            fresh.append({**given, "parent_seq": places[parent] if parent else 0})
        return places, fresh, changed

    def _append(
        self, unit: Unit, head: Head, fresh: list[Row], places: dict[int, int]
    ) -> None:
        tip = head.row["head_seq"]
        replace(self.turns, rows=fresh).put(unit)
        if tip is not None and tip not in places.values():
            # The conversation went on here: whoever talks goes on where they were.
            wanted = tip
        elif self.head_seq is None:
            wanted = places[len(self._rows)]
        else:
            wanted = places.get(self.head_seq, 0)
        SwitchBranch(self.key, wanted, self.now).apply(unit)

    def _acts(self, places: dict[int, int]) -> list[RecordInteraction]:
        return [_placed_act(act, places) for act in self.acts]

    def _graphs(self, places: dict[int, int]) -> list[Any]:
        moved = []
        for graph in self.graphs:
            row = dict(graph.row)
            if row["turn_seq"] is not None:
                row["turn_seq"] = places[row["turn_seq"]]
            row["digest"] = GRAPH_STATES.digest(row)
            moved.append(replace(graph, row=row))
        return moved

    def _new(
        self, unit: Unit, table: Table, operations: Sequence[Any]
    ) -> tuple[list[Any], int]:
        """Those that are not there yet, and how many are there with another content."""
        if not operations:
            return [], 0
        names = [operation.row["external_id"] for operation in operations]
        stored = stored_of_names(unit.connection, table, self.key, names)
        new, changed = [], 0
        for operation in operations:
            earlier = stored.get(operation.row["external_id"])
            if earlier is None:
                new.append(operation)
            else:
                changed += not says_the_same(earlier, operation.row)
        return new, changed


def _placed_act(act: RecordInteraction, places: dict[int, int]) -> RecordInteraction:
    return replace(act, row=moved_row(act.row, places))
