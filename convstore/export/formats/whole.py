"""Formats of a whole session: OASST trees, the RLHF record, our own line. Pure."""

from __future__ import annotations

import re
from dataclasses import replace

from convstore.export.example import Dropped, Example
from convstore.export.formats.base import Column, Format
from convstore.vocabulary.codec import bytes_to_json
from convstore.vocabulary.documents import spelled
from convstore.vocabulary.feedback import in_force
from convstore.vocabulary.records import (
    Interaction,
    Json,
    JsonObject,
    SessionDocument,
    Turn,
)

_ABSENT = (
    "user_id review_count review_result rank model_name emojis labels events "
    "detoxify message_tree_id tree_state"
).split()
_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)
_ROLES = {"user": "prompter", "human": "prompter", "prompter": "prompter"}


def _oasst(row: Example) -> JsonObject:
    document = _document(row)
    kept = set(row.origin.turn_ids)
    turns = {turn.seq: turn for turn in document.turns if turn.seq in kept}
    root = turns[row.origin.turn_ids[0]]
    acts = in_force(document.interactions)
    nodes = {
        seq: _node(turns[seq], _said_until(turns, turns[seq]), document, acts)
        for seq in _ends_of_messages(turns)
    }
    for seq, node in nodes.items():
        parent = nodes.get(_first_of_message(turns, turns[seq]).parent_seq or 0)
        if seq != root.seq and parent is not None:
            node["parent_id"] = parent["message_id"]
            parent["replies"].append(node)
    won = _standing(acts)
    for node in nodes.values():
        _rank(node["replies"], won)
    for node in nodes.values():
        del node["_seq"]
    tree = nodes[root.seq]
    return {
        "message_tree_id": tree["message_id"],
        "tree_state": "ready_for_export",
        "origin": document.session.id,
        "prompt": tree,
    }


def _document(row: Example) -> SessionDocument:
    if row.document is None:
        raise TypeError(f"a row of kind {row.kind} holds no document")
    return row.document


def _speaker(turn: Turn) -> str:
    return _ROLES.get(turn.role, "assistant")


def _first_of_message(turns: dict[int, Turn], turn: Turn) -> Turn:
    """The first turn of the message that a turn is a part of: models speak in many."""
    before = turns.get(turn.parent_seq or 0)
    while before is not None and _speaker(before) == _speaker(turn) == "assistant":
        turn, before = before, turns.get(before.parent_seq or 0)
    return turn


def _said_until(turns: dict[int, Turn], turn: Turn) -> str:
    """The text of a message up to one of its turns."""
    first, texts = _first_of_message(turns, turn), [turn.content or ""]
    while turn is not first:
        turn = turns[turn.parent_seq or 0]
        texts.insert(0, turn.content or "")
    return "\n\n".join(text for text in texts if text)


def _ends_of_messages(turns: dict[int, Turn]) -> list[int]:
    """The turns with which a message ends, on one branch at least."""
    below: dict[int | None, set[str]] = {}
    for turn in turns.values():
        below.setdefault(turn.parent_seq, set()).add(_speaker(turn))
    # A model's turn that only its own go on from is the beginning of theirs.
    return [
        seq
        for seq, turn in turns.items()
        if _speaker(turn) != "assistant" or below.get(seq) != {"assistant"}
    ]


def _node(
    turn: Turn, text: str, document: SessionDocument, acts: tuple[Interaction, ...]
) -> Json:
    node: JsonObject = {
        "message_id": _message_id(turn, document.session.id),
        "parent_id": None,
        "created_date": turn.created_at.isoformat(),
        "text": text,
        "role": _speaker(turn),
        "lang": turn.language or document.session.language,
        "deleted": False,
        "synthetic": bool(turn.model),
        "replies": [],
        **dict.fromkeys(_ABSENT),
        "model_name": turn.model,
        "_seq": turn.seq,
    }
    here = [act for act in acts if act.turn_seq == turn.seq]
    thumbs = {
        "+1": sum(act.feedback in ("thumbs_up", "correct") for act in here),
        "-1": sum(act.feedback in ("thumbs_down", "incorrect") for act in here),
    }
    if any(thumbs.values()):
        node["emojis"] = {name: count for name, count in thumbs.items() if count}
    scores = [act.score for act in here if act.score is not None]
    if scores:
        # As text: the JSON reader of datasets changes the last digits of numbers.
        rated = [
            {"type": "rating", "user_id": None, "rating": f"{s:g}"} for s in scores
        ]
        node["events"] = {"rating": rated}
    return node


def _message_id(turn: Turn, session_id: str) -> str:
    """The external id if it is unique in the world, else session and number."""
    if turn.external_id is not None and _UUID.fullmatch(turn.external_id):
        return turn.external_id
    return f"{session_id}/{turn.seq}"


def _standing(acts: tuple[Interaction, ...]) -> dict[int, int]:
    """Choices won less choices lost, by turn."""
    won: dict[int, int] = {}
    for act in acts:
        if act.choice is None or act.choice.chosen is None:
            continue
        won[act.choice.chosen] = won.get(act.choice.chosen, 0) + len(
            act.choice.rejected
        )
        for seq in act.choice.rejected:
            won[seq] = won.get(seq, 0) - 1
    return won


def _rank(replies: list[JsonObject], won: dict[int, int]) -> None:
    """Rank siblings that were compared: 0 is the best."""
    compared = [node for node in replies if node["_seq"] in won]
    best_first = sorted(compared, key=lambda node: (-won[node["_seq"]], node["_seq"]))
    for rank, node in enumerate(best_first):
        node["rank"] = rank


def _unreported(row: Example) -> Example | Dropped:
    """What was reported goes nowhere, and a session is told whole or not at all."""
    return Dropped("reported", fault=False) if row.silent else row


def _rlhf_json(row: Example) -> JsonObject:
    document = _document(row)
    session = document.session
    states: dict[str, Json] = {
        state.namespace: state for state in document.graph_states
    }
    return {
        "session_id": session.id,
        "created_at": session.created_at.isoformat(),
        "updated_at": session.updated_at.isoformat(),
        "language": session.language or "",
        "chat_history": [_said(turn, row.payloads) for turn in document.turns],
        "interactions": [_act(act) for act in document.interactions],
        "feedback_summary": _summary(document),
        "graph_state": {name: state.state for name, state in states.items()},
        "metadata": session.metadata,
    }


def _said(turn: Turn, payloads: bool) -> JsonObject:
    kept = {}
    if payloads and turn.payload is not None:
        payload = bytes_to_json(turn.payload)
        kept = {"payload": payload, "payload_format": turn.payload_format}
    return {
        "seq": turn.seq,
        "parent_seq": turn.parent_seq,
        "role": turn.role,
        "content": turn.content,
        "timestamp": turn.created_at.isoformat(),
        "language": turn.language,
        **kept,
    }


def _act(act: Interaction) -> JsonObject:
    choice = act.choice
    return {
        "seq": act.seq,
        "timestamp": act.created_at.isoformat(),
        "action_type": act.action,
        "turn_seq": act.turn_seq,
        "node_id": act.node_id,
        "choice": choice
        and {"chosen": choice.chosen, "rejected": list(choice.rejected)},
        "actor_id": act.actor_id,
        "actor_kind": act.actor_kind,
        "content": act.content,
        "feedback": act.feedback,
        "score": act.score,
        "reason": act.reason,
        "supersedes": act.supersedes,
        "metadata": act.metadata,
    }


def _summary(document: SessionDocument) -> JsonObject:
    by_label: dict[str, int] = {}
    for act in in_force(document.interactions):
        if act.feedback is not None:
            by_label[act.feedback] = by_label.get(act.feedback, 0) + 1
    return {"total": sum(by_label.values()), "by_label": dict(sorted(by_label.items()))}


def _convstore(row: Example) -> JsonObject:
    document = _document(row)
    # Where a session is kept is no part of it: live and archived give one line.
    session = replace(
        document.session,
        state="active",
        archived_at=None,
        segment_id=None,
        imported_at=None,
    )
    return spelled(replace(document, session=session))


OASST = Format(
    "oasst",
    "tree",
    "message trees of Open Assistant: all branches, ranks and reactions",
    (
        Column("message_tree_id", "string"),
        Column("tree_state", "string"),
        Column("origin", "string"),
        Column("prompt", "json"),
    ),
    _oasst,
    provenance="sidecar",
    parquet=False,
    tags=("oasst", "trees"),
)
RLHF_JSON = Format(
    "rlhf-json",
    "whole",
    "one object per session: turns, interactions, feedback summary, graph states",
    (
        Column("session_id", "string"),
        Column("created_at", "string"),
        Column("updated_at", "string"),
        Column("language", "string"),
        Column("chat_history", "messages"),
        Column("interactions", "messages"),
        Column("feedback_summary", "json"),
        Column("graph_state", "json"),
        Column("metadata", "json"),
    ),
    _rlhf_json,
    trim=_unreported,
    provenance="none",
    parquet=False,
    tags=("rlhf",),
)
CONVSTORE = Format(
    "convstore",
    "whole",
    "lossless session documents, to be imported again",
    (
        Column("format", "string"),
        Column("format_version", "int64"),
        Column("session", "json"),
        Column("turns", "messages"),
        Column("tool_sets", "json"),
        Column("interactions", "messages"),
        Column("graph_states", "messages"),
        Column("ledger", "json"),
        Column("holds", "messages"),
        Column("adapter_state", "json"),
        Column("items", "messages"),
        Column("checkpoints", "json"),
        Column("attachments", "messages"),
    ),
    _convstore,
    provenance="none",
    consent=False,
    parquet=False,
    tags=("convstore",),
    notes="A copy, not training data: consent is not asked and nothing is dropped.",
)
