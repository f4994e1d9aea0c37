"""Rules over whole sessions: conversations, prompts, trees, documents, reports."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from convstore.export.example import Candidate, Dropped, Example, Message
from convstore.export.formats.messages import only_text
from convstore.export.reading.conversation import Conversation
from convstore.export.rules.base import Rule
from convstore.export.rules.checks import (
    answer_problem,
    language_problem,
    length_problem,
    stale,
)
from convstore.export.rules.verdict import (
    EDIT_ACTIONS,
    RATING_ACTIONS,
    Verdict,
    verdict_of,
)

_SHARED = Dropped("shared-beginning", fault=False)
_UNPAIRED = frozenset({"call-without-result", "result-without-call", "double-result"})


def _conversations(conversation: Conversation, rule: str) -> Iterator[Candidate]:
    verdict = verdict_of(conversation)
    head = conversation.head()
    if conversation.options.branches == "all":
        paths = [conversation.path(leaf) for leaf in conversation.leaves()]
    else:
        paths = [] if head is None else [_preferred(conversation, head, verdict)]
    for path in paths:
        row = _conversation(conversation, rule, path, verdict)
        yield row
        fault = conversation.fault(path) if isinstance(row, Example) else None
        if fault is not None and fault[1] in _UNPAIRED:
            yield Dropped(fault[1])  # What came after it is in no row.


def _preferred(
    conversation: Conversation, head: int, verdict: Verdict
) -> tuple[int, ...]:
    """The active branch; where its answer is unwanted, the one beside it that is best.

    Which was preferred or liked most: of those that nobody praised none is taken.
    """
    path = conversation.path(head)
    for place in range(len(conversation.turns)):
        if place >= len(path):
            break
        seq = path[place]
        if seq not in verdict.unwanted:
            continue
        siblings = conversation.children[conversation.turns[seq].parent_seq]
        praise = {s: (verdict.won[s], verdict.liked[s], -s) for s in siblings}
        rivals = [
            s for s in siblings if any(praise[s][:2]) and s not in verdict.unwanted
        ]
        if rivals:
            best = max(rivals, key=praise.__getitem__)
            path = path[:place] + _newest_below(conversation, best)
    return path


def _newest_below(conversation: Conversation, seq: int) -> tuple[int, ...]:
    path = [seq]
    while path[-1] in conversation.children:
        path.append(conversation.children[path[-1]][-1])
    return tuple(path)


def _conversation(
    conversation: Conversation, rule: str, path: tuple[int, ...], verdict: Verdict
) -> Candidate:
    messages = conversation.messages(path)
    if isinstance(messages, Dropped):
        return messages
    fault = conversation.fault(path)
    reason = Dropped(fault[1]) if fault else Dropped("no-answer", fault=False)
    if fault is not None:
        # What was said before the fault is sound by itself.
        messages = messages[: fault[0]]
    messages = messages[: _sound_length(messages)]
    spans = conversation.spans(path)[: len(messages)]
    if not spans:
        return reason
    path = path[: path.index(spans[-1][-1]) + 1]
    if conversation.is_copied(path[-1]):
        return _SHARED
    if conversation.reported & {0, *path}:
        return Dropped("reported", fault=False)
    tools = conversation.tools(path[-1], messages)
    if isinstance(tools, Dropped):
        return tools
    silent = _silent(conversation, spans, messages, verdict)
    if isinstance(silent, Dropped):
        return silent
    origin = conversation.origin(
        rule,
        path,
        context=conversation.context(spans[-1][0]),
        chosen=path[-1],
    )
    row = Example(
        "conversation", origin, messages[:-1], messages[-1:], tools=tools, silent=silent
    )
    return length_problem(conversation, row) or row


def _sound_length(messages: tuple[Message, ...]) -> int:
    """Up to the last answer that leaves no call open."""
    for length in range(len(messages), 0, -1):
        last = messages[length - 1]
        if last["role"] == "assistant" and "tool_calls" not in last:
            return length
    return 0


def _silent(
    conversation: Conversation,
    spans: Sequence[tuple[int, ...]],
    messages: tuple[Message, ...],
    verdict: Verdict,
) -> tuple[int, ...] | Dropped:
    """Positions of answers that are not to be imitated: disliked, beaten or failed.

    Or the filter that one of the answers does not pass: all of them are trained on.
    """
    silent = []
    for index, (turns, message) in enumerate(zip(spans, messages, strict=True)):
        if message["role"] != "assistant":
            continue
        failed = not verdict.unwanted.isdisjoint(turns)
        for seq in turns:
            problem = answer_problem(conversation, seq, message, good=True)
            if problem is None:
                continue
            if not problem.fault and "tool_calls" not in message:
                return problem
            failed = failed or problem.fault
        if failed:
            silent.append(index)
    return tuple(silent)


def _prompts(conversation: Conversation, rule: str) -> Iterator[Candidate]:
    approved = _approved(conversation)
    for seq in conversation.turns:
        if conversation.role(seq) != "user":
            continue
        if conversation.is_copied(seq):
            yield _SHARED
            continue
        path = conversation.path(seq)
        messages = conversation.messages(path)
        if isinstance(messages, Dropped):
            yield messages
            continue
        tools = conversation.tools(seq, messages)
        problem = conversation.problem(path) or language_problem(conversation, seq)
        if problem or isinstance(tools, Dropped):
            yield problem or Dropped("calls-without-definitions")
            continue
        origin = conversation.origin(rule, [seq], context=conversation.context(seq))
        reference = approved.get(seq, "")
        row = Example("prompt", origin, messages, reference=reference, tools=tools)
        yield length_problem(conversation, row) or row


def _approved(conversation: Conversation) -> dict[int, str]:
    """Text that people approved or wrote as an answer, by the turn that asked."""
    texts: dict[int, str] = {}
    disliked = verdict_of(conversation).disliked
    for act in conversation.feedback:
        turn = conversation.turns.get(act.turn_seq or 0)
        if turn is None or stale(conversation, act):
            continue
        asked = conversation.turns[conversation.segment(turn.seq)[0]].parent_seq
        if asked is None:
            continue
        if act.action in EDIT_ACTIONS and act.content:
            texts[asked] = act.content
        elif (
            conversation.meaning(act) == "good"
            and turn.content
            and turn.seq not in disliked
        ):
            texts.setdefault(asked, turn.content)
    return texts


def _trees(conversation: Conversation, rule: str) -> Iterator[Candidate]:
    if 0 in conversation.reported:
        yield Dropped("reported", fault=False)
        return
    roots = [seq for seq in conversation.turns if _is_root(conversation, seq)]
    if not roots:
        yield Dropped("no-user-turn")
    for root in roots:
        if root in conversation.reported:
            yield Dropped("reported", fault=False)
            continue
        if problem := language_problem(conversation, root):
            yield problem
            continue
        if not (conversation.turns[root].content or "").strip():
            yield Dropped("empty-turn")
            continue
        kept, pruned = _alternating(conversation, root)
        if all(conversation.is_copied(seq) for seq in kept):
            yield _SHARED
            continue
        for _ in range(pruned):
            yield Dropped("branch-cut", fault=False)
        origin = conversation.origin(rule, kept, context=conversation.context(root))
        yield Example("tree", origin, document=conversation.document)


def _is_root(conversation: Conversation, seq: int) -> bool:
    """A user turn with nothing before it but system turns."""
    if conversation.role(seq) != "user":
        return False
    return all(conversation.role(s) == "system" for s in conversation.path(seq)[:-1])


def _alternating(conversation: Conversation, root: int) -> tuple[list[int], int]:
    """Turns below `root` in which people and models answer each other in text.

    Also how many branches were cut because they do not, or were reported. A model's
    message may be many turns; one that makes a call is cut whole, with its text.
    """
    kept, pruned, waiting = [root], 0, [(root, True)]
    while waiting:
        seq, said = waiting.pop()
        for child in conversation.children.get(seq, ()):
            role = conversation.role(child)
            speaks = bool((conversation.turns[child].content or "").strip())
            if role == "assistant" == conversation.role(seq):
                speaks = speaks or said
            elif role == conversation.role(seq) or not said:
                role = ""
            if not _is_plain(conversation, child, role, speaks):
                pruned += 1
                continue
            kept.append(child)
            waiting.append((child, speaks))
    return [root, *sorted(kept[1:])], pruned


def _is_plain(conversation: Conversation, seq: int, role: str, speaks: bool) -> bool:
    """Whether a turn is text, or a thought that text follows, and so is its message."""
    turn, below = conversation.turns[seq], conversation.children.get(seq, ())
    if not only_text(turn) or seq in conversation.reported:
        return False
    if role == "user":
        return speaks
    more = [child for child in below if conversation.role(child) == "assistant"]
    sound = all(only_text(conversation.turns[child]) for child in more)
    return role == "assistant" and sound and (speaks or bool(more))


def _documents(conversation: Conversation, rule: str) -> Iterator[Candidate]:
    origin = conversation.origin(rule, list(conversation.turns))
    reported = tuple(sorted(conversation.reported))
    whole = Example(
        "whole",
        origin,
        document=conversation.document,
        silent=reported,
        payloads=conversation.options.payloads,
    )
    yield language_problem(conversation, None) or whole


def _session_ratings(conversation: Conversation, rule: str) -> Iterator[Candidate]:
    first = next(
        (s for s in conversation.turns if conversation.role(s) == "user"), None
    )
    for action in RATING_ACTIONS:
        for act in conversation.acts.get(action, ()):
            if act.turn_seq or act.node_id is not None or act.choice is not None:
                continue
            score = conversation.stars(act)
            if score is None or first is None:
                yield Dropped("session-rating-without-score")
                continue
            messages = conversation.messages(conversation.path(first))
            if isinstance(messages, Dropped):
                yield messages
                continue
            weight = round(min(max((score - 1) / 4, 0.0), 1.0), 6)
            origin = conversation.origin(
                rule, [first], [act], context=conversation.context(first), weight=weight
            )
            problem = conversation.problem(conversation.path(first))
            problem = problem or language_problem(conversation, first)
            yield problem or Example("prompt", origin, messages)


def _reports(conversation: Conversation, rule: str) -> Iterator[Candidate]:
    # Takes rows away, in `Conversation.problem` and wherever `reported` is read.
    yield from ()


CONVERSATION = Rule(
    "conversation",
    2,
    frozenset({"conversation"}),
    "a whole branch; disliked and failed answers are not imitated",
    _conversations,
)
PROMPT = Rule(
    "prompt", 2, frozenset({"prompt"}), "each user turn with what came before", _prompts
)
TREE = Rule("tree", 2, frozenset({"tree"}), "all branches of a session", _trees)
DOCUMENT = Rule("document", 1, frozenset({"whole"}), "a whole session", _documents)
R16 = Rule(
    "R16",
    2,
    frozenset({"prompt"}),
    "a rating of the whole session, as the weight of its first prompt",
    _session_ratings,
    default=False,
)
R17 = Rule("R17", 1, frozenset(), "what was reported or flagged goes nowhere", _reports)
