"""What a search gives back."""

from __future__ import annotations

from datetime import datetime
from typing import Literal, TypeAlias

from convstore.vocabulary.record import Record
from convstore.vocabulary.records import Page, Session

HitKind: TypeAlias = Literal["title", "turn", "comment"]
SearchOrder: TypeAlias = Literal["newest", "best"]


class Span(Record, frozen=True):
    """A piece of a snippet; `is_hit` where it is what was looked for."""

    text: str
    is_hit: bool


class Hit(Record, frozen=True):
    """One turn, title or comment that a search found.

    Attributes:
        session: As it is now, live or the stub of an archived one.
        turn_seq: The turn, or the turn that a comment is on; None for a title, and for
            a comment on the session.
        interaction_seq: Of a comment.
        role: `user` or `assistant`, of a turn.
        at: When it was said; of a title, when the session began.
        snippet: One line of the text around the first find, in spans without markup.
    """

    session: Session
    kind: HitKind
    turn_seq: int | None
    interaction_seq: int | None
    role: str | None
    at: datetime
    snippet: tuple[Span, ...]

    @property
    def text(self) -> str:
        """The snippet as plain text."""
        return "".join(span.text for span in self.snippet)


class SearchPage(Page[Hit], frozen=True):
    """Hits, and how much was looked at.

    `complete` is False where the time was over before everything, the archive included,
    was looked at: then no hits does not mean that there are none. `indexed_until` is
    the time until which all that was said is in the index, None where that is unknown
    or there is no index.
    """

    indexed_until: datetime | None = None


class IndexReport(Record, frozen=True):
    """What an indexer did, or what a check of the index found.

    Attributes:
        entries: Titles, turns and comments in the index, or added to it.
        waiting: Sessions with something that is not in the index yet.
        missing: Of a check: sessions of whose content the index lacks something that
            nobody has marked.
        unwanted: Of a check: sessions in the index that must not be found.
        problem: Why the index cannot be used, if it cannot.
    """

    entries: int = 0
    waiting: int = 0
    missing: int = 0
    unwanted: int = 0
    problem: str | None = None

    @property
    def ok(self) -> bool:
        """Whether everything is found that should be, and nothing else."""
        return not (self.waiting or self.missing or self.unwanted or self.problem)
