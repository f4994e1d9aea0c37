"""What a session's parts say of one another, and what was said of them to callers.

Like the invariants that use it, this calls nothing of the library: what is effective,
what a branch hands down and what a session costs is worked out again.
"""

from __future__ import annotations

import base64
import json
from collections import Counter
from collections.abc import Hashable, Iterable, Iterator
from typing import Any

from tests.crash.oplog import CHARGE, TURN_COST, History, Told

Row = dict[str, Any]
Content = dict[str, list[Row]]
_BY_CODE = ("pop", "clear", "compact")


def decoded(value: Any) -> Any:
    """JSON as a column holds it, or as a document does."""
    return json.loads(value) if isinstance(value, str) else value


def effective_labels(acts: Iterable[Row]) -> dict[str, int]:
    """The labels in force: of one actor, action and target the last one that nothing
    has superseded; acts that only take back say nothing."""
    removed = {act["supersedes"] for act in acts}
    last: dict[Hashable, Row] = {}
    for act in sorted(acts, key=lambda act: act["seq"]):
        if act["seq"] not in removed and act["action"] != "retract":
            last[_place(act)] = act
    labels = (act["feedback"] for act in last.values())
    return dict(Counter(label for label in labels if label is not None))


def _place(act: Row) -> Hashable:
    if act["action"] == "inject":
        return act["seq"]
    choice = decoded(act["choice"])
    offered: frozenset[int] | None = None
    if choice is not None:
        offered = frozenset([choice["chosen"], *choice["rejected"]]) - {None}
    names = ("actor_id", "actor_kind", "action", "turn_seq", "node_id")
    return (*(act[name] for name in names), offered)


def branch_faults(session: Row, turns: list[Row]) -> Iterator[str]:
    """What the row says of the active branch, and its turns do not."""
    slots: dict[str, str] = {}
    template = None
    for turn in _path(turns, session["head_seq"]):
        if turn["role"] == "user":
            slots |= decoded(turn["slots"]) or {}
            template = turn["template_id"] or template
    if slots != decoded(session["current_slots"]):
        yield "I20 slots"
    if template != session["current_template_id"]:
        yield "I20 template"
    straight = all((t["parent_seq"] or 0) == t["seq"] - 1 for t in turns)
    if not session.get("branched", True) and not straight:
        yield "I20 called straight"


def cost_of(content: Content) -> int:
    """What a session's ledger entry says that it has cost."""
    return sum(int(entry["cost_micros"]) for entry in content["session_ledger"])


def told_faults(row: Row, content: Content, told: Told) -> Iterator[str]:
    """What callers were told of costs, owner and head, and is not so."""
    if row["forked_from"] is None:
        yield from step_faults(content, told)
    charged = [t for t in told.turns.values() if t.get("cost")]
    names = {turn["external_id"] for turn in content["turns"]}
    turns = TURN_COST * sum(
        1 for name, t in told.turns.items() if t.get("cost") and name in names
    )
    cost = cost_of(content) - turns
    sure, tried = (CHARGE * times for times in told.charges)
    if (charged or tried) and not sure <= cost <= tried:
        yield f"I19 cost {cost} not within {sure} and {tried}"
    if row["state"] in ("active", "archived") and told.users | {None} != {None}:
        # Who begins one anew without saying whose it is has one that is nobody's.
        owned = told.owner is not None and not told.renewing
        if owned and row["user_id"] != told.owner:
            yield f"I21 owner {told.owner}"
        if row["user_id"] not in told.users | {None}:
            yield f"I21 owner {row['user_id']}"
    yield from _head_faults(content["interactions"], told)
    for name, turn in ((turn["external_id"], turn) for turn in content["turns"]):
        parent = told.turns.get(name, {}).get("parent")
        if parent is not None and (turn["parent_seq"] or 0) != parent:
            yield f"I20 {name} follows another turn"


def _head_faults(acts: list[Row], told: Told) -> Iterator[str]:
    by_code = [act for act in acts if act["external_id"] is None]
    found = Counter((act["action"], act["turn_seq"]) for act in by_code)
    for (action, seq), times in told.moves.items():
        if found[action, seq] < times:
            yield f"I1 {action} of {seq} lost"
    for action, times in Counter(act["action"] for act in by_code).items():
        if action not in _BY_CODE or times > told.moves_tried[action]:
            yield f"I15 nobody did {action}"


def payload_in(turn: Row) -> bytes | None:
    """The payload as a column holds it, or as a document does."""
    payload = turn.get("payload")
    if isinstance(payload, str):
        return payload.encode()
    if isinstance(payload, dict):
        return base64.b64decode(payload["base64"])
    return payload


def fork_faults(
    sessions: list[Row], contents: dict[tuple[str, str], Content]
) -> Iterator[str]:
    """Forks that do not begin with what their source said."""
    rows = {(row["tenant_id"], row["session_id"]): row for row in sessions}
    for key, row in rows.items():
        if row["forked_from"] is None or key not in contents:
            continue
        name, count = " ".join(reversed(key)), row["forked_turns"]
        copies = [t for t in contents[key]["turns"] if t["seq"] <= count]
        copies.sort(key=lambda turn: turn["seq"])
        if [(t["parent_seq"] or 0) + 1 for t in copies] != list(range(1, count + 1)):
            yield f"I24 the beginning of {name} is not straight"
        origin = key[0], row["forked_from"]
        source = rows.get(origin)
        if source is None:
            yield f"I24 {name} comes from nowhere"
        elif source["state"] != "erased":
            root = source["root_session_id"] or origin[1]
            if row["root_session_id"] != root:
                yield f"I24 root of {name}"
        if origin in contents:
            path = _path(contents[origin]["turns"], row["forked_at_seq"])
            if list(map(_said, copies)) != list(map(_said, path)):
                yield f"I24 {name} says something else than its source"


def step_faults(content: Content, told: Told) -> Iterator[str]:
    """Turns without what came with them, and the other way round."""
    steps = {
        turn["external_id"]: turn["content"]
        for turn in content["turns"]
        if told.turns.get(turn["external_id"], {}).get("step")
    }
    states = {s["name"]: decoded(s["state"]) for s in content["session_state"]}
    items = {
        item["key"]: decoded(item["value"])["said"]
        for item in content["session_items"]
        if item["namespace"] == "adk"
    }
    if states.get("adk", {}) != steps:
        yield "I26 state of another step"
    if items != steps:
        yield "I26 items of another step"


def _path(turns: list[Row], seq: int | None) -> list[Row]:
    by_seq = {turn["seq"]: turn for turn in turns}
    path = []
    while seq in by_seq:
        path.append(by_seq[seq])
        seq = by_seq[seq]["parent_seq"]
    return path[::-1]


def _said(turn: Row) -> tuple[Any, ...]:
    named = (turn[name] for name in ("role", "content", "external_id"))
    return *named, decoded(turn["slots"]), payload_in(turn), turn.get("payload_format")


def total_faults(
    rows: dict[str, list[Row]], contents: dict[tuple[str, str], Content]
) -> Iterator[str]:
    """Totals that say less than the sessions of their user."""
    spent: Counter[tuple[str, str]] = Counter()
    for row in rows["sessions"]:
        key = row["tenant_id"], row["session_id"]
        if row["state"] in ("active", "archived") and key in contents:
            spent[key[0], row["user_id"] or ""] += cost_of(contents[key])
    totals = _totals(rows)
    for owner, micros in spent.items():
        if totals[owner] < micros:
            yield f"I19 total of {owner}: {totals[owner]} is less than {micros}"


def _totals(rows: dict[str, list[Row]]) -> Counter[tuple[str, str]]:
    totals: Counter[tuple[str, str]] = Counter()
    for row in rows["cost_totals"]:
        totals[row["tenant_id"], row["user_id"]] += row["cost_micros"]
    return totals


def spent_faults(rows: dict[str, list[Row]], history: History) -> Iterator[str]:
    """Tenants whose total is not what was charged to their sessions, ever."""
    low: Counter[str] = Counter()
    high: Counter[str] = Counter()
    for (tenant, _), told in history.sessions.items():
        low[tenant] += CHARGE * told.charges[0]
        high[tenant] += CHARGE * told.charges[1]
        for turn in told.turns.values():
            if turn.get("cost"):
                low[tenant] += TURN_COST * (turn["state"] == "acknowledged")
                high[tenant] += TURN_COST * (turn["state"] != "refused")
    found: Counter[str] = Counter()
    for (tenant, _), micros in _totals(rows).items():
        found[tenant] += micros
    days: Counter[str] = Counter()
    for row in rows["cost_days"]:
        days[row["tenant_id"]] += row["cost_micros"]
    for tenant, most in high.items():
        for what, micros in (("total", found[tenant]), ("days", days[tenant])):
            if most and not low[tenant] <= micros <= most:
                yield f"I19 {what} of {tenant}: {micros}, {low[tenant]} to {most}"


def half_faults(
    history: History, contents: dict[tuple[str, str], Content], absent: set[Any]
) -> Iterator[str]:
    """Writes of which a part is there and a part is not.

    `absent` are sessions that nobody has made; those that are gone tell nothing.
    """
    names = {
        (key, kind): {item["external_id"] for item in content[table]}
        for key, content in contents.items()
        for kind, table in TABLES.items()
    }
    for whole in history.wholes:
        there = [
            name in names.get((key, kind), ())
            for key, kind, name in whole
            if key in contents or key in absent
        ]
        if any(there) and not all(there):
            (key, _, name), *_ = whole
            yield f"I15 half of the call of {name}: {' '.join(key)}"


def items_said(
    key: tuple[str, str], content: dict[str, Any], outside: list[Row]
) -> dict[str, list[Row]]:
    """Items that the campaign's worker keeps in a session, and those outside that it
    keeps with them."""
    return {
        "kept": [
            {"external_id": one["key"], "content": decoded(one["value"])["said"]}
            for one in content["session_items"]
            if one["namespace"] == "kept"
        ],
        "outside": [
            {"external_id": one["key"]}
            for one in outside
            if (one["namespace"], one["tenant_id"]) == ("kept", key[0])
            if decoded(one["value"])["of"] == key[1]
        ],
    }


def checkpoints_said(content: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Each checkpoint by its id, with what the last element of its list says, or its
    value; nothing where a part of it is not there."""
    elements = {(e["log"], e["idx"]): e["data"] for e in content["checkpoint_logs"]}
    values = {v["hash"]: v["data"] for v in content["checkpoint_values"]}
    for row in content["checkpoints"]:
        channels = decoded(row["channels"])
        if "said" not in channels:
            continue  # of another than the campaign's worker
        where = channels["said"]
        stretches = where.get("list", ())
        places = [(log, i) for log, first, end in stretches for i in range(first, end)]
        if "list" not in where:
            said = values.get(where.get("value"), where.get("data", b""))
        else:
            whole = places and set(places) <= elements.keys()
            said = elements[places[-1]] if whole else b""
        if isinstance(said, dict):  # as a document has what is no text
            said = base64.b64decode(said["base64"])
        text = said if isinstance(said, str) else bytes(said).decode(errors="replace")
        yield {"external_id": row["checkpoint_id"], "content": text}


TABLES = {
    "turns": "turns",
    "acts": "interactions",
    "graphs": "graph_states",
    "checkpoints": "said",
    "items": "kept",
    "outside": "outside",
}
