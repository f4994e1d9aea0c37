"""What a worker was told to do and what was acknowledged, in a file that outlives it.

A line is written before each operation (`try`) and after it (`ok`, `no` when it was
refused). One `write` call a line: a killed process leaves whole lines, but for the
last one.
"""

from __future__ import annotations

import json
import os
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any


class OpLog:
    """One worker's log, appended to."""

    def __init__(self, path: Path) -> None:
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)

    def write(self, kind: str, **fields: Any) -> None:
        line = json.dumps({"at": time.monotonic_ns(), "kind": kind, **fields})
        os.write(self._file, line.encode() + b"\n")


def read_logs(folder: Path) -> list[dict[str, Any]]:
    """The lines of every log of a folder in the order of time."""
    lines = [line for path in sorted(folder.glob("*.log")) for line in _lines(path)]
    return sorted(lines, key=lambda line: line["at"])


def _lines(path: Path) -> Iterator[dict[str, Any]]:
    for line in path.read_bytes().split(b"\n")[:-1]:
        yield json.loads(line)


Key = tuple[str, str]
GONE = {"state": "gone"}
Kept = dict[str, dict[str, list[str]]]
"""Names by session and kind."""

KINDS = {
    "append": "turns",
    "feedback": "acts",
    "graph": "graphs",
    "checkpoint": "checkpoints",
}
WRITES = (*KINDS, "judge", "import", "keep")
"""Operations whose names are to be found afterwards."""
SPEAKING = (*WRITES, "charge")
"""Those that may make a session, and so name its user."""
OWN = 10
"""Slot of sessions that one task alone writes to."""
UNIT = 3
"""Turns that a conversation in a file grows by."""
CHARGE = 1
"""Micros of one charge by itself."""
TURN_COST = 1_000_000
"""Micros of a turn that is charged: no number of charges comes to as much."""


@dataclass
class Told:
    """What the logs say of one session.

    Attributes:
        charges: Costs by themselves, acknowledged and tried.
        moves: How often the head was surely taken off a turn, by action and turn.
        moves_tried: How often it may have been, by action.
        users: Who may own it.
        owner: Who was told so.
        forked: Turns that it began with, of a fork that was acknowledged.
        wiped: An erasure said that no segment holds a copy any more.
        generation: How often it was begun, as far as that was acknowledged.
        renewing: It may have been begun once more; then without what is in `before`.
    """

    turns: dict[str, dict[str, Any]] = field(default_factory=dict)
    acts: dict[str, dict[str, Any]] = field(default_factory=dict)
    graphs: dict[str, dict[str, Any]] = field(default_factory=dict)
    checkpoints: dict[str, dict[str, Any]] = field(default_factory=dict)
    items: dict[str, dict[str, Any]] = field(default_factory=dict)
    outside: dict[str, dict[str, Any]] = field(default_factory=dict)
    charges: list[int] = field(default_factory=lambda: [0, 0])
    moves: Counter[tuple[str, int]] = field(default_factory=Counter)
    moves_tried: Counter[str] = field(default_factory=Counter)
    users: set[str] = field(default_factory=set)
    owner: str | None = None
    forked: int | None = None
    destroy_tried: bool = False
    destroyed_at: int = 0
    erased: bool = False
    wiped: bool = False
    deleted: bool = False
    held: bool = False
    generation: int = 1
    renewing: bool = False
    before: set[str] = field(default_factory=set)
    open: dict[str, str] = field(default_factory=dict)

    def begin_anew(self) -> None:
        """It was deleted, and has nothing; what is on its way may still come."""
        self.generation, self.renewing, self.deleted = self.generation + 1, False, False
        self.owner = None  # until the next one claims it
        for kind in (self.turns, self.acts, self.graphs, self.checkpoints, self.items):
            for name in [n for n, one in kind.items() if one["state"] != "tried"]:
                del kind[name]


@dataclass
class History:
    """The logs, by session, and what went wrong in the workers themselves."""

    sessions: dict[Key, Told] = field(default_factory=dict)
    errors: list[str] = field(default_factory=list)
    acknowledged: int = 0
    done: Counter[str] = field(default_factory=Counter)
    steps: set[str] = field(default_factory=set)
    open_writes: list[dict[str, Any]] = field(default_factory=list)
    # Tenant and id of users who were erased and have done nothing since.
    erased_users: set[Key] = field(default_factory=set)
    # How often each user was said to do something in any session, and what of it has
    # no answer yet; and how often until an erasure of them was begun.
    acted: Counter[Key] = field(default_factory=Counter)
    acting: dict[str, set[Key]] = field(default_factory=dict)
    acted_before: dict[str, int] = field(default_factory=dict)
    # What is there as a whole or not at all: session, kind and name of each part.
    wholes: list[list[tuple[Key, str, str]]] = field(default_factory=list)


def read_history(folder: Path) -> History:
    """Fold the logs of a folder into what must be true now."""
    history = History()
    waiting: dict[str, dict[str, Any]] = {}
    for line in read_logs(folder):
        kind = line["kind"]
        if kind == "round":
            # Whoever was at work is dead: what it did came before what follows.
            for told in history.sessions.values():
                told.open.clear()
            history.acting.clear()
        elif kind == "step":
            history.steps.add(line["step"])
        elif kind == "error":
            history.errors.append(line["text"])
        elif kind == "try":
            waiting[line["id"]] = line
            _tried(history, line)
        elif kind in ("ok", "no"):
            history.acting.pop(line["id"], None)
            tried = waiting.pop(line["id"], None)
            if tried is not None and kind == "ok":
                history.acknowledged += 1
                history.done[tried["op"]] += 1
                _done(history, tried, line)
            elif tried is not None:
                _refused(history, tried)
    history.open_writes = list(_open_writes(history, waiting.values()))
    return history


def _open_writes(
    history: History, unanswered: Iterable[dict[str, Any]]
) -> Iterator[dict[str, Any]]:
    """Those of which it is not known what became, each once: a write that was repeated
    and answered since is not open any more."""
    seen = set()
    for line in unanswered:
        kept = _kept(line)
        told = json.dumps([line["tenant"], kept], sort_keys=True)
        open_ = any(
            getattr(_told(history, line, session_id), kind).get(name, GONE)["state"]
            == "tried"
            for session_id, kinds in kept.items()
            for kind, names in kinds.items()
            for name in names
        )
        if line["op"] in WRITES and open_ and told not in seen:
            seen.add(told)
            yield line


def _told(history: History, line: dict[str, Any], session_id: str) -> Told:
    return history.sessions.setdefault((line["tenant"], session_id), Told())


def _kept(line: dict[str, Any]) -> Kept:
    """What a write is to leave behind."""
    if line["op"] in KINDS:
        return {line["s"]: {KINDS[line["op"]]: line["names"]}}
    kept: Kept = line.get("kept", {})
    return kept


def _sessions(line: dict[str, Any]) -> list[str]:
    """The sessions that an operation is about."""
    return list(line.get("sessions") or _kept(line) or [line["s"]])


def _wholes(line: dict[str, Any]) -> Iterator[list[tuple[Key, str, str]]]:
    """A file is taken in by units; anything else is one."""
    units: dict[int, list[tuple[Key, str, str]]] = {}
    for session_id, kinds in _kept(line).items():
        key = line["tenant"], session_id
        for kind, names in kinds.items():
            for place, name in enumerate(names):
                unit = 0
                if line["op"] == "import":
                    in_unit = place // UNIT if kind == "turns" else place
                    unit = 1_000 * slot_of(session_id) + in_unit
                units.setdefault(unit, []).append((key, kind, name))
    yield from (unit for unit in units.values() if len(unit) > 1)


def _gone_at_once(line: dict[str, Any]) -> Iterator[list[tuple[Key, str, str]]]:
    key = line["tenant"], line["s"]
    gone = [
        (key, kind, n) for kind, names in line.get("gone", {}).items() for n in names
    ]
    if len(gone) > 1:
        yield gone


def slot_of(session_id: str) -> int:
    return int(session_id[1:].partition(".")[0])


def _tried(history: History, line: dict[str, Any]) -> None:
    op = line["op"]
    _tried_by(history, line)
    if not line.get("again"):
        history.wholes += [*_wholes(line), *_gone_at_once(line)]
    args = line.get("args", {})
    cost, step = args.get("charge", False), args.get("step", False)
    for session_id, kinds in _kept(line).items():
        told = _told(history, line, session_id)
        for kind, names in kinds.items():
            kept = getattr(told, kind)
            for name in names:
                kept.setdefault(name, {"state": "tried", "cost": cost})
                if step:
                    kept[name]["step"] = True
    for session_id in _sessions(line):
        told = _told(history, line, session_id)
        told.open[line["id"]] = "erase_user" if "user" in line else op
        if user := line.get("users", {}).get(session_id):
            told.users.add(user)
        _tried_one(told, op, line)


def _tried_by(history: History, line: dict[str, Any]) -> None:
    """Who is there again, and does something."""
    owners = {user for user in line.get("users", {}).values() if user}
    if there := {(line["tenant"], user) for user in owners | _actors(line)}:
        history.erased_users -= there
        history.acted.update(there)
        history.acting[line["id"]] = there
    if line["op"] == "erase" and "user" in line:
        erased = line["tenant"], line["user"]
        history.acted_before[line["id"]] = history.acted[erased]


def _actors(line: dict[str, Any]) -> set[str]:
    """Who is said to do something, in whoever's session."""
    acts = line.get("args", {}).get("acts", {})
    named = {act["actor_id"] for some in acts.values() for act in some.values()}
    return {actor for actor in (*named, line.get("actor")) if actor is not None}


def _tried_one(told: Told, op: str, line: dict[str, Any]) -> None:
    _mark(told, line, "leaving")
    if op in ("erase", "destroy"):
        told.destroy_tried = True
    elif op == "restore":
        told.deleted = False
    elif op == "release":
        told.held = False
    elif op == "renew":
        told.renewing, told.deleted = True, False
        kept = told.turns.items()
        told.before = {name for name, one in kept if one["state"] == "acknowledged"}
    elif op == "charge":
        told.charges[1] += 1
    elif action := _action(line):
        told.moves_tried[action] += 1


def _mark(told: Told, line: dict[str, Any], state: str) -> None:
    """What becomes of what an operation takes away."""
    for kind, names in line.get("gone", {}).items():
        for name in names:
            getattr(told, kind)[name]["state"] = state


def _action(line: dict[str, Any]) -> str | None:
    """What code says of a turn that it takes the head off."""
    if line["op"] == "pop":
        return "pop"
    action: str | None = None
    if line["op"] == "switch":
        action = line["args"]["action"]
    return action


def _done(history: History, tried: dict[str, Any], line: dict[str, Any]) -> None:
    op, answer = tried["op"], line.get("answer")
    if op == "erase" and "user" in tried:
        _erased_user(history, tried)
    for session_id in _sessions(tried):
        told = _told(history, tried, session_id)
        told.open.pop(tried["id"], None)
        _mark(told, tried, "gone")
        if op in SPEAKING and answer != {}:
            if told.destroyed_at and tried["at"] > told.destroyed_at:
                history.errors.append(f"{op} accepted after the end of {session_id}")
            _owned(history, told, tried, session_id)
        if op in ("pop", "switch"):
            _moved(told, tried, answer)
        elif op == "charge":
            told.charges[0] += 1
        elif op == "fork":
            told.forked = answer
        elif op == "destroy" or (op == "erase" and session_id in answer["sessions"]):
            told.destroyed_at = line["at"]
            told.erased = told.erased or op == "erase"
            told.wiped = told.wiped or (op == "erase" and answer["done"])
        else:
            _done_one(told, op, answer)
    _wrote(history, tried, answer)


def _done_one(told: Told, op: str, answer: Any) -> None:
    # What is under way at the same time may come after: then nothing is known.
    if op == "delete":
        told.deleted = "restore" not in told.open.values()
    elif op == "renew" and answer:
        told.begin_anew()
    elif op == "renew":
        told.renewing = False
    elif op == "hold":
        told.held = not told.destroy_tried and "release" not in told.open.values()


def _wrote(history: History, tried: dict[str, Any], answer: Any) -> None:
    for session_id, kinds in _kept(tried).items():
        told = _told(history, tried, session_id)
        if tried["op"] in KINDS:
            _acknowledged(history, told, KINDS[tried["op"]], tried, answer)
            continue
        for kind, names in kinds.items():
            numbers = answer.get(session_id, {}).get(kind)
            if numbers is not None:
                _acknowledge(history, getattr(told, kind), names, numbers)


def _moved(told: Told, tried: dict[str, Any], answer: int | None) -> None:
    """Which turn the head was taken off, if that is known, and if off any."""
    action = _action(tried)
    if action is None:
        return
    left = answer or 0
    if tried["op"] == "switch":
        left = tried["args"]["expected"]
        if left is None:
            return  # whatever it was: it may have been the same
        if left == tried["args"]["to"]:
            left = 0
    if left == 0:
        told.moves_tried[action] -= 1
    else:
        told.moves[action, left] += 1


def _owned(
    history: History, told: Told, tried: dict[str, Any], session_id: str
) -> None:
    user = tried.get("users", {}).get(session_id)
    if user is None:
        return
    if told.owner not in (None, user):
        history.errors.append(f"{session_id} was {told.owner}'s, and then {user}'s")
    told.owner = user


def _erased_user(history: History, tried: dict[str, Any]) -> None:
    """What the user does at the same time may come after: then nothing is known.

    So may what another does that is about to erase the same user: it stores something
    for them first. And so may what was done since in their name in any session.
    """
    erased = tried["tenant"], tried["user"]
    acts = history.acted[erased] != history.acted_before[tried["id"]]
    if acts or any(erased in actors for actors in history.acting.values()):
        return
    busy = [
        told
        for (tenant, session_id), told in history.sessions.items()
        if tenant == tried["tenant"] and session_id in tried["sessions"]
        if {op for op_id, op in told.open.items() if op_id != tried["id"]}
        & {*SPEAKING, "fork", "erase_user"}
    ]
    if not busy:
        history.erased_users.add(erased)


def _acknowledged(
    history: History, told: Told, kind: str, tried: dict[str, Any], numbers: list[int]
) -> None:
    kept, names = getattr(told, kind), tried["names"]
    _acknowledge(history, kept, names, numbers)
    if kind != "turns":
        return
    args = tried.get("args", {})
    parent = args.get("expected") if args.get("parent") is None else args["parent"]
    for name, number in zip(names, numbers, strict=True):
        kept[name]["parent"] = parent
        parent = number


def _acknowledge(
    history: History,
    kept: dict[str, dict[str, Any]],
    names: list[str],
    numbers: Sequence[int | None],
) -> None:
    """None is a number that is not known."""
    for name, number in zip(names, numbers, strict=True):
        before = kept[name].get("number")
        if None not in (before, number) and before != number:
            history.errors.append(f"{name} was number {before}, and then {number}")
        number = before if number is None else number
        kept[name] |= {"state": "acknowledged", "number": number}


def _refused(history: History, tried: dict[str, Any]) -> None:
    """A refusal has changed nothing: what was only tried here must not be there."""
    op = tried["op"]
    for session_id in _sessions(tried):
        told = _told(history, tried, session_id)
        told.open.pop(tried["id"], None)
        _mark(told, tried, "acknowledged")
        if op == "charge":
            told.charges[1] -= 1
        elif op == "renew":
            told.renewing = False
        elif action := _action(tried):
            told.moves_tried[action] -= 1
    # A file may have been taken in by half, and names be those of an earlier file.
    if op == "import" or tried.get("again"):
        return
    for session_id, kinds in _kept(tried).items():
        for kind, names in kinds.items():
            kept = getattr(_told(history, tried, session_id), kind)
            for name in names:
                if kept[name]["state"] == "tried":
                    kept[name]["state"] = "refused"
