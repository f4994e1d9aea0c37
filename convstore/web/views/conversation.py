"""One conversation: a branch of it, what was judged, and what data sets make of it."""

from __future__ import annotations

import secrets
from collections import defaultdict
from collections.abc import Sequence
from typing import Any

from convstore.vocabulary.errors import LedgerEntryNotFoundError, SessionDeletedError
from convstore.vocabulary.feedback import is_about
from convstore.vocabulary.records import Judgement, Session, Turn
from convstore.web.pieces import pieces_of
from convstore.web.visit import View, Visit, chips, disagreeing

LIMIT = 60
FORMATS = ("preference", "kto", "messages")
"""What is told beside each conversation."""
_JUDGED = ("preference", "kto")
_MOST_PREVIEWED = 400
"""Turns of a session whose rows are made for each look at it."""


async def show(visit: Visit) -> View:
    """The page."""
    session_id = visit.needed("id")
    try:
        session = await visit.store.sessions.get(session_id)
    except SessionDeletedError:
        binned = {"id": session_id}
        told = {"id": session_id, "state": "deleted"}
        return View("deleted.html", "In the bin", binned, told, "/")
    head, before = await _place(visit, session)
    turns = await visit.store.turns.branch(
        session_id, head=head, before=before, limit=LIMIT
    )
    seqs = [turn.seq for turn in turns]
    family = await visit.store.turns.siblings(session_id, seqs) if seqs else {}
    acts = await visit.store.interactions.effective(session_id)
    made = await _made(visit, session)
    talk = Talk(visit, session, head, family, acts, made)
    older = None
    if turns and turns[0].parent_seq is not None:
        older = visit.url("/conversation", id=session_id, head=head, before=seqs[0])
    shown: dict[str, Any] = {
        "session": session,
        "entries": [talk.entry(turn) for turn in turns],
        "older": older,
        "newest": before is not None
        and visit.url("/conversation", id=session_id, head=head),
        "judgements": [talk.judgement(act) for act in acts],
        "on_session": talk.chips_of([a for a in acts if a.turn_seq is None]),
        "made": made,
        "cost": await _cost(visit, session_id),
        "holds": await _holds(visit, session),
        "branches": await _branches(visit, session, head),
    }
    json = {"session": session, "turns": turns, "judgements": acts, "previews": made}
    return View("conversation.html", session.title, shown, json, "/")


async def _place(visit: Visit, session: Session) -> tuple[int | None, int | None]:
    """What is looked at: the end of the branch, and the turn to read back from."""
    head, before = visit.number("head"), visit.number("before")
    at = visit.number("at")
    if head is not None or before is not None or at is None:
        return head, before
    if session.turn_count <= LIMIT and not session.branched:
        return None, None
    if session.turn_count > _MOST_PREVIEWED:
        return at, None
    path = await visit.store.turns.branch(session.id, limit=_MOST_PREVIEWED)
    if not any(turn.seq == at for turn in path):
        head = await _tip_over(visit, session, at)
        path = await visit.store.turns.branch(
            session.id, head=head, limit=_MOST_PREVIEWED
        )
    place = next((n for n, turn in enumerate(path) if turn.seq == at), len(path))
    after = place + LIMIT // 2
    return head, path[after].seq if after + LIMIT // 2 < len(path) else None


async def _tip_over(visit: Visit, session: Session, at: int) -> int:
    """The end of a branch that leads through a turn: the one written last."""
    page = await visit.store.turns.list(session.id, limit=_MOST_PREVIEWED)
    through, tip = {at}, at
    for turn in page.items:
        # Parents come before those who follow them: the last one found is a tip.
        if turn.parent_seq in through:
            through.add(turn.seq)
            tip = turn.seq
    return tip


async def _made(visit: Visit, session: Session) -> list[dict[str, Any]]:
    """What each format makes of this session, now."""
    if session.turn_count > _MOST_PREVIEWED:
        return []
    found = []
    for name in FORMATS:
        seen = await visit.store.preview(name, session_ids=[session.id], limit=50)
        found.append(
            {
                "format": name,
                "rows": [
                    {"turns": row.turn_seqs, "rule": row.rule, "label": _label(row.row)}
                    for row in seen.rows
                ],
                "count": seen.row_count,
                "left_out": seen.left_out,
                "complete": seen.complete,
            }
        )
    return found


def _label(row: dict[str, Any]) -> bool | None:
    label = row.get("label")
    return label if isinstance(label, bool) else None


async def _cost(visit: Visit, session_id: str) -> int | None:
    try:
        return (await visit.store.ledger.get(session_id)).cost_micros
    except LedgerEntryNotFoundError:
        return None


async def _holds(visit: Visit, session: Session) -> Sequence[Any]:
    if not session.hold_count:
        return ()
    return (await visit.store.holds.list(session.id, in_force=True)).items


async def _branches(
    visit: Visit, session: Session, head: int | None
) -> list[dict[str, Any]]:
    """The other ways through a branched conversation."""
    if not session.branched:
        return []
    found = await visit.store.turns.branches(session.id)
    shown = session.head_seq if head is None else head
    return [
        {
            "branch": branch,
            "here": branch.head_seq == shown,
            "url": visit.url("/conversation", id=session.id, head=branch.head_seq),
        }
        for branch in found[-20:]
    ]


class Talk:
    """The turns of a conversation as they are shown."""

    def __init__(
        self,
        visit: Visit,
        session: Session,
        head: int | None,
        family: dict[int, tuple[Turn, ...]],
        acts: Sequence[Judgement],
        made: list[dict[str, Any]],
    ) -> None:
        self._visit, self._session, self._head = visit, session, head
        self._family, self._acts = family, acts
        self._made: defaultdict[int, list[str]] = defaultdict(list)
        for of_format in made:
            # Rows that no judgement made are told beside, and not under each turn.
            if of_format["format"] in _JUDGED:
                self._note(of_format)

    def _note(self, of_format: dict[str, Any]) -> None:
        told: defaultdict[tuple[int, str], int] = defaultdict(int)
        for row in of_format["rows"]:
            for place, seq in enumerate(row["turns"]):
                told[seq, _role_in(place, row["label"])] += 1
        for (seq, what), count in told.items():
            rows = "1 row" if count == 1 else f"{count} rows"
            self._made[seq].append(f"{of_format['format']}: {what} in {rows}")

    def entry(self, turn: Turn) -> dict[str, Any]:
        """A turn with what stands beside and under it."""
        about = [act for act in self._acts if is_about(act, turn.seq)]
        mine = [act for act in about if self._is_mine(act)]
        counts: defaultdict[str, int] = defaultdict(int)
        for act in about:
            if act.feedback is not None:
                counts[act.feedback] += 1
        return {
            "turn": turn,
            "pieces": pieces_of(turn),
            "picks": self._picks(turn),
            "chips": self.chips_of(about),
            "disagree": disagreeing(counts, self._visit.reading),
            "mine": mine[-1] if mine else None,
            "made": self._made.get(turn.seq, []),
            "judged": turn.role == "assistant",
            # One for each time that the page is made: a form that is sent twice is
            # one judgement.
            "act": secrets.token_hex(8),
        }

    def _picks(self, turn: Turn) -> dict[str, Any] | None:
        """Where a turn stands among those that answer the same."""
        all_of = [one.seq for one in self._family.get(turn.seq, ())]
        if len(all_of) < 2:
            return None
        place = all_of.index(turn.seq)
        where = self._visit.url
        sides = {
            name: where("/conversation", id=self._session.id, at=all_of[other])
            + f"#turn-{all_of[other]}"
            if 0 <= other < len(all_of)
            else None
            for name, other in (("before", place - 1), ("after", place + 1))
        }
        other = all_of[place + 1] if place + 1 < len(all_of) else all_of[place - 1]
        return {
            "place": place + 1,
            "count": len(all_of),
            **sides,
            "compare": where(
                "/compare", id=self._session.id, one=turn.seq, other=other
            ),
        }

    def chips_of(self, acts: Sequence[Judgement]) -> list[dict[str, Any]]:
        """Judgements by what they say, with who said it."""
        who: defaultdict[str, list[str]] = defaultdict(list)
        for act in acts:
            if act.feedback is not None:
                who[act.feedback].append(act.actor_id or act.actor_kind)
        counts = {label: len(names) for label, names in who.items()}
        return [
            {"kind": kind, "label": label, "count": count, "who": who[label]}
            for kind, label, count in chips(counts, self._visit.reading)
        ]

    def judgement(self, act: Judgement) -> dict[str, Any]:
        """One that is in force, with whether the visitor may take it back."""
        kinds = {"good": "good", "bad": "bad"}
        return {
            "act": act,
            "kind": kinds.get(act.meaning or "", "plain"),
            "mine": self._is_mine(act) and self._visit.may("annotator"),
        }

    def _is_mine(self, act: Judgement) -> bool:
        return act.actor_kind == "human" and act.actor_id == self._visit.actor.id


def _role_in(place: int, label: bool | None) -> str:
    """What a turn is in a row."""
    if label is not None:
        return "good" if label else "bad"
    return "chosen" if place == 0 else "rejected"
