"""What reviewers said in an Open Assistant tree, as interactions.

They are counts and means over unnamed reviewers, so each kind is one interaction per
message, without an actor. The fields themselves stay in the turn's metadata.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

from convstore.imports.extras import external_id
from convstore.imports.fields import number_or_none
from convstore.imports.ranking import ranking
from convstore.vocabulary.records import InteractionInput, Json, JsonObject

_REPORTS = (("deleted", True, "deleted"), ("review_result", False, "failed review"))


def judgements(
    messages: Sequence[JsonObject], parents: Sequence[int | None]
) -> tuple[InteractionInput, ...]:
    """The interactions on the messages, which stand at `seq` 1 and on.

    * `rank`: among siblings, one for each with those that were ranked behind it.
    * `feedback`: `thumbs_up` or `thumbs_down` by the majority of `+1` and `-1`, the
      share of `+1` as the score; no label at a tie. All reactions are in `metadata`.
    * `label`: the mean labels in `metadata`, the one for quality (0 to 1) as the score.
    * `report`: the message was deleted, or did not pass its review.
    """
    acts: list[InteractionInput] = []
    ranked: defaultdict[int | None, list[tuple[int, int]]] = defaultdict(list)
    for seq, (message, parent) in enumerate(zip(messages, parents, strict=True), 1):
        rank = _rank(message)
        if rank is not None:
            ranked[parent].append((rank, seq))
        acts += _reactions(acts, seq, message)
        acts += _labels(acts, seq, message)
        for key, value, reason in _REPORTS:
            if message.get(key) is value:
                acts.append(_act(acts, seq, "report", reason=reason))
    for siblings in ranked.values():
        if len({rank for rank, _ in siblings}) == len(siblings):
            # Two with one rank are no order: nobody said which is better.
            order = [seq for _, seq in sorted(siblings)]
            acts += ranking(order, len(acts) + 1)
    return tuple(acts)


def best_first(
    messages: Sequence[JsonObject], parents: Sequence[int | None]
) -> int | None:
    """The tip of the branch with the best rank at every fork.

    Where a fork has no ranks, its first message. None when that is the last turn.
    """
    best: dict[int, int] = {}
    for seq, (message, parent) in enumerate(zip(messages, parents, strict=True), 1):
        rival = best.get(parent or 0)
        if rival is None or _order(message) < _order(messages[rival - 1]):
            best[parent or 0] = seq
    tip = best[0]
    while tip in best:
        tip = best[tip]
    return None if tip == len(messages) else tip


def _order(message: JsonObject) -> float:
    rank = _rank(message)
    return float("inf") if rank is None else rank


def _rank(message: JsonObject) -> int | None:
    rank = message.get("rank")
    return rank if type(rank) is int and rank >= 0 else None


def _reactions(
    acts: list[InteractionInput], seq: int, message: JsonObject
) -> list[InteractionInput]:
    counts = {
        name: count
        for name, count in _pairs(message.get("emojis"), "count")
        if type(count) is int
    }
    up, down = counts.get("+1", 0), counts.get("-1", 0)
    if up + down <= 0:
        return []
    feedback = None
    if up != down:
        feedback = "thumbs_up" if up > down else "thumbs_down"
    act = _act(
        acts,
        seq,
        "feedback",
        feedback=feedback,
        score=up / (up + down),
        metadata={"reactions": counts, "scale": [0, 1]},
    )
    return [act]


def _labels(
    acts: list[InteractionInput], seq: int, message: JsonObject
) -> list[InteractionInput]:
    labels = dict(_pairs(message.get("labels"), "value"))
    if not labels:
        return []
    score = number_or_none(labels.get("quality"))
    noted: JsonObject = {"labels": labels, "scale": [0, 1]}
    return [_act(acts, seq, "label", score=score, metadata=noted)]


def _pairs(given: Json, key: str) -> list[tuple[str, Json]]:
    """Names with values, of either shape: parallel lists when flat, objects nested."""
    if not isinstance(given, dict):
        return []
    names, values = given.get("name"), given.get(key)
    if isinstance(names, list) and isinstance(values, list):
        return [(name, value) for name, value in zip(names, values, strict=False)]
    return [
        (name, value.get(key) if isinstance(value, dict) else value)
        for name, value in given.items()
    ]


def _act(
    acts: list[InteractionInput],
    seq: int,
    action: str,
    *,
    feedback: str | None = None,
    score: float | None = None,
    reason: str | None = None,
    metadata: JsonObject | None = None,
) -> InteractionInput:
    return InteractionInput(
        action=action,
        turn_seq=seq,
        feedback=feedback,
        score=score,
        reason=reason,
        metadata=metadata or {},
        external_id=external_id(len(acts) + 1),
    )
