"""What a chat gateway needs beside the store: keys, ids and hashes of requests."""

from convstore.gateway.identity import (
    derive_session_id,
    new_session_id,
    session_id_from_headers,
)
from convstore.gateway.prefix_cache.cache import PrefixCache, PrefixCacheStats
from convstore.gateway.prefix_cache.keys import prefix_key
from convstore.gateway.prefix_cache.memory import PrefixEntry
from convstore.gateway.providers import cache_ttl_for_provider, provider_from_model
from convstore.gateway.requests import (
    estimate_tokens,
    hash_request,
    should_cache_sticky,
)
from convstore.messages.anthropic import (
    AnthropicMessages,
    to_anthropic_messages,
)
from convstore.messages.buffers import since_idle
from convstore.messages.dspy import to_dspy_history, to_dspy_messages
from convstore.messages.message import LeftOut
from convstore.messages.openai import (
    OpenAIMessages,
    to_messages,
    to_openai_messages,
)

__all__ = [
    "AnthropicMessages",
    "LeftOut",
    "OpenAIMessages",
    "PrefixCache",
    "PrefixCacheStats",
    "PrefixEntry",
    "cache_ttl_for_provider",
    "derive_session_id",
    "estimate_tokens",
    "hash_request",
    "new_session_id",
    "prefix_key",
    "provider_from_model",
    "session_id_from_headers",
    "should_cache_sticky",
    "since_idle",
    "to_anthropic_messages",
    "to_dspy_history",
    "to_dspy_messages",
    "to_messages",
    "to_openai_messages",
]


def __dir__() -> list[str]:
    return sorted(__all__)
