"""The invariants of attachments, checked from outside: I28."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator
from typing import Any

Row = dict[str, Any]
Key = tuple[str, str]

_NAME = re.compile(r"attachment:sha256:([0-9a-f]{64})")


def attachment_faults(
    rows: dict[str, list[Row]],
    sessions: dict[Key, Row],
    contents: dict[Key, dict[str, Any]],
) -> Iterator[str]:
    """What is wrong with the bytes, and with who is noted to name them."""
    kept = set()
    for row in rows["attachments"]:
        place = row["tenant_id"], row["hash"]
        kept.add(place)
        if hashlib.sha256(row["data"]).hexdigest() != row["hash"]:
            yield f"I28 not what it is named after: {place}"
    noted: dict[Key, set[str]] = {}
    for row in rows["session_attachments"]:
        key = row["tenant_id"], row["session_id"]
        noted.setdefault(key, set()).add(row["hash"])
        if (key[0], row["hash"]) not in kept:
            yield f"I28 noted and not kept: {row['hash']} of {key}"
        session = sessions[key]
        if session["state"] != "active" and session["segment_id"] is None:
            yield f"I28 noted of what is gone: {key}"
    for key, content in contents.items():
        named = set()
        for turn in content["turns"]:
            parts = turn["parts"]
            text = parts if isinstance(parts, str) else json.dumps(parts)
            named |= set(_NAME.findall(text))
        if named != noted.get(key, set()):
            yield f"I28 named and noted differ: {key}"
        archived = content.get("attachments")
        if archived is not None and {one["hash"] for one in archived} != named:
            yield f"I28 not in the archived copy: {key}"
