"""By which signs a source is told to be of a tool, the most specific first. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from convstore.imports.openai_items import is_item
from convstore.vocabulary.records import Json, JsonObject


@dataclass(frozen=True, slots=True)
class Sample:
    """The beginning of a source.

    Attributes:
        records: The first records of its first files.
        names: Its files.
        tables: The columns of its tables; None where it is no database.
    """

    records: Sequence[Json] = ()
    names: Sequence[str] = ()
    tables: Mapping[str, Sequence[str]] | None = None

    @property
    def objects(self) -> Iterator[JsonObject]:
        return (record for record in self.records if isinstance(record, dict))


@dataclass(frozen=True, slots=True)
class Sign:
    """What speaks for a format: where `seen` says so, `why` is what is told."""

    format: str
    why: str
    seen: Callable[[Sample], bool]


def _any(test: Callable[[JsonObject], bool]) -> Callable[[Sample], bool]:
    return lambda sample: any(test(record) for record in sample.objects)


def _first(test: Callable[[JsonObject], bool]) -> Callable[[Sample], bool]:
    return lambda sample: test(next(sample.objects, {}))


def _has(*keys: str) -> Callable[[JsonObject], bool]:
    return lambda record: record.keys() >= set(keys)


def _tables(**wanted: str) -> Callable[[Sample], bool]:
    """Whether there are these tables with these columns, named with spaces."""

    def seen(sample: Sample) -> bool:
        tables = sample.tables or {}
        return (
            all(
                set(columns.split()) <= set(tables.get(name, ()))
                for name, columns in wanted.items()
            )
            and wanted.keys() <= tables.keys()
        )

    return seen


def _with_columns(columns: str) -> Callable[[Sample], bool]:
    """Whether any table has these columns, as its name may be the user's own."""
    wanted = set(columns.split())
    return lambda sample: any(
        wanted <= set(given) for given in (sample.tables or {}).values()
    )


def _object(record: JsonObject, key: str) -> JsonObject:
    value = record.get(key)
    return value if isinstance(value, dict) else {}


def _items(record: JsonObject, key: str) -> list[JsonObject]:
    value = record.get(key)
    some = value[:50] if isinstance(value, list) else []
    return [item for item in some if isinstance(item, dict)]


def _chatgpt(record: JsonObject) -> bool:
    nodes = list(_object(record, "mapping").values())[:5]
    return bool(nodes) and all(
        isinstance(node, dict) and node.keys() >= {"message", "parent"}
        for node in nodes
    )


def _claude_ai(record: JsonObject) -> bool:
    messages = record.get("chat_messages")
    return isinstance(messages, list) and (
        not messages or any("sender" in m for m in _items(record, "chat_messages"))
    )


def _open_webui(record: JsonObject) -> bool:
    chat = _object(record, "chat")
    kept = chat.get("messages") or _object(chat, "history").get("messages")
    return kept is not None or ("history" in chat and "user_id" in record)


def _feedback(record: JsonObject) -> bool:
    return "rating" in _object(record, "data") and (
        "message_id" in _object(record, "meta") or "chat" in _object(record, "snapshot")
    )


def _librechat(record: JsonObject) -> bool:
    return record.keys() >= {"conversationId", "messages"} and bool(
        record.keys() & {"recursive", "exportAt", "branches", "endpoint"}
    )


_CODE_ROWS = frozenset(
    "user assistant system summary attachment progress file-history-snapshot "
    "queue-operation last-prompt custom-title".split()
)


def _claude_code(record: JsonObject) -> bool:
    if isinstance(record.get("loglines"), list):
        return True
    kind = record.get("type")
    named = "sessionId" in record or "leafUuid" in record
    return named and isinstance(kind, str) and kind in _CODE_ROWS


def _codex(sample: Sample) -> bool:
    first = next(sample.objects, {})
    if isinstance(first.get("payload"), dict):
        return first.get("type") in ("session_meta", "response_item", "turn_context")
    return first.keys() >= {"id", "timestamp", "instructions"} and any(
        record.get("type") == "message" or "record_type" in record
        for record in sample.objects
    )


def _sillytavern(sample: Sample) -> bool:
    first = next(sample.objects, {})
    head = "chat_metadata" in first or first.keys() >= {"user_name", "character_name"}
    return head and any({"mes", "is_user"} <= r.keys() for r in sample.objects)


def _pydantic_ai(sample: Sample) -> bool:
    return any(
        record.get("kind") in ("request", "response")
        and any("part_kind" in part for part in _items(record, "parts"))
        for record in _inner(sample)
    )


def _inner(sample: Sample) -> Iterator[JsonObject]:
    """The records, and those in records that are lists or have one of messages."""
    for record in sample.records:
        given = [record] if isinstance(record, dict) else record
        for item in given[:50] if isinstance(given, list) else ():
            if isinstance(item, dict):
                yield item


def _ui_messages(record: JsonObject) -> list[JsonObject]:
    messages = _items(record, "messages")
    return messages or ([record] if record.keys() >= {"role", "parts"} else [])


def _uimessage(sample: Sample) -> bool:
    for record in _inner(sample):
        for message in _ui_messages(record):
            parts = _items(message, "parts")
            typed = any(isinstance(part.get("type"), str) for part in parts)
            old = isinstance(message.get("toolInvocations"), list)
            if (typed and not message.get("content")) or old:
                return True
    return False


def _langchain(sample: Sample) -> bool:
    kinds = ("human", "ai", "system", "tool", "function", "chat", "AIMessageChunk")
    return any(
        record.get("type") in kinds and isinstance(record.get("data"), dict)
        for record in _inner(sample)
    )


def _agent_items(sample: Sample) -> bool:
    return any(
        record.get("type") in ("function_call", "reasoning") and is_item(record)
        for record in _inner(sample)
    )


def _langfuse(record: JsonObject) -> bool:
    whole = record.keys() >= {"trace", "observations"}
    row = "traceId" in record and record.get("type") in ("GENERATION", "SPAN", "EVENT")
    return whole or row


def _label_studio(record: JsonObject) -> bool:
    return isinstance(record.get("annotations"), list) and (
        "data" in record or "predictions" in record
    )


def _discord(record: JsonObject) -> bool:
    return record.keys() >= {"channel", "messages"} and (
        "guild" in record
        or any("isBot" in _object(m, "author") for m in _items(record, "messages"))
    )


def _slack(sample: Sample) -> bool:
    return any(
        record.get("type") == "message" and "ts" in record and "role" not in record
        for record in _inner(sample)
    )


def _rasa(record: JsonObject) -> bool:
    return "sender_id" in record and any("event" in e for e in _items(record, "events"))


def _ultrafeedback(record: JsonObject) -> bool:
    return "instruction" in record and any(
        "response" in answer for answer in _items(record, "completions")
    )


def _chainlit(record: JsonObject) -> bool:
    return isinstance(record.get("steps"), list) and any(
        "threadId" in step or "output" in step for step in _items(record, "steps")
    )


def _phoenix(record: JsonObject) -> bool:
    names = list(record) + list(_object(record, "attributes"))
    return any("llm.input_messages" in n or "gen_ai." in n for n in names) or (
        "openinference.span.kind" in names or "span_kind" in record
    )


SIGNS: tuple[Sign, ...] = (
    Sign("chatgpt", "`mapping` holds nodes with message and parent", _any(_chatgpt)),
    Sign("claude-ai", "`chat_messages` with senders", _any(_claude_ai)),
    Sign("open-webui", "`chat.history.messages` of a user's chat", _any(_open_webui)),
    Sign("open-webui", "ratings with the chats they are of", _any(_feedback)),
    Sign("librechat", "`conversationId` with messages", _any(_librechat)),
    Sign("claude-code", "rows with `sessionId` and `uuid`", _any(_claude_code)),
    Sign("codex", "a rollout that begins with its session", _codex),
    Sign("sillytavern", "a chat that begins with its characters", _sillytavern),
    Sign(
        "pydantic-ai", "requests and responses of parts with `part_kind`", _pydantic_ai
    ),
    Sign("langfuse", "a trace with its observations", _any(_langfuse)),
    Sign(
        "langsmith",
        "runs with `run_type` and `dotted_order`",
        _any(_has("run_type", "trace_id")),
    ),
    Sign("label-studio", "tasks with annotations", _any(_label_studio)),
    Sign(
        "argilla",
        "`fields` with responses or suggestions",
        _any(lambda r: "fields" in r and bool(r.keys() & {"responses", "suggestions"})),
    ),
    Sign("rasa", "`sender_id` with events", _any(_rasa)),
    Sign(
        "arena",
        "two conversations and a winner",
        _any(_has("conversation_a", "conversation_b")),
    ),
    Sign("ultrafeedback", "an instruction with completions", _any(_ultrafeedback)),
    Sign(
        "wildchat",
        "`conversation_hash`, or rows with moderation",
        _first(
            lambda r: (
                "conversation" in r
                and bool(r.keys() & {"conversation_hash", "openai_moderation"})
            )
        ),
    ),
    Sign("discord", "a channel with messages of authors", _any(_discord)),
    Sign("chainlit", "a thread with steps", _any(_chainlit)),
    Sign("phoenix", "spans with attributes of a model's messages", _any(_phoenix)),
    Sign("langchain", "messages of a type with their data", _langchain),
    Sign("slack", "messages with `ts` and no role", _slack),
    Sign("uimessage", "messages of typed parts and no content", _uimessage),
    Sign("openai-agents", "items with calls or reasoning", _agent_items),
    Sign(
        "llm",
        "tables `threads`, `turns` and `messages`",
        _tables(threads="id", turns="thread_id", messages="parent_hash"),
    ),
    Sign(
        "llm",
        "tables `conversations` and `responses`",
        _tables(conversations="id", responses="conversation_id prompt"),
    ),
    Sign(
        "google-adk",
        "tables `sessions` and `events` of apps",
        _tables(sessions="app_name user_id", events="app_name invocation_id"),
    ),
    Sign(
        "langgraph",
        "tables `checkpoints` and `writes`",
        _tables(checkpoints="thread_id checkpoint_id", writes="thread_id channel"),
    ),
    Sign(
        "langgraph",
        "tables `checkpoints` and `checkpoint_blobs`",
        _tables(
            checkpoints="thread_id checkpoint_id",
            checkpoint_blobs="thread_id channel version",
        ),
    ),
    Sign(
        "chainlit",
        "tables `threads` and `steps`",
        _tables(threads="id", steps="threadId type"),
    ),
    Sign("open-webui", "a table `chat` of JSON", _tables(chat="id user_id chat")),
    Sign(
        "agno",
        "a table of sessions with their type",
        _with_columns("session_id session_type session_data"),
    ),
    Sign(
        "agno",
        "a table of sessions with their memory",
        _with_columns("session_id memory session_data"),
    ),
    Sign(
        "openai-agents",
        "a table of messages with `message_data`",
        _with_columns("session_id message_data"),
    ),
    Sign("rasa", "a table `events` by sender", _tables(events="sender_id data")),
    Sign(
        "langchain",
        "a table of messages by `session_id`",
        _with_columns("session_id message"),
    ),
)
"""In the order in which they are looked for: what says more goes first."""
