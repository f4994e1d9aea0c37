"""Builds a conversation out of what its source says of it, message by message. Pure.

A format tells what was said and what follows what, in the order of the file and under
the source's own ids; this makes turns of it, in an order that later growth does not
disturb.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from convstore.imports.extras import keep
from convstore.imports.fields import (
    language_or_none,
    rest_of,
    tags_of,
    text_or_none,
    time_or_none,
    title_or_none,
)
from convstore.imports.model import GraphStateInput, ImportedSession
from convstore.imports.said import Said as Said
from convstore.imports.sources import Sources, as_payload
from convstore.imports.trees import Arranged, Node, arranged, nearest_kept
from convstore.vocabulary.errors import InvalidInputError
from convstore.vocabulary.ids import check_id
from convstore.vocabulary.records import (
    ActorKind,
    Choice,
    InteractionInput,
    ItemInput,
    Json,
    JsonObject,
    TurnInput,
)

_MOST_METADATA_BYTES = 60_000
"""Of one turn or session: somewhat below what the store takes."""

_MOST_TURN_BYTES = 15 * 1024 * 1024
"""Of one turn with its payload: somewhat below what the store takes, too."""


@dataclass(slots=True)
class Vote:
    """A judgement of one message; `on` is its id, None the whole conversation."""

    id: str
    on: str | None
    label: str | None = None
    score: float | None = None
    rater: str | None = None
    kind: ActorKind = "human"
    reason: str | None = None
    content: str | None = None
    at: datetime | None = None
    metadata: JsonObject = field(default_factory=dict)
    action: str = "feedback"
    chosen: str | None = None
    rejected: tuple[str, ...] = ()
    node_id: str | None = None
    shown: JsonObject | None = None
    surface: str | None = None


class Talk:
    """One conversation while it is read.

    `told` are keys of the source's messages that the format reads whole.
    """

    def __init__(
        self, format_name: str, session_id: str, told: Iterable[str] = ()
    ) -> None:
        self.session_id = safe_id(session_id)
        self.user_id: str | None = None
        self.title: Json = None
        self.tags: Json = None
        self.language: str | None = None
        # Of the answers that name none.
        self.model: str | None = None
        self.created_at: datetime | None = None
        self.metadata: JsonObject = {}
        self.head: str | None = None
        self.adapter_state: dict[str, JsonObject] = {}
        self.items: list[ItemInput] = []
        self.left_out: list[str] = []
        self.without_bytes = 0
        self._format = format_name
        self._said: list[Said | Node] = []
        self._last: dict[str, str] = {}
        self._exact: set[str] = set()
        self._votes: list[Vote] = []
        self._states: list[GraphStateInput] = []
        self._sources = Sources(told)

    def say(self, said: Said) -> Said:
        """Add a step. Its id is as the source has it."""
        self._said.append(said)
        return said

    def text(self, name: str, value: Json) -> str | None:
        """Text that is not empty; anything else that is there is counted."""
        found = text_or_none(value)
        self.drop(name, bool(value) and found is None)
        return found

    def time(self, name: str, value: Json) -> datetime | None:
        """A time; anything else that is there is counted."""
        found = time_or_none(value)
        self.drop(name, bool(value) and found is None)
        return found

    def rest(self, source: Mapping[str, Json], *read: str) -> JsonObject:
        """What an object or row says besides the fields that are `read`; bytes, which
        no JSON has, are counted by name."""
        rest = rest_of(source, *read)
        for key in [key for key, value in rest.items() if isinstance(value, bytes)]:
            del rest[key]
            self.drop(f"column:{key}")
        return rest

    def keep_rest(
        self, source: Mapping[str, Json], *read: str, under: str | None = None
    ) -> None:
        """Keep in the metadata what the object of the conversation says besides the
        fields that are `read`, with `under` in one field. What is there already stays,
        and another value of that name is counted."""
        rest = self.rest(source, *read)
        kept = self.metadata
        if rest and under is not None:
            kept = kept.setdefault(under, {})
        for key, value in rest.items():
            if kept.setdefault(key, value) != value:
                self.drop(f"{under or 'record'}.{key}")

    def name_rest(self, what: str, source: Mapping[str, Json], *read: str) -> None:
        """Count by name what an object that is not kept says besides the fields that
        are `read`."""
        self.left_out += [f"{what}.{key}" for key in rest_of(source, *read)]

    def source(self, steps: Sequence[Said], source: Json) -> None:
        """Note what steps were made of: the first has it as payload, where it says
        more than they do."""
        self._sources.note(steps, source)

    def attach(self, said: Said, part: JsonObject, *, with_bytes: bool) -> None:
        """Add an attachment to a step, and count it where its bytes are elsewhere."""
        said.parts.append(part)
        self.without_bytes += not with_bytes

    def say_all(self, message_id: str, parent: str | None, steps: list[Said]) -> None:
        """Add the steps of one message, each following the one before; what follows
        the message follows the last."""
        for number, step in enumerate(steps):
            step.id = cut_id(message_id, number)
            step.parent = parent
            parent = step.id
            self._said.append(step)
            if number:
                self._exact.add(step.id)
        if steps:
            self._last.setdefault(message_id, steps[-1].id)
        else:
            self.pass_through(message_id, parent)

    def pass_through(self, node_id: str, parent: str | None) -> None:
        """Note what becomes no turn, but has others hanging on it."""
        self._said.append(Node(node_id, parent, kept=False))

    def vote(self, vote: Vote) -> None:
        """Add a judgement; on a message that does not come, it is only counted."""
        self._votes.append(vote)

    def state(self, namespace: str, state: Json, on: int | None = None) -> None:
        """Add a graph state; the same one again is the same by its content."""
        name = f"state:{namespace}:{digest_of(state)}"
        self._states.append(
            GraphStateInput(state, namespace, on, external_id=safe_id(name))
        )

    def drop(self, kind: str, count: int = 1) -> None:
        """Count something that is left out."""
        self.left_out += [kind] * count

    @property
    def last(self) -> str | None:
        """The id of what was said last, in the order of the file."""
        return self._said[-1].id if self._said else None

    def session(self) -> ImportedSession:
        """The conversation as it stands."""
        nodes = [self._node(said) for said in self._said]
        found = arranged(nodes)
        self.drop("parent_absent", found.absent)
        self.drop("parent_loop", found.circles)
        self.drop("message_twice", found.repeated)
        seqs = {nodes[place].id: seq for seq, place in enumerate(found.order, 1)}
        turns = tuple(self._turns(found, seqs))
        title, tags = title_or_none(self.title), tags_of(self.tags)
        self.drop("title", bool(self.title) and title is None)
        self.drop("tags", bool(self.tags) and not tags)
        return ImportedSession(
            session_id=self.session_id,
            turns=turns,
            user_id=None if self.user_id is None else safe_id(self.user_id),
            language=self.language,
            title=title,
            tags=tags,
            metadata=self._fitting(keep(self.metadata, {"format": self._format})),
            created_at=self.created_at,
            interactions=tuple(self._judgements(seqs)) if turns else (),
            graph_states=tuple(self._states) if turns else (),
            adapter_state=self.adapter_state if turns else {},
            items=tuple(self.items) if turns else (),
            head_seq=self._head(nodes, seqs),
            left_out=tuple(self.left_out),
            own_ids=True,
            without_bytes=self.without_bytes,
        )

    def _node(self, said: Said | Node) -> Node:
        parent = said.parent
        if parent is not None and said.id not in self._exact:
            parent = self._last.get(parent, parent)
        return Node(said.id, parent, getattr(said, "at", None), isinstance(said, Said))

    def _turns(self, found: Arranged, seqs: Mapping[str, int]) -> Iterator[TurnInput]:
        sources = self._sources.payloads(self.metadata)
        for seq, place in enumerate(found.order, 1):
            said = self._said[place]
            assert isinstance(said, Said)
            above = found.parents[said.id]
            metadata = self._fitting(said.metadata)
            payload, payload_format = self._payload(
                said, sources.get(id(said)), cut=metadata != said.metadata
            )
            parent = 0 if above is None else seqs[above]
            yield TurnInput(
                role=said.role,
                content=said.content,
                parts=said.parts or None,
                name=_short(said.name),
                tool_call_id=_short(said.tool_call_id),
                model=_short(said.model or self._model_of(said)),
                finish_reason=_short(said.finish_reason),
                tokens_in=said.tokens_in,
                tokens_out=said.tokens_out,
                tools=said.tools,
                slots=said.slots or None,
                cost_micros=said.cost_micros,
                language=language_or_none(said.language),
                resolved_question=said.resolved_question,
                template_id=_short(said.template_id),
                results=said.results,
                metadata=metadata,
                payload=payload,
                payload_format=payload_format,
                external_id=safe_id(said.id),
                parent_seq=None if parent == seq - 1 else parent,
                created_at=said.at,
            )

    def _model_of(self, said: Said) -> str | None:
        return self.model if said.role == "assistant" else None

    def _payload(
        self, said: Said, sources: list[Json] | None, *, cut: bool
    ) -> tuple[bytes | Json, str | None]:
        """What the source said, where that is more, or else all the metadata of a step
        of which some is cut; and what the bytes are."""
        if sources is None and not cut:
            return None, None
        # The turn must take it: nobody wants it more than what was said.
        room = _MOST_TURN_BYTES - _size([said.content, said.parts])
        if sources is not None:
            told = as_payload(sources, room)
            if told is not None:
                return told, self._format
            self.left_out.append("source_too_large")
        if cut and as_payload([said.metadata], room) is not None:
            return said.metadata, f"{self._format}-metadata"
        return None, None

    def _head(self, nodes: list[Node], seqs: Mapping[str, int]) -> int | None:
        if self.head is None or not seqs:
            return None
        known = {node.id: node for node in reversed(nodes)}
        head = nearest_kept(known, self._last.get(self.head, self.head))
        if head is None or head not in seqs:
            self.left_out.append("head_absent")
            return None
        return None if seqs[head] == len(seqs) else seqs[head]

    def _judgements(self, seqs: Mapping[str, int]) -> Iterator[InteractionInput]:
        seen: set[str] = set()
        for vote in self._votes:
            names = [vote.on, vote.chosen, *vote.rejected]
            known = {
                name: seqs.get(self._last.get(name, name))
                for name in names
                if name is not None
            }
            if None in known.values():
                self.drop("feedback_without_its_turn")
                continue
            if vote.id in seen:
                self.drop("feedback_twice")
                continue
            seen.add(vote.id)
            yield self._interaction(vote, {k: v for k, v in known.items() if v})

    def _interaction(self, vote: Vote, seqs: Mapping[str, int]) -> InteractionInput:
        choice = None
        if vote.rejected:
            chosen = None if vote.chosen is None else seqs[vote.chosen]
            choice = Choice(chosen, tuple(seqs[name] for name in vote.rejected))
        return InteractionInput(
            action=vote.action,
            turn_seq=None if vote.on is None else seqs[vote.on],
            choice=choice,
            node_id=None if vote.node_id is None else safe_id(vote.node_id),
            shown=vote.shown,
            surface=_short(vote.surface),
            actor_id=None if vote.rater is None else safe_id(vote.rater),
            actor_kind=vote.kind,
            feedback=None if vote.label is None else _short(vote.label),
            score=vote.score,
            reason=vote.reason,
            content=vote.content,
            metadata=self._fitting(vote.metadata),
            external_id=safe_id(vote.id),
            created_at=vote.at,
        )

    def _fitting(self, metadata: JsonObject) -> JsonObject:
        """The metadata without its largest fields, where all are too much."""
        if not metadata or _size(metadata) <= _MOST_METADATA_BYTES:
            return metadata
        sizes = sorted((_size(value), key) for key, value in metadata.items())
        kept, total = set(), 0
        for size, key in sizes:
            total += size + len(key) + 8
            if total > _MOST_METADATA_BYTES:
                self.left_out.append("metadata_too_large")
            else:
                kept.add(key)
        # In the order in which they came, so that a second import makes the same.
        return {key: value for key, value in metadata.items() if key in kept}


def _size(value: Json) -> int:
    return len(json.dumps(value, ensure_ascii=False).encode("utf-8", "replace"))


def _short(text: Any) -> str | None:
    """Text that a column for names takes; None for what is none."""
    if not isinstance(text, str) or not text:
        return None
    return safe_id(text)


def cut_id(message_id: str, number: int) -> str:
    """The id of what was cut out of a message: the first has the message's own."""
    return message_id if number == 0 else f"{message_id}#{number}"


def safe_id(text: str) -> str:
    """`text` where it can be an id, else one derived from it."""
    try:
        return check_id("id", text)
    except InvalidInputError:
        return f"id-{digest_of(text)}"


def digest_of(value: Json) -> str:
    """128 bits of SHA-256 over a value as JSON with sorted keys, in hexadecimal."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:32]
