"""One session as the rules see it: a tree of turns, and the feedback that still stands.

Contexts are compared by hash: `context(seq)` covers everything the model saw before it
wrote that turn, which is the path of turns to its parent and the tools on offer.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from functools import reduce

from convstore.export.example import Dropped, Message, Origin, Side
from convstore.export.formats.messages import Messages, has_calls, messages_of, more_of
from convstore.export.formats.tools import infer_definitions, tool_definitions
from convstore.export.options import ExportOptions
from convstore.export.reading.roles import reported, role_of
from convstore.messages.attached import inlined
from convstore.messages.sequence import NO_MESSAGES, Shape, ended, followed, whole
from convstore.vocabulary.clock import to_micros
from convstore.vocabulary.codec import dumps
from convstore.vocabulary.feedback import in_force
from convstore.vocabulary.judgements import Reading
from convstore.vocabulary.policy import FeedbackPolicy
from convstore.vocabulary.records import (
    GraphState,
    Interaction,
    Json,
    Meaning,
    SessionDocument,
    Turn,
)

_ROOT = b"\0" * 32
_MODEL = ("assistant", "tool")
"""Who speaks between two turns of a user."""


class Conversation:
    """A view over one session document. Nothing in it changes the document.

    Args:
        document: As stored.
        options: How to read it.
        told: The same session with personal data redacted, for the rows.
        detect: Tells the language of a text, for turns without one.
        reading: Reads feedback as the options say; made from them if not given.
    """

    def __init__(
        self,
        document: SessionDocument,
        options: ExportOptions,
        *,
        told: SessionDocument | None = None,
        detect: Callable[[str], str] | None = None,
        reading: Reading | None = None,
    ) -> None:
        # Contexts and checks are about the words as stored; rows hold those of `told`.
        self.document, self.options = told or document, options
        self._detect = detect
        self.session = document.session
        # Rows stand alone: they hold the bytes of attachments, not their names.
        turns = inlined(document).turns
        self.turns: dict[int, Turn] = {turn.seq: turn for turn in turns}
        self._told = self.turns
        if told is not None:
            self._told = {turn.seq: turn for turn in inlined(told).turns}
        self._roles = {turn.seq: role_of(turn) for turn in document.turns}
        self.children: dict[int | None, list[int]] = {}
        for turn in document.turns:
            self.children.setdefault(turn.parent_seq, []).append(turn.seq)
        self.feedback: tuple[Interaction, ...] = in_force(self.document.interactions)
        self.reading = reading or reading_of(options)
        self.graph_states: Sequence[GraphState] = self.document.graph_states
        self.acts: dict[str, list[Interaction]] = {}
        for act in self.feedback:
            self.acts.setdefault(act.action, []).append(act)
        watched = "R17" in options.rules
        self.reported = reported(self.feedback) if watched else frozenset()
        root = self.session.metadata.get("root_session_id")
        root = root if isinstance(root, str) and root else self.session.root_session_id
        self.group_id = root or self.session.id
        self.text_problems: dict[int, Dropped | None] = {}
        """What `checks.answer_problem` found in the text of a turn, by turn."""
        # Paths share their beginnings: what is told of one is kept, turn by turn.
        self._paths: dict[int | None, tuple[int, ...]] = {}
        self._active: frozenset[int] | None = None
        self._messages: dict[int, Messages] = {}
        self._untold: dict[int, Dropped] = {}
        self._shapes: dict[int, Shape] = {}
        self._prefixes: dict[int | None, bytes] = {None: _ROOT}
        self._contexts: dict[tuple[int | None, str | None], str] = {}
        self._tools: dict[str, list[Json] | None] = {}
        self._whole: dict[int, tuple[int, ...]] = {}
        self._meanings: dict[str | None, Meaning | None] = {None: None}

    def path(self, seq: int | None) -> tuple[int, ...]:
        """The turns from the first to `seq`, by number; empty for None.

        A parent that is not in the document ends the path: it begins there.
        """
        known = self._paths.get(seq)
        if known is None:
            path: list[int] = []
            here, turns, paths = seq, self.turns, self._paths
            for _ in turns:  # Once around at most: no store makes a circle.
                if here is None or here in paths or here not in turns:
                    break
                path.append(here)
                here = turns[here].parent_seq
            path.reverse()
            known = self._paths[seq] = (*self._paths.get(here, ()), *path)
        return known

    def leaves(self) -> list[int]:
        """Turns that nothing follows, in `seq` order."""
        return [seq for seq in self.turns if seq not in self.children]

    def head(self) -> int | None:
        """The tip of the active branch, None where that is empty; the last turn where
        it is not in the document."""
        head = self.session.head_seq
        if head is None or head in self.turns:
            return head
        return max(self.turns, default=None)

    def taken_back(self, seq: int) -> bool:
        """Whether code left the branch that ends in `seq`, and not a person's taste."""
        return any(
            act.turn_seq == seq and act.actor_kind == "code"
            for action in _LEFT_BY_CODE
            for act in self.acts.get(action, ())
        )

    def is_copied(self, seq: int) -> bool:
        """Whether a turn is the copy that a fork began with: its source gives rows."""
        return seq <= (self.session.forked_turns or 0)

    def message(self, seq: int) -> tuple[int, ...]:
        """The turns of the message that a turn is a part of, in their order.

        An assistant's message goes on through its neighbours: along the active branch
        for a turn on it, else along the newest turns.
        """
        known = self._whole.get(seq)
        if known is None:
            known = self._whole[seq] = self._message(seq)
        return known

    def _message(self, seq: int) -> tuple[int, ...]:
        if self._roles.get(seq) != "assistant":
            return (seq,)
        start, turns = seq, [seq]
        while (parent := self.turns[start].parent_seq) is not None:
            if self._roles.get(parent) != "assistant" or len(turns) > len(self.turns):
                break
            start = parent
            turns.insert(0, start)
        while (child := self._next(turns[-1])) is not None:
            if self._roles[child] != "assistant":
                break
            turns.append(child)
        return tuple(turns)

    def segment(self, seq: int) -> tuple[int, ...]:
        """The turns with which the model got from a user's turn to this answer.

        Calls, results and the answer belong together: siblings are compared as whole
        segments, whose context ends with what a user said. The answer is the whole
        message that the turn is a part of.
        """
        tip = self.message(seq)[-1]
        parent = self.turns[tip].parent_seq
        if parent is None or self._roles.get(parent) not in _MODEL:
            return (tip,)  # Most answers: no path has to be made for them.
        path = self.path(tip)
        start = len(path) - 1
        while start > 0 and self.role(path[start - 1]) in _MODEL:
            start -= 1
        return path[start:]

    def is_open(self, tip: int) -> bool:
        """Whether a call of the message that ends in turn `tip` has no result.

        Only of a turn whose path could be told, and is sound.
        """
        shape, here = self._shapes.get(tip) or self._shape(self.path(tip)), tip
        while shape.open and shape.fault is None:
            child = self._next(here)
            if child is None or self._roles[child] != "tool":
                return True
            here = child
            told = self._tell(child)
            if isinstance(told, Dropped):
                return True
            shape = reduce(followed, told, shape)
        return shape.fault is not None

    def context(self, seq: int) -> str:
        """Hex SHA-256 of all the model saw before turn `seq`."""
        turn = self.turns[seq]
        # Answers to one question share it.
        key = turn.parent_seq, turn.tools_hash
        known = self._contexts.get(key)
        if known is None:
            seen = self._prefix(turn.parent_seq) + (turn.tools_hash or "").encode()
            known = self._contexts[key] = hashlib.sha256(seen).hexdigest()
        return known

    def messages(self, path: Sequence[int]) -> Messages | Dropped:
        """The turns of a path as messages, or why one of them cannot be told."""
        found: list[Message] = []
        speaking = False
        known = self._messages
        for seq in path:
            if (messages := known.get(seq)) is None:
                told = self._untold.get(seq) or self._tell_anew(seq)
                if isinstance(told, Dropped):
                    return told
                messages = told
            for message in messages:
                speaks = message["role"] == "assistant"
                if speaks and speaking:
                    found[-1] = more_of(found[-1], message)
                else:
                    found.append(message)
                speaking = speaks
        return tuple(found)

    def spans(self, path: Sequence[int]) -> list[tuple[int, ...]]:
        """For each of the messages of a path the turns that it was told in."""
        spans: list[tuple[int, ...]] = []
        speaking = False
        for seq in path:
            for message in self._messages[seq]:
                speaks = message["role"] == "assistant"
                if speaks and speaking:
                    spans[-1] = (*spans[-1], seq)
                else:
                    spans.append((seq,))
                speaking = speaks
        return spans

    def fault(self, path: tuple[int, ...]) -> tuple[int, str] | None:
        """Where and why chat templates would not take a path as a conversation.

        Only of a path from the first turn, whose messages could be told.
        """
        return ended(self._shape(path)).fault

    def tools(
        self, seq: int, messages: Sequence[Message]
    ) -> list[Json] | Dropped | None:
        """The tool definitions for a row that ends with turn `seq`.

        Those on offer at that turn, or at the last turn before it that names any.
        """
        sets = self.document.tool_sets
        name = self._offered(seq) if sets else None
        if name is not None and name in sets:
            if name not in self._tools:
                self._tools[name] = tool_definitions(sets[name])
            known = self._tools[name]
            return Dropped("tools-malformed") if known is None else known or None
        if not has_calls(messages):
            return None
        if self.options.undefined_tools == "infer":
            return infer_definitions(messages)
        return Dropped("calls-without-definitions")

    def _offered(self, seq: int) -> str | None:
        path, turns = self.path(seq), self.turns
        return next((h for s in reversed(path) if (h := turns[s].tools_hash)), None)

    def problem(
        self, path: tuple[int, ...], *, then: Message | None = None
    ) -> Dropped | None:
        """What makes rows over this path unsound, whatever the format.

        Of paths as for `fault`; `then` is a message after them that is no turn.
        """
        if self.reported and self.reported & {0, *path}:
            return Dropped("reported", fault=False)
        shape = whole(self._shape(path))
        if then is not None:
            shape = followed(shape, then)
        return None if shape.fault is None else Dropped(shape.fault[1])

    def origin(
        self,
        rule: str,
        turns: Sequence[int],
        acts: Sequence[Interaction] = (),
        *,
        context: str = "",
        chosen: int | None = None,
        rejected: int | None = None,
        weight: float = 1.0,
        side: Side = "",
    ) -> Origin:
        """Where a row comes from; `chosen` and `rejected` name turns."""
        times = [act.created_at for act in acts]
        times = times or [self.turns[seq].created_at for seq in turns]
        at_us = to_micros(max(times, default=self.session.created_at))
        return Origin(
            rule=rule,
            tenant_id=self.session.tenant_id,
            session_id=self.session.id,
            group_id=self.group_id,
            user_id=self.session.user_id or "",
            turn_ids=tuple(turns),
            feedback_ids=tuple([act.seq for act in acts]),
            context_sha256=context,
            model_chosen=self._model(chosen),
            model_rejected=self._model(rejected),
            language=self.language(turns[0] if turns else None),
            weight=weight,
            side=side,
            votes=_voters(acts) if len(acts) > 1 else 1,
            at_ms=at_us // 1000,
            at_us=at_us,
        )

    def language(self, seq: int | None) -> str:
        """The language of a turn: its own, the session's, or detected; else empty."""
        turn = self.turns.get(seq or 0)
        stored = (turn and turn.language) or self.session.language
        if stored or turn is None or self._detect is None:
            return stored or ""
        return self._detect(turn.content or "")

    def meaning(self, act: Interaction) -> Meaning | None:
        """What the label of an act says."""
        # Each rule asks it of each act.
        label = act.feedback
        if label not in self._meanings:
            self._meanings[label] = self.reading.meaning(label)
        return self._meanings[label]

    def stars(self, act: Interaction) -> float | None:
        """The score of an act, brought to 1 to 5; None where its scale is not known."""
        rating = self.reading.rating(act)
        return None if rating is None else 1 + 4 * rating

    def role(self, seq: int) -> str:
        """`system`, `user`, `assistant`, `tool`, or the stored word if none of them."""
        return self._roles[seq]

    def _tell(self, seq: int) -> Messages | Dropped:
        """The messages that a turn is by itself; kept, because paths share them."""
        known = self._messages.get(seq) or self._untold.get(seq)
        return known if known is not None else self._tell_anew(seq)

    def _tell_anew(self, seq: int) -> Messages | Dropped:
        told = messages_of(
            self._told[seq], resolved_question=self.options.resolved_questions
        )
        if isinstance(told, Dropped):
            self._untold[seq] = told
        else:
            self._messages[seq] = told
        return told

    def _next(self, seq: int) -> int | None:
        """The turn after this one on the active branch, or else the newest."""
        children = self.children.get(seq)
        if not children:
            return None
        if self._active is None:
            self._active = frozenset(self.path(self.head()))
        if seq in self._active:
            return next((child for child in children if child in self._active), None)
        return children[-1]

    def _model(self, seq: int | None) -> str:
        return (self.turns[seq].model if seq is not None else None) or ""

    def _shape(self, path: tuple[int, ...]) -> Shape:
        if not path:
            return NO_MESSAGES
        if path != self.path(path[-1]):
            # Of two branches that were said alike.
            messages = (message for seq in path for message in self._messages[seq])
            return reduce(followed, messages, NO_MESSAGES)
        known = len(path)
        while known and path[known - 1] not in self._shapes:
            known -= 1
        shape = self._shapes[path[known - 1]] if known else NO_MESSAGES
        for seq in path[known:]:
            for message in self._messages[seq]:
                shape = followed(shape, message)
            self._shapes[seq] = shape
        return shape

    def _prefix(self, seq: int | None) -> bytes:
        wanted, missing = seq, list[int]()
        while seq not in self._prefixes:
            if seq is None or seq not in self.turns or len(missing) > len(self.turns):
                # A parent outside the document: its number stands for what is unknown.
                self._prefixes[seq] = hashlib.sha256(dumps(["?", seq])).digest()
                break
            missing.append(seq)
            seq = self.turns[seq].parent_seq
        for later in reversed(missing):
            turn = self.turns[later]
            said = [turn.role, turn.content, turn.parts, turn.name, turn.tool_call_id]
            before = self._prefixes[turn.parent_seq]
            self._prefixes[later] = hashlib.sha256(before + dumps(said)).digest()
        return self._prefixes[wanted]


def reading_of(options: ExportOptions) -> Reading:
    """What reads feedback as the options say."""
    return Reading(options.judging.over(FeedbackPolicy()))


def _voters(acts: Sequence[Interaction]) -> int:
    return len({(act.actor_id, act.actor_kind) for act in acts})


_LEFT_BY_CODE = ("pop", "clear", "compact")
