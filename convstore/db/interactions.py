"""Interactions: record, list, and the effective feedback that sessions count.

Rows are only ever added. The effective feedback of an actor, action and target is the
last one that no later interaction supersedes; a session's counts change in the same
transaction.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from sqlalchemy import Connection, and_, bindparam, select

from convstore.db import models
from convstore.db.rows import (
    INTERACTION_COLUMNS,
    choice_from_text,
    interaction_from_row,
)
from convstore.db.unit import Head, Key, Row, Unit
from convstore.vocabulary.codec import decode_json, digest, dumps
from convstore.vocabulary.errors import (
    ConflictError,
    InteractionNotFoundError,
    TurnNotFoundError,
)
from convstore.vocabulary.records import FeedbackSummary, Interaction

I = models.interactions.c  # noqa: E741
_NAMES = [column.name for column in INTERACTION_COLUMNS]
_OF_SESSION = (I.tenant_id == bindparam("tenant"), I.session_id == bindparam("id"))
_PAGE = (
    select(*INTERACTION_COLUMNS)
    .where(*_OF_SESSION, I.seq > bindparam("after"))
    .order_by(I.seq)
    .limit(bindparam("limit"))
)
_EXTERNAL = select(I.digest, *INTERACTION_COLUMNS).where(
    *_OF_SESSION, I.external_id == bindparam("external")
)
# From the index to the rows by a join: asked for a column that the index lacks, SQLite
# prefers the key, and reads every interaction of the session for each judgement.
_T = models.interactions.alias("of_target")
_OF_TARGET = (
    select(I.seq, I.feedback)
    .select_from(
        _T.join(
            models.interactions,
            and_(
                *(I[name] == _T.c[name] for name in ("tenant_id", "session_id", "seq"))
            ),
        )
    )
    .where(
        _T.c.tenant_id == bindparam("tenant"),
        _T.c.session_id == bindparam("id"),
        _T.c.target_hash == bindparam("target"),
    )
    .order_by(_T.c.seq)
)
_TARGET_OF = select(I.target_hash).where(*_OF_SESSION, I.seq == bindparam("seq"))
_SUPERSEDED = select(I.supersedes).where(*_OF_SESSION, I.supersedes.is_not(None))
_SUMMARY = (
    select(
        I.seq, I.target_hash, I.turn_seq, I.node_id, I.feedback, I.score, I.supersedes
    )
    .where(*_OF_SESSION)
    .order_by(I.seq)
)


@dataclass(slots=True)
class RecordInteraction:
    """Add one interaction; the external id makes a repeat give the first one back."""

    key: Key
    row: Row
    size: int
    now: int
    user_id: str | None = None

    def apply(self, unit: Unit) -> Interaction:
        head = unit.active(self.key, self.user_id)
        unit.flush()
        earlier = self._earlier(unit)
        if earlier is not None:
            return earlier
        self._check_targets(head)
        row = dict(self.row)
        row["tenant_id"], row["session_id"] = self.key
        row["seq"] = head.row["interaction_count"] + 1
        row["target_hash"] = target_hash(row)
        self._count(unit, head, row)
        head.row["interaction_count"] = row["seq"]
        unit.add(models.interactions, row)
        head.touch(self.now)
        return interaction_from_row(self.key[1], [row[name] for name in _NAMES])

    def _given(self) -> dict[str, str]:
        return {"tenant": self.key[0], "id": self.key[1]}

    def _earlier(self, unit: Unit) -> Interaction | None:
        external_id = self.row["external_id"]
        if external_id is None:
            return None
        found = unit.connection.execute(
            _EXTERNAL, {**self._given(), "external": external_id}
        ).one_or_none()
        if found is None:
            return None
        if bytes(found[0]) != self.row["digest"]:
            raise ConflictError("external_id: stored already with another content")
        return interaction_from_row(self.key[1], found[1:])

    def _check_targets(self, head: Head) -> None:
        turns = [] if self.row["turn_seq"] is None else [self.row["turn_seq"]]
        if self.row["choice"] is not None:
            choice = choice_from_text(self.row["choice"])
            turns += [*choice.rejected, *([choice.chosen] if choice.chosen else [])]
        for seq in turns:
            if not 1 <= seq <= head.row["turn_count"]:
                raise TurnNotFoundError(self.key[1], seq)
        supersedes = self.row["supersedes"]
        if supersedes is not None and not (
            1 <= supersedes <= head.row["interaction_count"]
        ):
            raise InteractionNotFoundError(self.key[1], supersedes)

    def _count(self, unit: Unit, head: Head, row: Row) -> None:
        """Change the session's counts by what this row makes of its targets."""
        supersedes = row["supersedes"]
        if row["feedback"] is None and supersedes is None:
            return
        targets = {row["target_hash"]}
        if supersedes is not None:
            targets.add(
                bytes(
                    unit.connection.execute(
                        _TARGET_OF, {**self._given(), "seq": supersedes}
                    ).scalar_one()
                )
            )
        counts: Counter[str] = Counter(decode_json(head.row["feedback_counts"]))
        for target in targets:
            acts, superseded = self._acts(unit, target)
            counts[_effective(acts, superseded)] -= 1
            if supersedes is not None:
                superseded.add(supersedes)
            if target == row["target_hash"]:
                acts.append((row["seq"], row["feedback"]))
            counts[_effective(acts, superseded)] += 1
        del counts[""]
        left = {label: count for label, count in counts.items() if count > 0}
        head.row["feedback_counts"] = dumps(left).decode()

    def _acts(
        self, unit: Unit, target: bytes
    ) -> tuple[list[tuple[int, str | None]], set[int]]:
        acts = [
            (seq, label)
            for seq, label in unit.connection.execute(
                _OF_TARGET, {**self._given(), "target": target}
            )
        ]
        if not acts:
            return acts, set()
        superseded = unit.connection.execute(_SUPERSEDED, self._given())
        return acts, set(superseded.scalars())


def target_hash(row: Row) -> bytes:
    """Names actor, action and target: feedback with equal names replaces."""
    return digest(
        row["actor_id"], row["action"], row["turn_seq"], row["node_id"], row["choice"]
    )


def _effective(acts: Iterable[tuple[int, str | None]], superseded: set[int]) -> str:
    """The label in force among the acts on one target; empty when there is none."""
    label = ""
    for seq, given in acts:
        if given is not None and seq not in superseded:
            label = given
    return label


def page(
    connection: Connection, key: Key, *, after: int, limit: int
) -> list[Interaction]:
    """Interactions in `seq` order, beyond `after`."""
    given = {"tenant": key[0], "id": key[1], "after": after, "limit": limit}
    return [
        interaction_from_row(key[1], row) for row in connection.execute(_PAGE, given)
    ]


def summary(connection: Connection, key: Key) -> FeedbackSummary:
    """The effective feedback of a session, by label, turn and node."""
    rows = connection.execute(_SUMMARY, {"tenant": key[0], "id": key[1]}).all()
    superseded = {row.supersedes for row in rows if row.supersedes is not None}
    in_force = {
        bytes(row.target_hash): row
        for row in rows
        if row.seq not in superseded
        and (row.feedback is not None or row.score is not None)
    }
    labels: Counter[str] = Counter()
    by_turn: dict[int, Counter[str]] = {}
    by_node: dict[str, Counter[str]] = {}
    scores = [row.score for row in in_force.values() if row.score is not None]
    for row in in_force.values():
        if row.feedback is None:
            continue
        labels[row.feedback] += 1
        if row.turn_seq is not None:
            by_turn.setdefault(row.turn_seq, Counter())[row.feedback] += 1
        if row.node_id is not None:
            by_node.setdefault(row.node_id, Counter())[row.feedback] += 1
    return FeedbackSummary(
        total=labels.total(),
        by_label=dict(labels),
        by_turn={seq: dict(counts) for seq, counts in by_turn.items()},
        by_node={node: dict(counts) for node, counts in by_node.items()},
        mean_score=sum(scores) / len(scores) if scores else None,
    )
