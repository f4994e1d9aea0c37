"""Which sessions a list wants: a filter, its conditions, and what is bound to them."""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Text,
    TextClause,
    and_,
    bindparam,
    not_,
    or_,
    select,
    text,
)
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.functions import FunctionElement

from convstore.db import models
from convstore.db.session_ids import one_of
from convstore.vocabulary.record import Value
from convstore.vocabulary.records import SessionState

S = models.sessions.c
LISTED: tuple[SessionState, ...] = ("active", "archived")
GONE: tuple[SessionState, ...] = ("deleted", "erased")


class Sides(Value, frozen=True):
    """Sessions that have both a label of `good` and one of `bad`, or, where `both` is
    False, all others. The labels are JSON lists."""

    both: bool
    good: str = "[]"
    bad: str = "[]"


@dataclass(frozen=True, slots=True)
class Filter:
    """Which sessions of a tenant to list. `metadata` maps a key to JSON scalar text;
    that and `tag` are as in `session_metadata`, with their prefixes. `title_words` are
    beginnings of words of the title, `title` is text that it contains."""

    user_id: str | None = None
    language: str | None = None
    states: tuple[SessionState, ...] = LISTED
    updated_since: int | None = None
    changed_since: int | None = None
    title: str | None = None
    title_words: tuple[str, ...] = ()
    tag: str | None = None
    label: str | None = None
    metadata: tuple[tuple[str, str], ...] = ()
    judged: bool | None = None
    held: bool | None = None
    disagreed: Sides | None = None


def bucket_of(micros: int) -> int:
    """The bucket of a time of activity, as the database computes it: towards zero."""
    size = models.BUCKET_MICROS
    return micros // size if micros >= 0 else -(-micros // size)


def first_after(bucket: int) -> int:
    """The first time of activity whose bucket is a greater one."""
    size = models.BUCKET_MICROS
    return (bucket + 1) * size if bucket >= 0 else bucket * size + 1


def beginning(word: str) -> str:
    """The first text behind all words that begin so."""
    return word + "\U0010ffff"


def conditions(wanted: Filter) -> list[ColumnElement[bool] | TextClause]:
    """What a session that is wanted meets; `values_of` has what is bound to it.

    No value is in it but the states, so that filters of one `shape_of` share it.
    """
    conditions = [S.tenant_id == bindparam("tenant"), *of_states(wanted.states)]
    if wanted.user_id is not None:
        conditions.append(S.user_id == bindparam("user"))
    if wanted.language is not None:
        conditions.append(S.language == bindparam("language"))
    if wanted.updated_since is not None:
        conditions.append(S.last_activity_at >= bindparam("since"))
        # For the index, which has no more of it.
        conditions.append(S.activity_bucket >= bindparam("since_bucket"))
    if wanted.changed_since is not None:
        conditions.append(S.updated_at >= bindparam("changed"))
    if wanted.title is not None:
        conditions.append(
            _ascii_lower(S.title).contains(bindparam("title", type_=Text), escape="/")
        )
    conditions += map(_has_title_word, range(len(wanted.title_words)))
    if wanted.tag is not None:
        conditions.append(_has_tag())
    if wanted.label is not None:
        conditions.append(_has_label())
    conditions += map(_has_metadata, range(len(wanted.metadata)))
    return conditions + _judged(wanted)


def _judged(wanted: Filter) -> list[ColumnElement[bool] | TextClause]:
    """What is asked of judgements and holds; what an index has is in its words."""
    found: list[ColumnElement[bool] | TextClause] = []
    listed = set(wanted.states) <= set(LISTED)
    if wanted.judged is not None:
        judged = models.JUDGED if listed else text(f"NOT ({_UNJUDGED.text})")
        found.append(judged if wanted.judged else _UNJUDGED)
    if wanted.held is not None:
        held = models.HELD if listed else S.hold_count > 0
        found.append(held if wanted.held else S.hold_count == 0)
    if wanted.disagreed is not None:
        good, bad = _has_one_of("good"), _has_one_of("bad")
        both = wanted.disagreed.both
        found.append(and_(good, bad) if both else or_(not_(good), not_(bad)))
    return found


def of_states(
    states: Collection[SessionState],
) -> list[ColumnElement[bool] | TextClause]:
    """The condition that a session is in one of the states."""
    for indexed, words in ((LISTED, models.LISTED), (GONE, models.GONE)):
        if set(states) <= set(indexed):
            # Word for word the index's own condition, so that the planner may use it.
            rest = [] if set(states) == set(indexed) else [one_of(S.state, states)]
            return [words, *rest]
    return [one_of(S.state, states)]


def values_of(tenant: str, wanted: Filter) -> dict[str, Any]:
    """What is bound to the conditions of a filter."""
    since = wanted.updated_since
    title = (wanted.title or "").encode().lower().decode()
    given: dict[str, Any] = {
        "tenant": tenant,
        "user": wanted.user_id,
        "language": wanted.language,
        "since": since,
        "since_bucket": None if since is None else bucket_of(since),
        "changed": wanted.changed_since,
        "title": _LIKE.sub(r"/\g<0>", title),
        "tag": wanted.tag,
        "label": wanted.label,
    }
    if wanted.disagreed is not None:
        given |= {"good": wanted.disagreed.good, "bad": wanted.disagreed.bad}
    for number, word in enumerate(wanted.title_words):
        given |= {f"word_{number}": word, f"word_end_{number}": beginning(word)}
    for number, (key, value) in enumerate(wanted.metadata):
        given |= {f"key_{number}": key, f"value_{number}": value}
    return given


def shape_of(wanted: Filter) -> Filter:
    """What filters have in common that differ in values alone."""
    return Filter(
        user_id=_blank(wanted.user_id),
        language=_blank(wanted.language),
        states=wanted.states,
        updated_since=None if wanted.updated_since is None else 0,
        changed_since=None if wanted.changed_since is None else 0,
        title=_blank(wanted.title),
        title_words=("",) * len(wanted.title_words),
        tag=_blank(wanted.tag),
        label=_blank(wanted.label),
        metadata=(("", ""),) * len(wanted.metadata),
        judged=wanted.judged,
        held=wanted.held,
        disagreed=wanted.disagreed and Sides(wanted.disagreed.both),
    )


def _blank(text: str | None) -> str | None:
    return None if text is None else ""


_LIKE = re.compile("[/%_]")


class _ascii_lower(FunctionElement[str]):  # noqa: N801 - reads as a function
    """Small letters for A to Z and nothing else, whatever the database's language."""

    type = Text()
    inherit_cache = True


@compiles(_ascii_lower)
def _lower(element: Any, compiler: Any, **given: Any) -> str:
    return f"lower({compiler.process(element.clauses, **given)})"


@compiles(_ascii_lower, "postgresql")
def _lower_in_c(element: Any, compiler: Any, **given: Any) -> str:
    return f'lower({compiler.process(element.clauses, **given)} COLLATE "C")'


class _members(FunctionElement[str]):  # noqa: N801 - reads as a function
    """The texts of a list that is bound as JSON."""

    type = Text()
    inherit_cache = True


@compiles(_members)
def _each(element: Any, compiler: Any, **given: Any) -> str:
    listed = compiler.process(element.clauses, **given)
    return f"(SELECT value FROM json_each({listed}))"  # noqa: S608 - what is bound


@compiles(_members, "postgresql")
def _each_in_postgres(element: Any, compiler: Any, **given: Any) -> str:
    listed = compiler.process(element.clauses, **given)
    return f"(SELECT json_array_elements_text(CAST({listed} AS JSON)))"


_UNJUDGED = text("CAST(feedback_counts AS TEXT) = '{}'")


def _has_one_of(listed: str) -> ColumnElement[bool]:
    labels = models.session_labels.c
    members = _members(bindparam(listed, type_=Text))
    return (
        select(1)
        .where(
            labels.tenant_id == S.tenant_id,
            labels.session_id == S.session_id,
            labels.label.op("IN", is_comparison=True)(members),
        )
        .exists()
    )


def _has_title_word(number: int) -> ColumnElement[bool]:
    words = models.session_title_words.c
    return (
        select(1)
        .where(
            words.tenant_id == S.tenant_id,
            words.session_id == S.session_id,
            words.word >= bindparam(f"word_{number}"),
            words.word < bindparam(f"word_end_{number}"),
        )
        .exists()
    )


def _has_tag() -> ColumnElement[bool]:
    meta = models.session_metadata.c
    return _of_metadata(meta.key == bindparam("tag"))


def _has_metadata(number: int) -> ColumnElement[bool]:
    meta = models.session_metadata.c
    return _of_metadata(
        meta.key == bindparam(f"key_{number}"),
        meta.value == bindparam(f"value_{number}"),
    )


def _of_metadata(*conditions: ColumnElement[bool]) -> ColumnElement[bool]:
    meta = models.session_metadata.c
    key = (meta.tenant_id == S.tenant_id, meta.session_id == S.session_id)
    return select(1).where(*key, *conditions).exists()


def _has_label() -> ColumnElement[bool]:
    # Not as a question asked of each session: few have a label that is rare.
    labels = models.session_labels.c
    return S.session_id.in_(
        select(labels.session_id).where(
            labels.tenant_id == bindparam("tenant"), labels.label == bindparam("label")
        )
    )
