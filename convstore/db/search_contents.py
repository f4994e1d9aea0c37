"""What of sessions the index of words is made from: their rows, or their documents."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import (
    BigInteger,
    Connection,
    Select,
    and_,
    bindparam,
    cast,
    func,
    select,
)

from convstore.db import models
from convstore.db.dialects.base import Dialect
from convstore.db.session_ids import KEY, same_session
from convstore.db.session_locks import Key
from convstore.db.statements import Prepared
from convstore.search import contents
from convstore.vocabulary.clock import to_micros
from convstore.vocabulary.codec import decode_json, dumps
from convstore.vocabulary.records import SessionDocument

S = models.sessions.c
T = models.turns.c
I = models.interactions.c  # noqa: E741

MOST_TURNS = 200
"""Turns of one batch: some ten milliseconds under the write lock."""


@dataclass(frozen=True, slots=True)
class Said:
    """One turn or interaction: when, by whom, and what can be found of it, if anything.

    `sort` is the role of a turn, else the kind.
    """

    kind: contents.Kind
    seq: int
    at: int
    sort: str
    text: str | None


@dataclass(slots=True)
class Content:
    """What was said in one session, behind what was asked for; `whole` unless there was
    too much for one go."""

    turns: list[Said] = field(default_factory=list)
    comments: list[Said] = field(default_factory=list)
    first_said: str | None = None
    whole: bool = True

    def texts(self) -> dict[tuple[str, int], Said]:
        """All of it by kind and number."""
        return {(s.kind, s.seq): s for s in (*self.turns, *self.comments)}


def said_in(document: SessionDocument) -> Iterator[tuple[Said, int | None]]:
    """What was said in an archived session; each with the turn that it is, or is on."""
    for turn in document.turns:
        text = contents.said(
            turn.role, turn.content, turn.resolved_question, turn.parts
        )
        sort, at = contents.SAID.get(turn.role, ""), to_micros(turn.created_at)
        yield Said("turn", turn.seq, at, sort, text), turn.seq
    for act in document.interactions:
        text = contents.commented(act.content, act.reason)
        said = Said("comment", act.seq, to_micros(act.created_at), "comment", text)
        yield said, act.turn_seq


def of_document(document: SessionDocument) -> Content:
    """The content of an archived session."""
    found = Content()
    for said, _ in said_in(document):
        (found.turns if said.kind == "turn" else found.comments).append(said)
    first = next((turn.seq for turn in document.turns if turn.role == "user"), 0)
    found.first_said = next((s.text for s in found.turns if s.seq == first), None)
    return found


def of_rows(
    connection: Connection, beyond: Mapping[Key, tuple[int, int]], most: int
) -> dict[Key, Content]:
    """The content of live sessions, each beyond numbers of a turn and an interaction.

    Of the sessions in the order of their keys as many turns, and interactions, as
    `most`: one that has more is not `whole`, and those behind it are left out.
    """
    found = {key: Content() for key in beyond}
    bound = [(*key, str(after[0]), str(after[1])) for key, after in beyond.items()]
    given = {"bound": dumps(sorted(bound)).decode(), "most": most}
    turns = _TURNS.all(connection, given)
    for tenant, session, seq, role, content, resolved, parts, at in turns:
        parts = parts and decode_json(parts)
        text = contents.said(role, content, resolved, parts)
        sort = contents.SAID.get(role, "")
        found[tenant, session].turns.append(Said("turn", seq, at, sort, text))
    acts = _ACTS.all(connection, given)
    for tenant, session, seq, content, reason, at in acts:
        text = contents.commented(content, reason)
        found[tenant, session].comments.append(
            Said("comment", seq, at, "comment", text)
        )
    ends = [rows[-1][:2] for rows in (turns, acts) if len(rows) == most]
    if ends:
        last = min(tuple(end) for end in ends)
        found = {key: content for key, content in found.items() if key <= last}
        if last in found:
            found[last].whole = False
    return found


def first_said(connection: Connection, keys: Iterable[Key]) -> dict[Key, str | None]:
    """What the first turn of a user says, in live sessions; None where there is none.
    Those that are live no more are left out: their turns are in the archive."""
    given = {"bound": dumps(sorted(keys)).decode()}
    return {
        (tenant, session): contents.said(
            role, content, None, parts and decode_json(parts)
        )
        if role is not None
        else None
        for tenant, session, role, content, parts in _FIRST.all(connection, given)
    }


def _beyond(
    dialect: Dialect, columns: Any, name: str, given: Sequence[Any]
) -> Select[Any]:
    bound = dialect.bound_rows(*KEY, "turn", "interaction")
    after = cast(bound.c[name], BigInteger)
    table = columns.seq.table
    return (
        select(columns.tenant_id, columns.session_id, columns.seq, *given)
        .select_from(
            bound.join(table, and_(same_session(columns, bound.c), columns.seq > after))
        )
        .order_by(columns.tenant_id, columns.session_id, columns.seq)
        .limit(bindparam("most", type_=BigInteger))
    )


def _first(dialect: Dialect) -> Select[Any]:
    bound = dialect.bound_rows(*KEY)
    first = (
        select(func.min(T.seq))
        .where(same_session(T, bound.c), T.role == "user")
        .correlate(bound)
        .scalar_subquery()
    )
    live = and_(same_session(S, bound.c), S.state == "active")
    said = and_(same_session(T, bound.c), T.seq == first)
    return select(S.tenant_id, S.session_id, T.role, T.content, T.parts).select_from(
        bound.join(models.sessions, live).outerjoin(models.turns, said)
    )


# A longer text is not indexed any further.
_CONTENT = func.substr(T.content, 1, contents.MOST_CHARS + 1)
_TURNS = Prepared(
    lambda dialect: _beyond(
        dialect,
        T,
        "turn",
        [T.role, _CONTENT, T.resolved_question, T.parts, T.created_at],
    )
)
# Those that say nothing too: by the last one it is known that all were read.
_ACTS = Prepared(
    lambda dialect: _beyond(
        dialect, I, "interaction", [I.content, I.reason, I.created_at]
    )
)
_FIRST = Prepared(_first)
