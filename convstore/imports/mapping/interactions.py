"""The judgements in a mapped record, as interactions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from convstore.imports.extras import external_id
from convstore.imports.fields import need_list, number_or_none, text_or_none
from convstore.imports.mapping.file import Edit, Feedback, Mapping, Steps, Votes
from convstore.imports.mapping.paths import find
from convstore.imports.ranking import ranking
from convstore.vocabulary.errors import InvalidInputError
from convstore.vocabulary.records import Choice, InteractionInput, Json, JsonObject


def judgements(
    mapping: Mapping,
    record: JsonObject,
    answers: Sequence[int],
    items: Sequence[tuple[int, JsonObject]],
) -> tuple[InteractionInput, ...]:
    """The interactions of a record.

    Args:
        mapping: Where they are.
        record: The whole record.
        answers: The turns of the answers, by `seq`.
        items: The items of the list of turns, each with the `seq` of its turn.

    Raises:
        InvalidInputError: The mapping names an answer that is not there.
    """
    acts: list[InteractionInput] = []
    if mapping.answers is not None and mapping.answers.ranked:
        acts += ranking(answers)
    for votes in mapping.votes:
        acts += _vote(votes, record, answers)
    for feedback in mapping.feedback:
        acts += _feedback(feedback, record, answers, items)
    for edit in mapping.edits:
        acts += _edit(edit, record, answers)
    if mapping.steps is not None:
        acts += _verdicts(mapping.steps, record)
    return tuple(_numbered(acts))


def chain(texts: Sequence[str]) -> JsonObject:
    """A graph of steps that each follow the one before."""
    nodes = [
        {"id": step_id(n), "text": text, "parent": step_id(n - 1) if n else None}
        for n, text in enumerate(texts)
    ]
    return {"nodes": nodes}


def step_id(place: int) -> str:
    """The id of the node of a step, the first at place 0."""
    return f"step-{place + 1}"


def _vote(
    votes: Votes, record: JsonObject, answers: Sequence[int]
) -> list[InteractionInput]:
    value = find(record, votes.field)
    if isinstance(value, str):
        value = votes.values.get(value)
    places = votes.between or range(1, len(answers) + 1)
    offered = [_answer(answers, place) for place in places]
    if type(value) is not int or (
        value != votes.tie and not 1 <= value <= len(offered)
    ):
        return []
    if value == votes.tie:
        choice = Choice(None, tuple(offered))
    else:
        chosen = offered.pop(value - 1)
        choice = Choice(chosen, tuple(offered))
    return [
        InteractionInput(
            "choose", choice=choice, actor_id=votes.actor, actor_kind=votes.kind
        )
    ]


def _feedback(
    feedback: Feedback,
    record: JsonObject,
    answers: Sequence[int],
    items: Sequence[tuple[int, JsonObject]],
) -> list[InteractionInput]:
    targets: list[tuple[int | None, JsonObject]] = [(None, record)]
    if feedback.on == "turns":
        targets = list(items)
    elif feedback.on == "answer":
        targets = [(_answer(answers, feedback.answer), record)]
    acts: list[InteractionInput] = []
    for seq, fields in targets:
        label, score = _meaning(feedback, find(fields, feedback.field))
        if label is None and score is None:
            continue
        scaled = feedback.scale is not None and score is not None
        acts.append(
            InteractionInput(
                "feedback",
                turn_seq=seq,
                feedback=label,
                score=score,
                actor_id=feedback.actor,
                actor_kind=feedback.kind,
                metadata={"scale": list(feedback.scale or ())} if scaled else {},
            )
        )
    return acts


def _meaning(feedback: Feedback, value: Json) -> tuple[str | None, float | None]:
    word = value if isinstance(value, str) else str(value).lower()
    score = feedback.scores.get(word)
    if not feedback.scores:
        score = number_or_none(value)
    return feedback.labels.get(word), score


def _edit(
    edit: Edit, record: JsonObject, answers: Sequence[int]
) -> list[InteractionInput]:
    text = text_or_none(find(record, edit.field))
    if text is None:
        return []
    return [
        InteractionInput(
            "edit",
            turn_seq=_answer(answers, edit.answer),
            content=text,
            actor_id=edit.actor,
            actor_kind=edit.kind,
        )
    ]


def _verdicts(steps: Steps, record: JsonObject) -> list[InteractionInput]:
    if steps.first_wrong is None:
        return []
    count = len(need_list(steps.path, find(record, steps.path)))
    wrong = find(record, steps.first_wrong)
    if wrong is None:
        wrong = count
    if type(wrong) is not int or wrong < 0:
        return []
    right = min(wrong, count)
    words = ["correct"] * right + ["incorrect"] * (right < count)
    return [
        InteractionInput(
            "feedback", node_id=step_id(place), feedback=word, actor_kind=steps.kind
        )
        for place, word in enumerate(words)
    ]


def _answer(answers: Sequence[int], place: int) -> int:
    if not 1 <= place <= len(answers):
        raise InvalidInputError("answers", f"there is no answer {place}")
    return answers[place - 1]


def _numbered(acts: Sequence[InteractionInput]) -> list[InteractionInput]:
    return [
        replace(act, external_id=external_id(number))
        for number, act in enumerate(acts, 1)
    ]
