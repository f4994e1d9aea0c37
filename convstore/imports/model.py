"""What an import format makes of one record, and what an import reports.

Everything here is a value: no file, no store. A driver writes each `ImportedSession`
in one transaction, so that nothing is half imported.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, fields
from datetime import datetime

from convstore.vocabulary.record import names_of
from convstore.vocabulary.records import (
    DEFAULT_NAMESPACE,
    GraphState,
    Interaction,
    InteractionInput,
    ItemInput,
    Json,
    JsonObject,
    SessionDocument,
    Turn,
    TurnInput,
)


@dataclass(frozen=True, slots=True)
class GraphStateInput:
    """A graph state to be put; states of one namespace come oldest first."""

    state: Json
    namespace: str = DEFAULT_NAMESPACE
    turn_seq: int | None = None
    metadata: Mapping[str, Json] = field(default_factory=dict)
    external_id: str | None = None
    created_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class SourceFile:
    """A file of the source that parts name by the SHA-256 of its bytes, `hash`.

    `load` reads them; they are as many as they were, or others, should the file have
    been changed since.
    """

    hash: str
    media_type: str
    size_bytes: int
    load: Callable[[], bytes] = field(compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class ImportedSession:
    """One conversation, read from a source and not yet stored.

    The turns are numbered by their place: the first is `seq` 1 of the new session, and
    `parent_seq`, `turn_seq`, choices and `head_seq` mean these numbers.

    Attributes:
        session_id: The id that the source gives, or one derived from the record's
            content: the same record has the same id whenever it is imported.
        turns: In order; `parent_seq` as in `TurnInput`.
        head_seq: The tip of the branch to make active, 0 for the empty one; None leaves
            it at the last turn.
        document: The whole session, when the source holds one of our own documents. It
            is stored as it is; the other fields then only describe it.
        left_out: What of the record was not understood: a kind for each time.
        own_ids: The external ids are the source's own and not places, so that what it
            adds later, in the middle too, is found by them. Such a session without
            turns is an empty conversation and no error.
        without_bytes: Attachments that the source only points to.
        files: What parts name by hash and is to be kept before the session is stored.
        adapter_state: What adapters keep beside the session, by name; where one is
            there already it stays as it is.
        items: Documents outside the session, values alone, kept when it is stored; one
            that is another user's by now is left alone.
    """

    session_id: str
    turns: tuple[TurnInput, ...]
    user_id: str | None = None
    language: str | None = None
    title: str | None = None
    tags: tuple[str, ...] = ()
    metadata: Mapping[str, Json] = field(default_factory=dict)
    created_at: datetime | None = None
    interactions: tuple[InteractionInput, ...] = ()
    graph_states: tuple[GraphStateInput, ...] = ()
    head_seq: int | None = None
    document: SessionDocument | None = None
    left_out: tuple[str, ...] = ()
    own_ids: bool = False
    without_bytes: int = 0
    files: tuple[SourceFile, ...] = ()
    adapter_state: Mapping[str, JsonObject] = field(default_factory=dict)
    items: tuple[ItemInput, ...] = ()


@dataclass(frozen=True, slots=True)
class Rejected:
    """A record that was not imported, and why; the text names fields, not content.

    Attributes:
        number: Line of the source, from 1; in a file that is one JSON document, the
            place of the record in it.
        code: What is wrong, for counting.
        reason: The same for people.
        data: The record as read, for `rejected.jsonl`; None when it was too long to be
            kept.
    """

    number: int
    code: str
    reason: str
    data: bytes | None


MOST_REASONS = 5
_MOST_NAMES = 200
"""Of labels, and of what is left out: each may be another word, and people read the
list."""
_LONGEST_NAME = 100


@dataclass(slots=True)
class ImportReport:
    """Running totals of one import.

    `format` is how the records were read. `reasons` why some were not: the first few
    that differ, each with the first record that it was said of. `absent` are the fields
    that a mapping names and no record had, known at the end. `not_understood` are
    labels that the settings do not know, and scores outside their scale; both are
    stored as they came. `left_out` counts by kind what was not understood of records
    that came in: fields that are kept as metadata only, messages that follow each other
    in a loop; and by its name what is not kept at all, a field as `node.draft`, a whole
    row as `row:world_state`. `replaced` are records in which characters were replaced.
    `empty` are conversations in which nothing was said; they are not stored. `changed`
    are turns, judgements and states that the source has with another content by now
    than when they were imported; they are left as they are. `attachments` are files
    that lie beside the conversations and came in, each once a conversation, and
    `without_bytes` those that the source only points to. `batch` names this import, and
    `why` says by what its format was told.
    """

    format: str = ""
    records: int = 0
    sessions: int = 0
    turns: int = 0
    interactions: int = 0
    graph_states: int = 0
    already_present: int = 0
    rejected: Counter[str] = field(default_factory=Counter)
    reasons: list[str] = field(default_factory=list)
    absent: list[str] = field(default_factory=list)
    not_understood: Counter[str] = field(default_factory=Counter)
    left_out: Counter[str] = field(default_factory=Counter)
    replaced: int = 0
    empty: int = 0
    changed: int = 0
    attachments: int = 0
    without_bytes: int = 0
    batch: str = ""
    why: str = ""

    def totals(self) -> dict[str, int]:
        """What traces and logs tell of it."""
        return {
            "sessions": self.sessions,
            "turns": self.turns,
            "rejected": self.rejected_total,
        }

    def note_unclear(self, names: Iterable[str]) -> None:
        """Count feedback that came in and says nothing to the settings, by name."""
        for name in names:
            known = name in self.not_understood
            room = known or len(self.not_understood) < _MOST_NAMES
            self.not_understood[name if room else "others"] += 1

    def note_left_out(self, kinds: Iterable[str], count: int = 1) -> None:
        """Count what was left out, by kind: names of fields are the source's own."""
        for kind in kinds:
            name = kind[:_LONGEST_NAME]
            known = name in self.left_out or len(self.left_out) < _MOST_NAMES
            self.left_out[name if known else "others"] += count

    def reject(self, record: Rejected) -> None:
        """Count a rejected record under its code."""
        self.rejected[record.code] += 1
        told = f": {record.reason}"
        if len(self.reasons) < MOST_REASONS and not any(
            reason.endswith(told) for reason in self.reasons
        ):
            self.reasons.append(f"record {record.number}{told}")

    @property
    def rejected_total(self) -> int:
        """Records that were not imported."""
        return self.rejected.total()


def from_document(document: SessionDocument) -> ImportedSession:
    """A stored session as it would have been imported.

    Numbers, times and external ids are those of the store.
    """
    session = document.session
    return ImportedSession(
        session_id=session.id,
        turns=tuple(_turn_input(turn, document.tool_sets) for turn in document.turns),
        user_id=session.user_id,
        language=session.language,
        title=session.title,
        tags=session.tags,
        metadata=session.metadata,
        created_at=session.created_at,
        interactions=tuple(map(_interaction_input, document.interactions)),
        graph_states=tuple(map(_graph_state_input, document.graph_states)),
        head_seq=session.head_seq or 0,
        document=document,
    )


def _turn_input(turn: Turn, tool_sets: Mapping[str, list[Json]]) -> TurnInput:
    given = {name: getattr(turn, name) for name in _TURN_FIELDS}
    parent: int | None = turn.parent_seq or 0
    if parent == turn.seq - 1:
        parent = None
    # A hash that names nothing is the writer's to refuse: it sees the document.
    tools = None if turn.tools_hash is None else tool_sets.get(turn.tools_hash)
    return TurnInput(**given, parent_seq=parent, tools=tools)


def _interaction_input(act: Interaction) -> InteractionInput:
    return InteractionInput(
        **{name: getattr(act, name) for name in names_of(InteractionInput)}
    )


def _graph_state_input(state: GraphState) -> GraphStateInput:
    return GraphStateInput(
        **{f.name: getattr(state, f.name) for f in fields(GraphStateInput)}
    )


_TURN_FIELDS = tuple(
    name for name in names_of(TurnInput) if name not in ("parent_seq", "tools")
)
