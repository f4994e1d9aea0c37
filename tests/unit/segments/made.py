"""Session documents for tests: a plain one, one with every odd value, and any."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from hypothesis import strategies as st

from convstore.blobs.base import BlobStore
from convstore.segments.manifest import Manifest
from convstore.segments.writer import SegmentWriter
from convstore.vocabulary.clock import from_micros, to_micros
from convstore.vocabulary.records import (
    Choice,
    GraphState,
    Interaction,
    LedgerEntry,
    LegalHold,
    Session,
    SessionDocument,
    Turn,
)

AT = datetime(2026, 1, 31, 23, 59, 59, 123456, tzinfo=UTC)
WRITER = "convstore 0.1.0"
MARKER = "what-people-said"

SESSION = Session(
    tenant_id="default",
    id="s-0",
    state="active",
    version=3,
    user_id="u-1",
    title="Archieven in Enschede",
    language="nl",
    tags=(),
    metadata={},
    created_at=AT,
    updated_at=AT,
    last_activity_at=AT,
    expires_at=None,
    head_seq=2,
    branched=False,
    turn_count=2,
    interaction_count=0,
    graph_state_count=0,
    feedback_counts={},
    current_slots={},
    current_template_id=None,
    hold_count=0,
    archived_at=None,
    segment_id=None,
)

TURN = Turn(
    session_id="s-0",
    seq=1,
    parent_seq=None,
    role="user",
    content=MARKER,
    parts=None,
    name=None,
    tool_call_id=None,
    model=None,
    finish_reason=None,
    tokens_in=None,
    tokens_out=None,
    cost_micros=None,
    language=None,
    resolved_question=None,
    template_id=None,
    slots=None,
    results=None,
    tools_hash=None,
    metadata={},
    external_id=None,
    created_at=AT,
)

INTERACTION = Interaction(
    session_id="s-0",
    seq=1,
    action="feedback",
    turn_seq=2,
    node_id=None,
    choice=None,
    actor_id="u-1",
    actor_kind="human",
    feedback="correct",
    score=1.0,
    reason=None,
    content=None,
    shown=None,
    surface=None,
    supersedes=None,
    metadata={},
    external_id=None,
    created_at=AT,
)

GRAPH_STATE = GraphState(
    session_id="s-0",
    namespace="default",
    version=1,
    state={"nodes": [], "edges": []},
    turn_seq=None,
    metadata={},
    external_id=None,
    created_at=AT,
)


def plain(number: int, turns: int = 2, content: str = MARKER) -> SessionDocument:
    """Session `s-<number>` with so many turns."""
    session_id = f"s-{number}"
    session = replace(SESSION, id=session_id, turn_count=turns, head_seq=turns or None)
    return SessionDocument(
        session=session,
        turns=tuple(
            replace(
                TURN,
                session_id=session_id,
                seq=seq,
                parent_seq=seq - 1 or None,
                role="user" if seq % 2 else "assistant",
                content=f"{content} {number} {seq}",
            )
            for seq in range(1, turns + 1)
        ),
        tool_sets={},
        interactions=(),
        graph_states=(),
        ledger=None,
        holds=(),
    )


def odd() -> list[SessionDocument]:
    """Documents with values that formats tend to lose."""
    return [_branched(), _tools(), _texts(), plain(3, turns=0), plain(4, turns=200)]


def _branched() -> SessionDocument:
    document = plain(0, turns=4)
    turns = [
        replace(turn, parent_seq=parent)
        for turn, parent in zip(document.turns, (None, 1, 1, None), strict=True)
    ]
    session = replace(
        document.session,
        branched=True,
        interaction_count=3,
        graph_state_count=2,
        feedback_counts={"correct": 1, "thumbs_down": 0},
        current_slots={"place": "Enschede", "": ""},
        tags=("klacht", "naïve", "🗂"),
        hold_count=1,
    )
    return replace(
        document,
        session=session,
        turns=tuple(turns),
        interactions=(
            INTERACTION,
            replace(
                INTERACTION,
                seq=2,
                action="choose",
                turn_seq=None,
                choice=Choice(chosen=2, rejected=(3,)),
                shown={"order": [3, 2]},
                score=-0.0,
            ),
            replace(
                INTERACTION,
                seq=3,
                choice=Choice(chosen=None, rejected=()),
                actor_kind="model",
                score=None,
                supersedes=1,
            ),
        ),
        graph_states=(
            GRAPH_STATE,
            replace(
                GRAPH_STATE, namespace="plan", state=[None, True, {"b": 1, "a": 2}]
            ),
        ),
        ledger=LedgerEntry(
            session_id="s-0",
            model="m",
            tier=None,
            user_explicit=True,
            request_count=7,
            strikes=0,
            recent_hashes=("ab", "cd"),
            cost_micros=2**63 - 1,
            cache_provider=None,
            cache_sticky_until=AT + timedelta(microseconds=1),
            created_at=AT,
            last_used_at=AT.replace(microsecond=0),
        ),
        holds=(LegalHold("s-0", 1, "case 12", "counsel", AT, None, None),),
    )


def _tools() -> SessionDocument:
    document = plain(1, turns=3)
    call = {"id": "c1", "function": {"name": "find", "arguments": '{"q":"\\u00e9"}'}}
    user, asked, answered = document.turns
    tools = [{"type": "function", "function": {"name": "find", "parameters": {}}}]
    return replace(
        document,
        turns=(
            replace(user, slots={"place": "Enschede"}, resolved_question="Waar?"),
            replace(
                asked,
                content=None,
                parts=[{"type": "tool_call", "call": call}, [[[[]]]], None, 1e300, ""],
                tools_hash="f00",
                finish_reason="tool_calls",
                tokens_in=0,
                tokens_out=12,
                cost_micros=1,
            ),
            replace(
                answered,
                role="tool",
                content="",
                tool_call_id="c1",
                results=[{"title": "Archief", "z": 1, "a": -(2**63)}],
                metadata={"z": {"y": [0.1, 1.0, -0.0, 5e-324]}, "a": False},
            ),
        ),
        tool_sets={"f00": tools, "0": []},
    )


def _texts() -> SessionDocument:
    texts = [
        "👩‍👩‍👧‍👦 🇳🇱 \U0010ffff",
        "שלום مرحبا \u202eabc\u202c",
        "line\nfeed\r\ntab\t\u2028\u2029\x1b[31m\x01\x7f",
        "e\u0301 é ﬁ Å \ufeff\ufffd",
        '"quoted\\" \\u0041 </script> {"format":"x"}',
        " leading and trailing ",
    ]
    document = plain(2, turns=len(texts))
    session = replace(
        document.session, tenant_id="acme\n../..", id="../../s 🗃", user_id=None
    )
    return replace(
        document,
        session=session,
        turns=tuple(
            replace(turn, session_id=session.id, content=text, external_id=text)
            for turn, text in zip(document.turns, texts, strict=True)
        ),
    )


def write(
    blobs: BlobStore, documents: list[SessionDocument], **options: Any
) -> Manifest:
    """One published segment of these documents."""
    settings: dict[str, Any] = {"writer": WRITER, "created_at": AT, **options}
    with SegmentWriter(blobs, **settings) as writer:
        for document in documents:
            writer.add(document)
        return writer.finish()


_texts_any = st.text(
    st.characters(exclude_categories=("Cs",), exclude_characters="\0"), max_size=30
)
_ids = _texts_any.filter(bool)
_counts = st.integers(0, 2**63 - 1)
_numbers = st.integers(1, 2**63 - 1)
_times = st.integers(0, to_micros(datetime(2199, 1, 1, tzinfo=UTC))).map(from_micros)
_json = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | _texts_any,
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(_texts_any, inner, max_size=3)
    ),
    max_leaves=6,
)
_objects = st.dictionaries(_texts_any, _json, max_size=3)
_slots = st.dictionaries(_texts_any, _texts_any, max_size=2)


def _with(record: Any, **choices: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.fixed_dictionaries({}, optional=choices).map(
        lambda changes: replace(record, **changes)
    )


def _maybe(values: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.none() | values


def any_documents() -> st.SearchStrategy[list[SessionDocument]]:
    """One to five documents of different sessions, with anything that can be stored."""
    sessions = _with(
        SESSION,
        tenant_id=_ids,
        version=_numbers,
        user_id=_maybe(_ids),
        title=_texts_any,
        tags=st.lists(_texts_any, max_size=3).map(tuple),
        metadata=_objects,
        expires_at=_maybe(_times),
        created_at=_times,
        feedback_counts=st.dictionaries(_texts_any, _counts, max_size=2),
        current_slots=_slots,
    )
    turns = _with(
        TURN,
        parent_seq=_maybe(_numbers),
        role=_texts_any,
        content=_maybe(_texts_any),
        parts=_maybe(st.lists(_json, max_size=3)),
        tokens_in=_maybe(_counts),
        slots=_maybe(_slots),
        results=_maybe(st.lists(_objects, max_size=2)),
        metadata=_objects,
        created_at=_times,
    )
    payloads = _maybe(st.binary(max_size=20) | _texts_any.map(str.encode))
    turns = st.builds(
        lambda turn, payload: replace(
            turn, payload=payload, payload_format=None if payload is None else "f"
        ),
        turns,
        payloads,
    )
    interactions = _with(
        INTERACTION,
        choice=_maybe(
            st.builds(
                Choice,
                chosen=_maybe(_numbers),
                rejected=st.lists(_numbers, max_size=3).map(tuple),
            )
        ),
        score=_maybe(st.floats(allow_nan=False, allow_infinity=False)),
        content=_maybe(_texts_any),
        shown=_json,
        actor_kind=st.sampled_from(["human", "model", "code"]),
    )
    documents = st.builds(
        SessionDocument,
        session=sessions,
        turns=st.lists(turns, max_size=3).map(_numbered),
        tool_sets=st.dictionaries(_texts_any, st.lists(_json, max_size=2), max_size=2),
        interactions=st.lists(interactions, max_size=2).map(_numbered),
        graph_states=st.lists(
            _with(GRAPH_STATE, namespace=_texts_any, state=_json), max_size=2
        ).map(tuple),
        ledger=st.none(),
        holds=st.lists(
            st.builds(
                LegalHold,
                session_id=_ids,
                number=_numbers,
                reason=_texts_any,
                placed_by=_maybe(_texts_any),
                placed_at=_times,
                released_by=_maybe(_texts_any),
                released_at=_maybe(_times),
            ),
            max_size=2,
        ).map(tuple),
    )
    return st.lists(documents, min_size=1, max_size=5).map(_told_apart)


def _numbered(records: list[Any]) -> tuple[Any, ...]:
    return tuple(replace(record, seq=n) for n, record in enumerate(records, 1))


def _told_apart(documents: list[SessionDocument]) -> list[SessionDocument]:
    return [
        replace(document, session=replace(document.session, id=f"s-{number}"))
        for number, document in enumerate(documents)
    ]
