"""What callers hold: frozen, typed, comparable values with no tie to a database.

Times are aware UTC. `version`, `seq` and counts are integers from 1; a `seq` numbers
the turns, and another the interactions, of one session without gaps.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import (
    Any,
    Final,
    Generic,
    Literal,
    Required,
    TypeAlias,
    TypedDict,
    TypeVar,
)

from convstore.vocabulary.attachments import Attachment
from convstore.vocabulary.checkpoints import NO_CHECKPOINTS, StoredCheckpoints
from convstore.vocabulary.codec import Json as Json
from convstore.vocabulary.record import Record, field, repr_without

JsonObject: TypeAlias = dict[str, Any]

SessionState: TypeAlias = Literal["active", "archived", "deleted", "erased"]
ActorKind: TypeAlias = Literal["human", "model", "code"]
DocumentSource: TypeAlias = Literal["both", "live", "archive"]

DEFAULT_TENANT = "default"
DEFAULT_NAMESPACE = "default"
NEW_CHAT = "New Chat"

T = TypeVar("T")


class Unset:
    """Marks what a caller did not mention: None is a value."""

    def __repr__(self) -> str:
        return "unset"


UNSET: Final = Unset()


class Session(Record, frozen=True):
    """One conversation of one user with one application.

    After a purge the record stays as a stub: `state` says `archived`, the counts and
    the title remain, and the turns are in segment `segment_id`. `imported_at` is when
    turns of it last came from a file, None if they never did.

    Of a fork, `forked_from` is the session whose turn `forked_at_seq` it went on from
    (None: from its empty branch), `forked_turns` how many of its first turns are copies
    from there, and `root_session_id` where the line of forks begins.

    `generation` is 2 for an id that was deleted and begun anew, 3 after the next time;
    None for the first.
    """

    tenant_id: str
    id: str
    state: SessionState
    version: int
    user_id: str | None
    title: str
    language: str | None
    tags: tuple[str, ...]
    metadata: JsonObject
    created_at: datetime
    updated_at: datetime
    last_activity_at: datetime
    expires_at: datetime | None
    head_seq: int | None
    branched: bool
    turn_count: int
    interaction_count: int
    graph_state_count: int
    feedback_counts: dict[str, int]
    current_slots: dict[str, str]
    current_template_id: str | None
    hold_count: int
    archived_at: datetime | None
    segment_id: str | None
    imported_at: datetime | None = None
    forked_from: str | None = None
    forked_at_seq: int | None = None
    forked_turns: int | None = None
    root_session_id: str | None = None
    generation: int | None = None


class Turn(Record, frozen=True):
    """One message by one author. Immutable once committed.

    `parent_seq` is the turn it answers or follows (None for a first turn); two turns
    with one parent are branches. `tools_hash` names the tool definitions offered.
    `payload` is a framework's own object, byte for byte, and `payload_format` says
    whose; windows leave both out unless they are asked for them.
    """

    session_id: str
    seq: int
    parent_seq: int | None
    role: str
    content: str | None
    parts: list[Json] | None
    name: str | None
    tool_call_id: str | None
    model: str | None
    finish_reason: str | None
    tokens_in: int | None
    tokens_out: int | None
    cost_micros: int | None
    language: str | None
    resolved_question: str | None
    template_id: str | None
    slots: dict[str, str] | None
    results: list[JsonObject] | None
    tools_hash: str | None
    metadata: JsonObject
    external_id: str | None
    created_at: datetime
    payload: bytes | None = None
    payload_format: str | None = None

    def __repr__(self) -> str:
        return repr_without(self, "payload")


class Branch(Record, frozen=True):
    """One path through the turns, named by its last turn.

    `turn_count` counts from the first turn; `forked_at` is the turn after which the
    path last left another one (None when it never did); one branch is `active`.
    """

    head_seq: int
    turn_count: int
    forked_at: int | None
    active: bool


class Choice(Record, frozen=True):
    """Which turns were on offer and which one was taken; `chosen` None is a tie."""

    chosen: int | None
    rejected: tuple[int, ...]


class Interaction(Record, frozen=True):
    """One act of a person or model upon a session, turn, node or choice."""

    session_id: str
    seq: int
    action: str
    turn_seq: int | None
    node_id: str | None
    choice: Choice | None
    actor_id: str | None
    actor_kind: ActorKind
    feedback: str | None
    score: float | None
    reason: str | None
    content: str | None
    shown: Json
    surface: str | None
    supersedes: int | None
    metadata: JsonObject
    external_id: str | None
    created_at: datetime


Meaning: TypeAlias = Literal["good", "bad", "neutral"]


class Judgement(Interaction, frozen=True):
    """An interaction in force that judges, and how the settings read it.

    `meaning` is what the label says, None for a word that the settings do not know, and
    where there is none. `rating` is the score brought to 0 (worst) to 1 (best), None
    where it is outside its scale.
    """

    meaning: Meaning | None
    rating: float | None


class GraphState(Record, frozen=True):
    """A versioned JSON snapshot of the application's reasoning graph."""

    session_id: str
    namespace: str
    version: int
    state: Json
    turn_seq: int | None
    metadata: JsonObject
    external_id: str | None
    created_at: datetime


class LegalHold(Record, frozen=True):
    """A reason why a session must not be destroyed; kept after its release."""

    session_id: str
    number: int
    reason: str
    placed_by: str | None
    placed_at: datetime
    released_by: str | None
    released_at: datetime | None


class LedgerEntry(Record, frozen=True):
    """The routing, escalation and cost state of one session."""

    session_id: str
    model: str | None
    tier: str | None
    user_explicit: bool
    request_count: int
    strikes: int
    recent_hashes: tuple[str, ...]
    cost_micros: int
    cache_provider: str | None
    cache_sticky_until: datetime | None
    created_at: datetime
    last_used_at: datetime

    @property
    def cost_usd(self) -> float:
        """US dollars, derived; sums are kept in whole micros."""
        return self.cost_micros / 1_000_000


class LedgerSummary(Record, frozen=True):
    """One session of `LedgerStats`."""

    session_id: str
    model: str | None
    age_s: float


class LedgerStats(Record, frozen=True):
    """How many entries a ledger has that have not expired, and some of them."""

    count: int
    sessions: tuple[LedgerSummary, ...]


CostBy: TypeAlias = Literal["day", "model", "user"]


class CostRow(Record, frozen=True):
    """What was charged on a day (`2026-11-29`, in UTC), for a model, or for a user.

    `name` is empty where no model was said; of sessions without an owner; and of users
    who were erased.
    """

    name: str
    cost_micros: int


class CostReport(Record, frozen=True):
    """What was charged, in millionths of a US dollar, added up in one way.

    By day the last first, else the dearest first. `total_micros` is of all of them,
    also where there are more than `rows` has: then `complete` is False.
    """

    by: CostBy
    rows: tuple[CostRow, ...]
    total_micros: int
    complete: bool


class Item(Record, frozen=True):
    """A small document in a namespace, outside sessions or in one (`session_id`).

    `version` counts its changes from 1; one that is made anew after it was deleted or
    has expired begins at 1 again. From `expires_at` on it is not found; `ttl_s` is how
    many seconds each use lets it live, None where its end does not move.
    """

    namespace: str
    key: str
    value: Json
    version: int
    user_id: str | None
    created_at: datetime
    updated_at: datetime
    expires_at: datetime | None
    ttl_s: float | None
    session_id: str | None


class SessionDocument(Record, frozen=True):
    """Everything that belongs to one session: the unit of archive, restore and export.

    Turns are in `seq` order, interactions too, graph states by namespace and version.
    `tool_sets` maps a `tools_hash` to the tool definitions that turns refer to, and
    `adapter_state` the name of an adapter to what it keeps, in the order of the names.
    Items are by namespace and key, attachments that the turns name by hash.
    """

    session: Session
    turns: tuple[Turn, ...]
    tool_sets: dict[str, list[Json]]
    interactions: tuple[Interaction, ...]
    graph_states: tuple[GraphState, ...]
    ledger: LedgerEntry | None
    holds: tuple[LegalHold, ...]
    adapter_state: dict[str, JsonObject] = field(default_factory=dict)
    items: tuple[Item, ...] = ()
    checkpoints: StoredCheckpoints = NO_CHECKPOINTS
    attachments: tuple[Attachment, ...] = ()


class Applied(Record, frozen=True):
    """What `sessions.apply` has done, in the order in which it was asked for.

    `items` has None for each that was deleted. Where `repeated` is True it was all done
    before: `turns` and `interactions` are the first ones, `items` is empty.
    """

    session: Session
    created: bool
    turns: tuple[Turn, ...]
    interactions: tuple[Interaction, ...]
    items: tuple[Item | None, ...]
    repeated: bool


class FeedbackSummary(Record, frozen=True):
    """The effective feedback of a session: the last not retracted one per actor,
    target and action."""

    total: int
    by_label: dict[str, int]
    by_turn: dict[int, dict[str, int]]
    by_node: dict[str, dict[str, int]]
    mean_score: float | None


class Page(Record, Generic[T], frozen=True):
    """One page of a list; pass `next_cursor` on to get the next, None at the end.

    `previous_cursor` goes back to the page before, where the list can: None at its
    beginning, and of lists that go one way.

    `complete` is False where the call ended before it had looked at all that could
    belong here: then a short or empty page does not mean that there is no more.
    """

    items: tuple[T, ...]
    next_cursor: str | None
    complete: bool = True
    previous_cursor: str | None = None


class TurnInput(Record, frozen=True):
    """What a caller gives for one turn; `Turns.append_many` takes these or mappings.

    `parent_seq` None continues the active branch, 0 begins a new first turn, any
    other number branches off after that turn. `payload` is bytes, kept as they are, or
    JSON, kept as its text; it goes together with `payload_format`.
    """

    role: str
    content: str | None = None
    parts: list[Json] | None = None
    name: str | None = None
    tool_call_id: str | None = None
    model: str | None = None
    finish_reason: str | None = None
    tokens_in: int | None = None
    tokens_out: int | None = None
    cost_micros: int | None = None
    language: str | None = None
    resolved_question: str | None = None
    template_id: str | None = None
    slots: Mapping[str, str] | None = None
    results: list[JsonObject] | None = None
    tools: list[Json] | None = None
    metadata: Mapping[str, Json] = field(default_factory=dict)
    external_id: str | None = None
    parent_seq: int | None = None
    created_at: datetime | None = None
    payload: bytes | Json | None = None
    payload_format: str | None = None

    def __repr__(self) -> str:
        return repr_without(self, "payload")


class TurnFields(TypedDict, total=False):
    """The fields of a `TurnInput`, as keyword arguments."""

    role: Required[str]
    content: str | None
    parts: list[Json] | None
    name: str | None
    tool_call_id: str | None
    model: str | None
    finish_reason: str | None
    tokens_in: int | None
    tokens_out: int | None
    cost_micros: int | None
    language: str | None
    resolved_question: str | None
    template_id: str | None
    slots: Mapping[str, str] | None
    results: list[JsonObject] | None
    tools: list[Json] | None
    metadata: Mapping[str, Json]
    external_id: str | None
    parent_seq: int | None
    created_at: datetime | None
    payload: bytes | Json | None
    payload_format: str | None


class InteractionInput(Record, frozen=True):
    """What a caller gives for one interaction; `turn_seq` None and `node_id` None mean
    the session itself.

    The same `external_id` again gives the first interaction back and adds nothing.
    """

    action: str
    turn_seq: int | None = None
    node_id: str | None = None
    choice: Choice | None = None
    actor_id: str | None = None
    actor_kind: ActorKind = "human"
    feedback: str | None = None
    score: float | None = None
    reason: str | None = None
    content: str | None = None
    shown: Json = None
    surface: str | None = None
    supersedes: int | None = None
    metadata: Mapping[str, Json] = field(default_factory=dict)
    external_id: str | None = None
    created_at: datetime | None = None


class ItemInput(Record, frozen=True):
    """What a caller gives for one item of `sessions.apply`.

    Exactly one of `value`, `patch` (a merge patch) and `delete`. With `inside` it is
    one of the session, else one outside sessions. The rest is as in `items.put`.
    """

    namespace: str
    key: str
    value: Json | Unset = UNSET
    patch: Mapping[str, Json] | None = None
    delete: bool = False
    inside: bool = False
    user_id: str | None = None
    expires_at: datetime | None = None
    ttl_s: float | None = None
    expected_version: int | None = None
