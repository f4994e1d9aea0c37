"""The application: sessions by a header, answers as server-sent events.

Who the user is, it takes from a header: put your own authentication in `chat_of`.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable
from contextlib import asynccontextmanager
from typing import Annotated, Any

from fastapi import Depends, FastAPI, Request, Response
from fastapi.responses import JSONResponse, StreamingResponse
from pydantic import BaseModel, Field

from convstore import (
    ConflictError,
    ConvstoreError,
    InvalidInputError,
    LimitExceededError,
    NotFoundError,
    Store,
    Turn,
    UnavailableError,
    open_store,
)
from convstore.gateway import (
    PrefixCache,
    hash_request,
    new_session_id,
    session_id_from_headers,
    should_cache_sticky,
    to_messages,
)
from convstore.metrics import CONTENT_TYPE_LATEST, StoreCollector, collector
from convstore.repositories.conversation import Conversation
from examples.chat_backend import model

MODEL = "local/stand-in"
HISTORY = 20
STATUS: list[tuple[type[ConvstoreError], int]] = [
    (NotFoundError, 404),
    (ConflictError, 409),
    (InvalidInputError, 422),
    (LimitExceededError, 429),
    (UnavailableError, 503),
    (ConvstoreError, 409),
]


class Backend:
    """What every request works with."""

    def __init__(self, store: Store) -> None:
        self.store = store
        # In the database, where every worker finds what another one has learned.
        self.prefixes: PrefixCache = store.prefix_cache("database", max_entries=10_000)
        self.metrics: StoreCollector = collector(store, prefix_caches=[self.prefixes])


class Chat:
    """One conversation of the user who asks."""

    def __init__(self, backend: Backend, session_id: str, user_id: str) -> None:
        self.backend = backend
        self.session_id, self.user_id = session_id, user_id
        self.handle: Conversation = backend.store.conversation(
            session_id, user_id=user_id
        )


async def chat_of(request: Request) -> Chat:
    """The conversation that the headers name."""
    session_id = session_id_from_headers(request.headers)
    if session_id is None:
        raise InvalidInputError("X-Session-ID", "is missing: name the conversation")
    return _chat(request, session_id)


async def chat_or_new(request: Request) -> Chat:
    """As `chat_of`; a fresh conversation, made by its first turn, where they name none.

    The answer's headers tell its id.
    """
    return _chat(request, session_id_from_headers(request.headers) or new_session_id())


def _chat(request: Request, session_id: str) -> Chat:
    user_id = request.headers.get("X-User-ID") or "anonymous"
    return Chat(request.app.state.backend, session_id, user_id)


OfHeaders = Annotated[Chat, Depends(chat_of)]


class Message(BaseModel):
    """What the user says; the same `message_id` again is the same message."""

    # Checked here, because the question and its count are two writes: neither is made.
    text: Annotated[str, Field(max_length=100_000, pattern=r"^[^\x00]*$")]
    message_id: Annotated[str, Field(min_length=1, max_length=200)]


class Feedback(BaseModel):
    """What the user thinks of a turn."""

    turn: int
    label: str
    comment: str | None = None


class Graph(BaseModel):
    """A state of the application's graph, and the version that it replaces."""

    state: Any
    expected_version: int | None = None


async def ask(
    message: Message, chat: Annotated[Chat, Depends(chat_or_new)]
) -> StreamingResponse:
    """Store the question, then stream the answer; both are durable when it is done."""
    # Writes that go out together share a commit.
    question, _ = await asyncio.gather(
        chat.handle.append(
            role="user", content=message.text, external_id=message.message_id
        ),
        chat.handle.record_request(hash_request(message.text)),
    )
    await chat.handle.check_budget()
    return StreamingResponse(
        _answer(chat, question),
        media_type="text/event-stream",
        headers={"X-Session-ID": chat.session_id, "Cache-Control": "no-store"},
    )


async def _answer(chat: Chat, question: Turn) -> AsyncIterator[str]:
    """Events `token`, then `done` or `error`. A client that leaves before `done` asks
    again with the same message id, and gets the rest of it."""
    try:
        turns = await chat.handle.window(limit=HISTORY)
        if turns[-1:] != [question]:  # it was asked before, and the talk went on
            known = await chat.handle.find(external_id=_answer_id(question))
            if known is not None:
                yield _event("token", {"text": known.content})
                yield _event("done", {"turn": known.seq, "repeated": True})
                return
            turns = [turn for turn in turns if turn.seq <= question.seq]
        messages = to_messages(turns)
        upstream = await _upstream(chat, messages)
        text = ""
        async for piece in model.stream(messages):
            text += piece
            yield _event("token", {"text": piece})
        turn = await _keep(chat, question, messages, text, upstream)
        yield _event("done", {"turn": turn.seq, "upstream": upstream})
    except ConvstoreError as error:
        yield _event("error", {"code": error.code, "transient": error.transient})


async def _upstream(chat: Chat, messages: list[dict[str, Any]]) -> str:
    """The model server's own session, warm if it knows the messages before."""
    found = await chat.backend.prefixes.look_up(chat.user_id, messages)
    return chat.session_id if found is None else found.upstream_session_id


async def _keep(
    chat: Chat,
    question: Turn,
    messages: list[dict[str, Any]],
    text: str,
    upstream: str,
) -> Turn:
    read = sum(model.count_tokens(str(m["content"])) for m in messages)
    written = model.count_tokens(text)
    cost = (read + written) * model.MICROS_PER_TOKEN
    answer = chat.handle.append(
        role="assistant",
        content=text,
        parent_seq=question.seq,
        model=MODEL,
        finish_reason="stop",
        tokens_in=read,
        tokens_out=written,
        cost_micros=cost,
        charge=True,  # with the answer or not at all, and once
        external_id=_answer_id(question),
    )
    beside: list[Awaitable[Any]] = [
        chat.backend.prefixes.store(chat.user_id, messages, upstream)
    ]
    if should_cache_sticky(messages):
        beside.append(chat.handle.set_cache_sticky("local"))
    turn, *_ = await asyncio.gather(answer, *beside)
    return turn


async def history(chat: OfHeaders, limit: int = HISTORY) -> list[dict[str, Any]]:
    """The newest turns of the active branch, oldest first."""
    turns = await chat.handle.window(limit=limit)
    return [{"turn": t.seq, "role": t.role, "content": t.content} for t in turns]


async def feedback(given: Feedback, chat: OfHeaders) -> dict[str, int]:
    """Judge a turn; the counts of the session so far."""
    await chat.handle.record(
        action="feedback",
        turn_seq=given.turn,
        feedback=given.label,
        content=given.comment,
        actor_id=chat.user_id,
    )
    return (await chat.handle.session()).feedback_counts


async def put_graph(given: Graph, chat: OfHeaders) -> dict[str, Any]:
    """Replace the graph state if nobody else did meanwhile (409 if somebody did)."""
    made = await chat.handle.put_graph_state(
        given.state, expected_version=given.expected_version
    )
    return {"version": made.version}


async def get_graph(chat: OfHeaders) -> dict[str, Any]:
    """The newest graph state."""
    found = await chat.handle.graph_state()
    if found is None:
        return {"version": None, "state": None}
    return {"version": found.version, "state": found.state}


async def ledger_entry(chat: OfHeaders) -> dict[str, Any]:
    """Cost and routing of the session."""
    entry = await chat.handle.ledger_entry()
    if entry is None:
        return {"cost_micros": 0, "request_count": 0, "strikes": 0}
    return {
        "cost_micros": entry.cost_micros,
        "request_count": entry.request_count,
        "strikes": entry.strikes,
    }


async def scrape(request: Request) -> Response:
    """Prometheus metrics."""
    backend: Backend = request.app.state.backend
    return Response(
        await backend.metrics.scrape(),
        headers={"Content-Type": CONTENT_TYPE_LATEST},
    )


async def refuse(request: Request, error: Exception) -> JSONResponse:
    """An error of the store as a status and its stable code."""
    assert isinstance(error, ConvstoreError)
    status = next(status for kind, status in STATUS if isinstance(error, kind))
    return JSONResponse(
        {"code": error.code, "message": str(error), "transient": error.transient},
        status_code=status,
    )


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    """One store for every request; stale sessions are archived beside them."""
    async with open_store() as store, store.scheduler():
        app.state.backend = Backend(store)
        yield


def make_app() -> FastAPI:
    """The application; its store's settings are those of the environment."""
    app = FastAPI(title="A chat backend on convstore", lifespan=lifespan)
    app.add_api_route("/chat", ask, methods=["POST"], response_model=None)
    app.add_api_route("/history", history, methods=["GET"])
    app.add_api_route("/feedback", feedback, methods=["POST"])
    app.add_api_route("/graph", put_graph, methods=["PUT"])
    app.add_api_route("/graph", get_graph, methods=["GET"])
    app.add_api_route("/ledger", ledger_entry, methods=["GET"])
    app.add_api_route("/metrics", scrape, methods=["GET"], response_model=None)
    app.add_exception_handler(ConvstoreError, refuse)
    return app


def _answer_id(question: Turn) -> str:
    return f"{question.external_id}#answer"


def _event(name: str, data: dict[str, Any]) -> str:
    return f"event: {name}\ndata: {json.dumps(data, ensure_ascii=False)}\n\n"
