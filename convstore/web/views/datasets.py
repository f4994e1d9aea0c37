"""Data sets: what an export would have, row by row, and what it leaves out and why."""

from __future__ import annotations

from typing import Any

from convstore.vocabulary.records import Json
from convstore.web.views.plots import bars
from convstore.web.views.reasons import REASONS
from convstore.web.views.written import written
from convstore.web.visit import View, Visit

LIMIT = 20
_LAST = 1
"""Messages of a field that are shown at once."""
MOST_SESSIONS = 200
FORMATS = (
    "preference kto messages prompt-completion reward prompt stepwise openai-sft "
    "openai-dpo sharegpt sharegpt-dpo sharegpt-kto axolotl-dpo"
).split()


async def show(visit: Visit) -> View:
    """The page."""
    name = visit.query.get("format", FORMATS[0])
    user = visit.query.get("user")
    seen = await visit.store.preview(
        name, user_id=user, limit=LIMIT, max_sessions=MOST_SESSIONS
    )
    visit.seen.extend(dict.fromkeys(row.session_id for row in seen.rows))
    sets = await written(visit)
    shown: dict[str, Any] = {
        "formats": FORMATS,
        "format": name,
        "user": user,
        "seen": seen,
        "reasons": REASONS,
        "splits": bars(seen.splits),
        "rules": bars(seen.rules),
        "lengths": bars({n: k for n, k in seen.lengths.items() if k}),
        "left_out": bars(
            dict(sorted(seen.left_out.items(), key=lambda one: (-one[1], one[0])))
        ),
        "warnings": seen.warnings if seen.row_count else (),
        "written": sets,
        "may_write": visit.data_sets is not None and visit.may("operator"),
        "rows": [
            {
                "row": row,
                "fields": list(_fields(row.row)),
                "url": visit.url(
                    "/conversation",
                    id=row.session_id,
                    at=row.turn_seqs[0] if row.turn_seqs else None,
                )
                + (f"#turn-{row.turn_seqs[0]}" if row.turn_seqs else ""),
            }
            for row in seen.rows
        ],
    }
    json = {"preview": seen, "written": [one["set"] for one in sets]}
    return View("datasets.html", "Data sets", shown, json, "/datasets")


_GOOD = ("chosen", "preferred_output", "completion")
_BAD = ("rejected", "non_preferred_output")


def _fields(row: dict[str, Json]) -> list[dict[str, Any]]:
    """A row's fields as they are shown: messages as talk, the rest as it is."""
    label = row.get("label")
    found = []
    for name, value in row.items():
        if name == "convstore" or value is None:
            continue
        kind = "good" if name in _GOOD else "bad" if name in _BAD else "plain"
        if name == "completion" and label is False:
            kind = "bad"
        lines = _lines(value)
        # What was said last decides; the rest of a long talk is there at a click.
        known = len(lines) - _LAST if name != "steps" else 0
        found.append(
            {
                "name": name,
                "kind": kind,
                "earlier": lines[: max(0, known)],
                "lines": lines[max(0, known) :],
            }
        )
    return found


def _lines(value: Json) -> list[tuple[str, str]]:
    """Who says what; a value that is no talk has nobody who says it."""
    if isinstance(value, dict) and isinstance(value.get("messages"), list):
        value = value["messages"]
    if not isinstance(value, list) or not all(isinstance(m, dict) for m in value):
        return [("", _short(value))]
    lines = []
    for message in value:
        said = message.get("content", message.get("value"))
        rest = {
            key: one
            for key, one in message.items()
            if key not in ("role", "from", "content", "value") and one is not None
        }
        who = str(message.get("role", message.get("from", "")))
        if said:
            lines.append((who, _short(said)))
        if rest:
            lines.append((who, _short(rest)))
    return lines


def _short(value: Json, most: int = 1_200) -> str:
    text = value if isinstance(value, str) else _json(value)
    return text if len(text) <= most else f"{text[:most]}…"


def _json(value: Json) -> str:
    from convstore.vocabulary.codec import dumps

    return dumps(value).decode()
