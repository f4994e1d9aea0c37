"""Whom archived copies name: noted so that an erasure finds them, and nobody erased."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import zstandard

Key = tuple[str, str]
Row = dict[str, Any]


def copies(archive: Path, segments: list[Row]) -> dict[tuple[str, Key], set[str]]:
    """Whom the copy of a session in a segment names, of those that are kept."""
    found: dict[tuple[str, Key], set[str]] = {}
    for segment in segments:
        path = archive / segment["key"]
        if segment["state"] in ("sealed", "quarantined") and path.exists():
            for document in _documents(path):
                session = document["session"]
                key = session["tenant_id"], session["id"]
                found[segment["segment_id"], key] = _named(document)
    return found


def _documents(path: Path) -> Iterator[dict[str, Any]]:
    with path.open("rb") as file:
        stream = zstandard.ZstdDecompressor().stream_reader(
            file, read_across_frames=True
        )
        try:
            lines = stream.read().splitlines()
        except zstandard.ZstdError:
            return  # damage is found by its checksum
        for line in lines:
            yield json.loads(line)


def _named(document: dict[str, Any]) -> set[str]:
    named = {act["actor_id"] for act in document["interactions"]}
    for hold in document["holds"]:
        named |= {hold["placed_by"], hold["released_by"]}
    return named - {None}


def noted_faults(
    rows: dict[str, list[Row]], found: dict[tuple[str, Key], set[str]]
) -> Iterator[str]:
    """I31: whom a copy names that was looked through, and is not noted."""
    noted: dict[Key, set[str]] = defaultdict(set)
    for row in rows["archived_actors"]:
        noted[row["tenant_id"], row["session_id"]].add(row["actor_id"])
    for entry in rows["archive_entries"]:
        key = entry["tenant_id"], entry["session_id"]
        named = found.get((entry["segment_id"], key), set())
        if entry["actors_noted"] and not named <= noted[key]:
            yield f"I31 a copy names, and nobody noted: {' '.join(key)}"


def named_in_copies(
    found: dict[tuple[str, Key], set[str]], tenant: str, user: str
) -> Iterator[str]:
    """I10: the copies that name a user."""
    for (segment_id, key), named in found.items():
        if key[0] == tenant and user in named:
            yield f"I10 user in a copy of: {key[1]} in {segment_id}"
