"""The import formats by name. A format's module is loaded when it is first used."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from importlib import import_module
from types import MappingProxyType

from convstore.imports.material import Found, Material
from convstore.imports.model import ImportedSession
from convstore.vocabulary.errors import InvalidInputError, shown
from convstore.vocabulary.records import Json


def _nothing(record: Json) -> ImportedSession:
    raise InvalidInputError("record", "is none by itself in this format")


@dataclass(frozen=True, slots=True)
class Format:
    """How records of one kind become sessions: pure functions.

    Attributes:
        name: What the caller writes.
        parse: One parsed record, or the list of a group, to a session. Raises
            `InvalidInputError` or `CorruptionError` and nothing else, whatever the
            record.
        group_key: For rows that form a session together and stand next to each other:
            what they share; None for a record that stands alone.
        absent: Fields that a mapping names and no record had so far.
        read: For sources of which a conversation is not one record: all sessions of
            the files or tables. Then `parse` and `group_key` are not used.
    """

    name: str
    parse: Callable[[Json], ImportedSession] = _nothing
    group_key: Callable[[Json], str | None] | None = None
    absent: Callable[[], list[str]] | None = None
    read: Callable[[Material], Iterator[Found]] | None = None


@dataclass(frozen=True, slots=True)
class FormatEntry:
    """A format that can be loaded: what lists and help show."""

    name: str
    description: str
    module: str

    def load(self) -> Format:
        """The format, its module imported now."""
        module = import_module(f"convstore.imports.formats.{self.module}")
        read = getattr(module, "read", None)
        if read is not None:
            return Format(self.name, read=read)
        group_key = getattr(module, "group_key", None)
        return Format(self.name, module.parse, group_key)


_ENTRIES = (
    FormatEntry("convstore", "session documents of convstore, lossless", "documents"),
    FormatEntry("messages", "chat messages as OpenAI and TRL write them", "messages"),
    FormatEntry("sharegpt", "conversations of from and value", "sharegpt"),
    FormatEntry("preference", "a prompt, a chosen and a rejected answer", "preference"),
    FormatEntry("kto", "an answer with a good or bad label", "kto"),
    FormatEntry("alpaca", "instruction, input, output, ranked outputs", "alpaca"),
    FormatEntry("oasst", "Open Assistant message trees, nested or flat", "oasst"),
    FormatEntry(
        "session-json", "one session per file, of an earlier manager", "session_json"
    ),
    FormatEntry("chatgpt", "the data export of ChatGPT", "chatgpt"),
    FormatEntry("claude-ai", "the data export of Claude.ai", "claude_ai"),
    FormatEntry("open-webui", "chats and feedback of Open WebUI", "open_webui"),
    FormatEntry("librechat", "conversations of LibreChat", "librechat"),
    FormatEntry("langchain", "message histories of LangChain", "langchain"),
    FormatEntry("langgraph", "checkpoints of LangGraph", "langgraph"),
    FormatEntry("openai-agents", "sessions of OpenAI Agents", "openai_agents"),
    FormatEntry("google-adk", "sessions of Google ADK", "google_adk"),
    FormatEntry("agno", "sessions of agno", "agno"),
    FormatEntry("pydantic-ai", "histories of Pydantic AI", "pydantic_ai"),
    FormatEntry("uimessage", "chats of Vercel's AI SDK", "uimessage"),
    FormatEntry("claude-code", "sessions of Claude Code", "claude_code"),
    FormatEntry("codex", "rollouts of the Codex CLI", "codex"),
    FormatEntry("llm", "the log of simonw/llm", "llm_logs"),
    FormatEntry("chainlit", "threads of Chainlit", "chainlit"),
    FormatEntry("sillytavern", "chats of SillyTavern", "sillytavern"),
    FormatEntry("langfuse", "traces of Langfuse", "langfuse"),
    FormatEntry("langsmith", "runs of LangSmith", "langsmith"),
    FormatEntry("phoenix", "spans of Phoenix and OpenTelemetry", "phoenix"),
    FormatEntry("label-studio", "tasks of Label Studio", "label_studio"),
    FormatEntry("argilla", "records of Argilla", "argilla"),
    FormatEntry("arena", "battles of LMSYS's arena", "arena"),
    FormatEntry("ultrafeedback", "rows of UltraFeedback", "ultrafeedback"),
    FormatEntry("wildchat", "rows of WildChat and LMSYS-Chat-1M", "wildchat"),
    FormatEntry("rasa", "trackers of Rasa", "rasa"),
    FormatEntry("discord", "channels by DiscordChatExporter", "discord"),
    FormatEntry("slack", "exports of Slack", "slack"),
)

FORMATS: Mapping[str, FormatEntry] = MappingProxyType({e.name: e for e in _ENTRIES})
"""The formats by name, in the order in which help lists them."""


def load_format(name: str) -> Format:
    """The format of this name.

    Raises:
        InvalidInputError: There is none; the message lists those there are.
    """
    entry = FORMATS.get(name)
    if entry is None:
        known = ", ".join(FORMATS)
        raise InvalidInputError("format", f"{shown(name)} is not one of {known}")
    return entry.load()
