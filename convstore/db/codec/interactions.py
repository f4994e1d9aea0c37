"""What a caller gives for one interaction, checked and as it is stored."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from math import isfinite
from typing import Any, get_args

from convstore.db.codec.inputs import encode_object, encode_time
from convstore.db.codec.records import (
    INTERACTION_COLUMNS,
    StoredRow,
    choice_from_text,
    target_hash,
)
from convstore.db.codec.row_types import INTERACTIONS
from convstore.vocabulary.codec import check_int, check_text, dumps, encode_json
from convstore.vocabulary.errors import InvalidInputError
from convstore.vocabulary.ids import check_id, check_optional_id
from convstore.vocabulary.limits import Limits
from convstore.vocabulary.record import names_of
from convstore.vocabulary.records import ActorKind, Choice, InteractionInput, Json

_FIELDS = {*names_of(InteractionInput)}
_MOST_AT_ONCE = 10_000
"""Interactions of one call: what one transaction should hold locks for."""


def interaction_row(limits: Limits, now: int, given: InteractionInput) -> StoredRow:
    """The row that holds what was given, but for its place.

    Raises:
        InvalidInputError: Something cannot be stored; names the field.
    """
    row: StoredRow = {
        "action": check_id("action", given.action),
        "turn_seq": _number("turn_seq", given.turn_seq),
        "node_id": check_optional_id("node_id", given.node_id),
        "choice": None if given.choice is None else _choice(given.choice),
        "actor_id": check_optional_id("actor_id", given.actor_id),
        "actor_kind": given.actor_kind,
        "feedback": check_optional_id("feedback", given.feedback),
        "score": None if given.score is None else _score(given.score),
        "reason": _text(limits, "reason", given.reason),
        "content": _text(limits, "content", given.content),
        "shown": _shown(limits, given.shown),
        "surface": check_optional_id("surface", given.surface),
        "supersedes": _number("supersedes", given.supersedes),
        "metadata": encode_object(limits, "metadata", given.metadata),
        "external_id": check_optional_id("external_id", given.external_id),
        "created_at": now
        if given.created_at is None
        else encode_time("created_at", given.created_at),
    }
    if given.actor_kind not in get_args(ActorKind):
        raise InvalidInputError("actor_kind", "must be human, model or code")
    return _placed(row)


def own_row(now: int, **said: Any) -> StoredRow:
    """The row of an act that the library records by itself, of good columns."""
    row: StoredRow = {column.name: None for column in INTERACTION_COLUMNS}
    return _placed(row | {"metadata": "{}", "created_at": now} | said)


def moved_row(row: StoredRow, places: Mapping[int, int]) -> StoredRow:
    """The row of an act whose turns stand in other places: `places` says where."""
    row = dict(row)
    if row["turn_seq"] is not None:
        row["turn_seq"] = places[row["turn_seq"]]
    if row["choice"] is not None:
        choice = choice_from_text(row["choice"])
        chosen = None if choice.chosen is None else places[choice.chosen]
        row["choice"] = _choice_text(chosen, [places[seq] for seq in choice.rejected])
    return _placed(row)


def renamed_row(row: StoredRow, actor_id: str) -> StoredRow:
    """The row of an act whose actor has another name."""
    return _placed(row | {"actor_id": actor_id})


def _placed(row: StoredRow) -> StoredRow:
    row["target_hash"] = target_hash(row)
    row["digest"] = INTERACTIONS.digest(row)
    return row


def _number(name: str, value: int | None) -> int | None:
    return None if value is None else check_int(name, value)


def _text(limits: Limits, name: str, value: str | None) -> str | None:
    return None if value is None else check_text(name, value, limits.max_turn_bytes)


def _shown(limits: Limits, shown: Json) -> str | None:
    if shown is None:
        return None
    return encode_json("shown", shown, limits.max_metadata_bytes, limits.max_json_depth)


def _choice(choice: Choice) -> str:
    if not isinstance(choice, Choice):
        raise InvalidInputError("choice", "must be a Choice")
    seqs = [*choice.rejected, *([] if choice.chosen is None else [choice.chosen])]
    for seq in seqs:
        check_int("choice", seq)
    if len(set(seqs)) != len(seqs) or len(seqs) < 2:
        raise InvalidInputError("choice", "must name two or more different turns")
    return _choice_text(choice.chosen, list(choice.rejected))


def _choice_text(chosen: int | None, rejected: list[int]) -> str:
    return dumps({"chosen": chosen, "rejected": rejected}).decode()


def _score(score: float) -> float:
    if isinstance(score, bool) or not isinstance(score, int | float):
        raise InvalidInputError("score", "must be a number")
    try:
        value = float(score)
    except OverflowError:
        raise InvalidInputError("score", "is too large") from None
    if not isfinite(value):
        raise InvalidInputError("score", "must be finite")
    return value


def interaction_inputs(
    interactions: Iterable[InteractionInput | Mapping[str, Any]],
    session_id: str | None,
) -> Sequence[tuple[str, InteractionInput]]:
    """Interactions, each with the session that it or the call names.

    Raises:
        InvalidInputError: `interactions[3].score`: which one and which field.
    """
    given: list[tuple[str, InteractionInput]] = []
    for place, act in enumerate(interactions):
        if place == _MOST_AT_ONCE:
            raise InvalidInputError(
                "interactions", f"at most {_MOST_AT_ONCE} fit one call"
            )
        of_session = session_id
        if not isinstance(act, InteractionInput):
            if not isinstance(act, Mapping):
                raise _at(place, "", "is no interaction")
            of_session = act.get("session_id", session_id)
            named = {name: act[name] for name in act if name != "session_id"}
            unknown = sorted(map(str, named.keys() - _FIELDS))
            if unknown or "action" not in named:
                name = unknown[0] if unknown else "action"
                problem = "is no field" if unknown else "is missing"
                raise _at(place, name, problem)
            act = InteractionInput(**named)
        try:
            given.append((check_id("session_id", of_session), act))
        except InvalidInputError as error:
            raise _at(place, error.field, error.problem) from None
    return given


def interaction_rows(
    limits: Limits, now: int, given: Iterable[InteractionInput]
) -> list[StoredRow]:
    """As `interaction_row`, of many; errors name which one."""
    rows = []
    for place, act in enumerate(given):
        try:
            rows.append(interaction_row(limits, now, act))
        except InvalidInputError as error:
            raise _at(place, error.field, error.problem) from None
    return rows


def _at(place: int, field: str, problem: str) -> InvalidInputError:
    where = f"interactions[{place}]"
    return InvalidInputError(f"{where}.{field}" if field else where, problem)
