"""What a worker was told to do and what was acknowledged, in a file that outlives it.

A line is written before each operation (`try`) and after it (`ok`, `no` when it was
refused). One `write` call a line: a killed process leaves whole lines, but for the
last one.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator
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


@dataclass
class Told:
    """What the logs say of one session."""

    turns: dict[str, dict[str, Any]] = field(default_factory=dict)
    acts: dict[str, dict[str, Any]] = field(default_factory=dict)
    graphs: dict[str, dict[str, Any]] = field(default_factory=dict)
    destroy_tried: bool = False
    destroyed_at: int = 0
    erased: bool = False
    deleted: bool = False
    held: bool = False
    open: dict[str, str] = field(default_factory=dict)


@dataclass
class History:
    """The logs, by session, and what went wrong in the workers themselves."""

    sessions: dict[Key, Told] = field(default_factory=dict)
    errors: list[str] = field(default_factory=list)
    acknowledged: int = 0
    steps: set[str] = field(default_factory=set)
    open_writes: list[dict[str, Any]] = field(default_factory=list)
    # Tenant and id of users who were erased and have done nothing since.
    erased_users: set[Key] = field(default_factory=set)


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
        elif kind == "step":
            history.steps.add(line["step"])
        elif kind == "error":
            history.errors.append(line["text"])
        elif kind == "try":
            waiting[line["id"]] = line
            _tried(history, line)
        elif kind in ("ok", "no"):
            tried = waiting.pop(line["id"], None)
            if tried is not None and kind == "ok":
                history.acknowledged += 1
                _done(history, tried, line)
            elif tried is not None:
                _refused(history, tried)
    history.open_writes = [w for w in waiting.values() if w["op"] in WRITES]
    return history


WRITES = {"append": "turns", "feedback": "acts", "graph": "graphs"}


def _told(history: History, line: dict[str, Any], session_id: str) -> Told:
    return history.sessions.setdefault((line["tenant"], session_id), Told())


def _tried(history: History, line: dict[str, Any]) -> None:
    op = line["op"]
    if op not in ("erase", "recover", "retention"):
        history.erased_users.discard((line["tenant"], line.get("user", "")))
    for session_id in line.get("sessions", [line["s"]]):
        told = _told(history, line, session_id)
        told.open[line["id"]] = op
        if op in WRITES:
            kept = getattr(told, WRITES[op])
            for name in line["names"]:
                kept.setdefault(name, {"state": "tried"})
        elif op in ("erase", "destroy"):
            told.destroy_tried = True
        elif op == "restore":
            told.deleted = False
        elif op == "release":
            told.held = False


def _done(history: History, tried: dict[str, Any], line: dict[str, Any]) -> None:
    op, answer = tried["op"], line.get("answer")
    if op == "erase" and "user" in tried:
        _erased_user(history, tried)
    for session_id in tried.get("sessions", [tried["s"]]):
        told = _told(history, tried, session_id)
        told.open.pop(tried["id"], None)
        if op in WRITES:
            if told.destroyed_at and tried["at"] > told.destroyed_at:
                history.errors.append(f"{op} accepted after the end of {session_id}")
            _acknowledged(history, getattr(told, WRITES[op]), tried["names"], answer)
        elif op == "destroy" or (op == "erase" and session_id in answer):
            told.destroyed_at = line["at"]
            told.erased = told.erased or op == "erase"
        # What is under way at the same time may come after: then nothing is known.
        elif op == "delete":
            told.deleted = "restore" not in told.open.values()
        elif op == "hold":
            told.held = not told.destroy_tried and "release" not in told.open.values()


def _erased_user(history: History, tried: dict[str, Any]) -> None:
    """What the user does at the same time may come after: then nothing is known."""
    busy = [
        told
        for (tenant, session_id), told in history.sessions.items()
        if tenant == tried["tenant"] and session_id in tried["sessions"]
        if set(told.open.values()) & {*WRITES, "charge"}
    ]
    if not busy:
        history.erased_users.add((tried["tenant"], tried["user"]))


def _acknowledged(
    history: History,
    kept: dict[str, dict[str, Any]],
    names: list[str],
    numbers: list[int],
) -> None:
    for name, number in zip(names, numbers, strict=True):
        before = kept[name].get("number", number)
        if before != number:
            history.errors.append(f"{name} was number {before}, and then {number}")
        kept[name] = {"state": "acknowledged", "number": number}


def _refused(history: History, tried: dict[str, Any]) -> None:
    """A refusal has changed nothing: what was only tried here must not be there."""
    op = tried["op"]
    for session_id in tried.get("sessions", [tried["s"]]):
        told = _told(history, tried, session_id)
        told.open.pop(tried["id"], None)
        for name in tried["names"] if op in WRITES else ():
            kept = getattr(told, WRITES[op])
            if kept[name]["state"] == "tried" and not tried.get("again"):
                kept[name] = {"state": "refused"}
